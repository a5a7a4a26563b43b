"""`shortlist send-test`: a customer's message to colleagues, which no ledger and no event takes for a customer's."""

import email
import json
from email import policy

import pytest

from shortlist.commands.send_test import send_test
from shortlist.contracts.records import RunRecord
from shortlist.errors import ContractError
from shortlist.mail.address import address_hash
from shortlist.mail.events import apply_events
from tests.fakes import MemoryResponses
from tests.mailing import RUN, Mailing, recipient

RECORD = RunRecord(campaign="weekly-picks", run_id="r1", status="published", started_at="", as_of=RUN.as_of)


def sent(mailing: Mailing, *addresses: str, user_id: str = "") -> list[str]:
    return list(
        send_test(
            RECORD,
            addresses,
            user_id,
            store=mailing.store,
            suppressions=mailing.suppressions,
            transport=mailing.transport,
        )
    )


def test_each_colleague_gets_the_message_marked_as_a_test() -> None:
    mailing = Mailing([recipient(0, first_name="Philippa")])

    taken = sent(mailing, "Bo@shop.example.com", "cy@shop.example.com")

    messages = [email.message_from_bytes(one.mime, policy=policy.default) for one in mailing.transport.messages]
    assert taken == ["bo@shop.example.com", "cy@shop.example.com"]
    assert [one["To"] for one in messages] == taken
    assert {one["Subject"] for one in messages} == {"[Test] Your picks of the week"}
    assert "unsubscribe.invalid" in messages[0]["List-Unsubscribe"]
    assert not any(word in message.mime for message in mailing.transport.messages for word in (b"Philippa", b"user0@"))


def test_a_chosen_customers_name_is_in_it_and_their_address_is_not() -> None:
    mailing = Mailing([recipient(0), recipient(1, first_name="Philippa")])

    sent(mailing, "bo@shop.example.com", user_id="user-00001")

    ((message),) = mailing.transport.messages
    assert b"Philippa" in message.mime
    assert b"user1@" not in message.mime


def test_a_test_stands_in_no_ledger_and_the_mailing_afterwards_is_whole() -> None:
    mailing = Mailing([recipient(number) for number in range(3)])
    sent(mailing, "user1@example.com")
    before = dict(mailing.ledger.deliveries), dict(mailing.ledger.addresses)

    manifest, _ = mailing.send()

    assert before == ({}, {})
    assert manifest.summary["sent"] == 3


@pytest.mark.parametrize("kind", ["Delivery", "Send", "Reject"])
def test_an_event_about_a_test_settles_nothing(kind: str) -> None:
    mailing = Mailing([recipient(0)])
    sent(mailing, "bo@shop.example.com")
    ((message),) = mailing.transport.messages
    raw = json.dumps({"eventType": kind, "mail": {"tags": {name: [value] for name, value in message.tags.items()}}})

    applied = apply_events(
        [("1", raw)],
        ledger=mailing.ledger,
        suppressions=mailing.suppressions,
        responses=MemoryResponses(),
        clock=mailing.clock,
    )

    assert applied.failed == {}
    assert "run" not in message.tags
    assert mailing.ledger.deliveries == {}
    assert mailing.ledger.events == {}


def test_a_colleague_who_unsubscribed_is_named_and_nobody_is_mailed() -> None:
    mailing = Mailing([recipient(0)])
    mailing.suppressions.add(address_hash("cy@shop.example.com"), "unsubscribed", "")

    with pytest.raises(ContractError, match=r"cy@shop.example.com must not be mailed \(unsubscribed\)"):
        sent(mailing, "bo@shop.example.com", "cy@shop.example.com")

    assert mailing.transport.messages == []


@pytest.mark.parametrize(
    ("addresses", "sentence"),
    [
        (["bo@shop.example.com", "no address"], "'no address' is no e-mail address"),
        ([f"u{number}@shop.example.com" for number in range(21)], "21 addresses are no seed list"),
    ],
)
def test_what_is_no_seed_list_is_refused(addresses: list[str], sentence: str) -> None:
    mailing = Mailing([recipient(0)])

    with pytest.raises(ContractError, match=sentence):
        sent(mailing, *addresses)

    assert mailing.transport.messages == []
