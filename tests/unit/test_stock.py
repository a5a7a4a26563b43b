"""What is sold out or over by the time of sending is in no message, and what stands behind it moves up."""

from datetime import UTC, datetime

import pytest

from shortlist.contracts.keys import SOLD_OUT
from shortlist.mail.stock import still_on_offer
from tests.mailing import Mailing, item, recipient

NOON, EVENING = "2026-01-05T12:00:00+00:00", "2026-01-05T18:00:00+00:00"


def left(now, *, only_deals=False, sold_out=()):
    lists = {
        "ada": (
            item(0, available_until=NOON),
            item(1),
            item(2, offer_until=NOON),
            item(3, available_until=EVENING, offer_until=EVENING),
        )
    }
    moment = datetime.fromisoformat(now)
    return [one.item_id for one in still_on_offer(lists, sold_out, moment, only_deals=only_deals)["ada"]]


@pytest.mark.parametrize(
    ("now", "deals", "others"),
    [
        ("2026-01-05T11:59:59Z", ["item-0", "item-1", "item-2", "item-3"], ["item-0", "item-1", "item-2", "item-3"]),
        ("2026-01-05T12:00:00Z", ["item-1", "item-3"], ["item-1", "item-2", "item-3"]),
        ("2026-01-05T18:00:00Z", ["item-1"], ["item-1", "item-2"]),
    ],
)
def test_what_is_over_is_left_out_from_its_last_moment_on(now, deals, others):
    assert left(now, only_deals=True) == deals
    assert left(now) == others


def test_what_is_sold_out_is_left_out():
    assert left("2026-01-05T08:00:00Z", sold_out={"item-1", "soap"}) == ["item-0", "item-2", "item-3"]


def test_a_message_shows_the_next_items_instead_of_those_that_are_sold_out():
    mailing = Mailing([recipient(0)])
    mailing.store.write(SOLD_OUT, b"item-1\r\nitem-7\nitem-0")
    assert mailing.clock.now() == datetime(2026, 1, 5, 6, tzinfo=UTC)

    mailing.send()

    assert [line["items"] for line in mailing.outcome_lines()] == [["item-2", "item-3"]]
    message = mailing.transport.messages[0].mime.decode()
    assert "Product 1" not in message
    assert "Product 3" in message


def test_a_recipient_of_whose_list_nothing_is_left_gets_no_message():
    mailing = Mailing([recipient(0)])
    mailing.store.write(SOLD_OUT, b"item-0\nitem-1\nitem-2\nitem-3\n")

    mailing.send()

    assert mailing.outcomes() == {"user-00000": "without_list"}
