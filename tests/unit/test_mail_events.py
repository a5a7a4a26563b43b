"""Events of the mail service: what they do to the suppression list and to the ledger."""

import json
from typing import Any

import pytest

from shortlist.contracts.records import Delivery, DeliveryState, MailingState
from shortlist.errors import ContractError
from shortlist.mail.address import address_hash
from shortlist.mail.events import Applied, apply_events
from shortlist.mail.tags import tags
from tests.fakes import FixedClock, MemoryLedger, MemoryResponses, MemorySuppressions

ADDRESS = "ann@example.com"
RUN = "weekly-picks#r1"


def event(kind: str, user_id: str = "Ann #1", **details: Any) -> str:
    tagged = {name: [value] for name, value in tags("weekly-picks", "r1", user_id).items()}
    mail = {"messageId": "m1", "destination": [ADDRESS], "tags": tagged | {"ses:source-ip": ["192.0.2.1"]}}
    return json.dumps({"eventType": kind, "mail": mail, **details})


def bounce(kind: str, feedback_id: str = "f1", address: str = ADDRESS) -> str:
    return event(
        "Bounce",
        bounce={
            "bounceType": kind,
            "bounceSubType": "General",
            "bouncedRecipients": [{"emailAddress": address, "diagnosticCode": f"smtp; 550 no {ADDRESS}"}],
            "feedbackId": feedback_id,
            "timestamp": "2026-01-05T06:00:00.000Z",
        },
    )


def complaint(kind: str | None) -> str:
    return event(
        "Complaint",
        complaint={
            "complainedRecipients": [{"emailAddress": ADDRESS}],
            "timestamp": "2026-01-05T06:00:00.000Z",
            "complaintFeedbackType": kind,
        },
    )


class Inbox:
    """The ledger with one claimed message, and the suppression list."""

    def __init__(self) -> None:
        self.ledger, self.suppressions, self.responses = MemoryLedger(), MemorySuppressions(), MemoryResponses()
        self.claim("Ann #1")

    def claim(self, user_id: str) -> None:
        claim = Delivery(
            campaign_run=RUN, user_id=user_id, state="claimed", claimed_at="2026-01-05T06:00:00Z", claimed_by="gone/1"
        )
        self.ledger.claim(claim, address_hash=address_hash(f"{user_id.split()[0]}@example.com"), since="")

    def take(self, *raw: str) -> Applied:
        batch = ((str(number), one) for number, one in enumerate(raw))
        return apply_events(
            batch,
            ledger=self.ledger,
            suppressions=self.suppressions,
            responses=self.responses,
            clock=FixedClock(),
        )

    @property
    def cause(self) -> str:
        return self.suppressions.causes.get(address_hash(ADDRESS), "")

    @property
    def state(self) -> DeliveryState:
        return self.ledger.find(RUN, ["Ann #1"])["Ann #1"].state


def test_a_hard_bounce_suppresses_at_once() -> None:
    inbox = Inbox()

    inbox.take(bounce("Permanent"))

    assert (inbox.cause, inbox.state) == ("bounced", "bounced")


@pytest.mark.parametrize("kind", ["Transient", "Undetermined"])
def test_the_third_soft_bounce_suppresses(kind: str) -> None:
    inbox = Inbox()

    causes = []
    for feedback_id in ("f1", "f2", "f2", "f3"):
        inbox.take(bounce(kind, feedback_id))
        causes.append(inbox.cause)

    assert causes == ["", "", "", "bounced"]


@pytest.mark.parametrize("address", [f"Ann <{ADDRESS.upper()}>", f"<{ADDRESS}>", "rfc822;garbled"])
def test_a_garbled_address_is_the_one_we_sent_to(address: str) -> None:
    inbox = Inbox()

    inbox.take(bounce("Permanent", address=address))

    assert inbox.cause == "bounced"


def test_a_complaint_suppresses_at_once() -> None:
    inbox = Inbox()

    inbox.take(complaint("abuse"))

    assert (inbox.cause, inbox.state) == ("complained", "complained")


def test_not_spam_is_no_complaint() -> None:
    inbox = Inbox()

    assert inbox.take(complaint("not-spam")).effects == {"ignored": 1}
    assert (inbox.cause, inbox.state) == ("", "claimed")


@pytest.mark.parametrize(("kind", "state"), [("Send", "sent"), ("Delivery", "delivered"), ("Reject", "rejected")])
def test_an_entry_in_doubt_is_settled(kind: str, state: str) -> None:
    inbox = Inbox()

    inbox.take(event(kind))

    assert (inbox.cause, inbox.state) == ("", state)


def test_no_address_comes_into_the_ledger() -> None:
    inbox = Inbox()

    inbox.take(bounce("Permanent"))

    assert ADDRESS not in repr(inbox.ledger.deliveries)


@pytest.mark.parametrize("kind", ["Open", "Click", "DeliveryDelay", "Subscription"])
def test_other_events_change_nothing(kind: str) -> None:
    inbox = Inbox()

    assert inbox.take(event(kind)).effects == {"ignored": 1}
    assert inbox.state == "claimed"


def test_an_event_of_a_message_without_our_tags_still_suppresses() -> None:
    inbox = Inbox()
    raw = json.loads(bounce("Permanent"))
    raw["mail"]["tags"] = {}

    inbox.take(json.dumps(raw))

    assert (inbox.cause, inbox.state) == ("bounced", "claimed")


def test_messages_are_counted_by_the_worst_that_is_known_of_each() -> None:
    inbox = Inbox()
    for user_id in ("bob", "cyd"):
        inbox.claim(user_id)

    inbox.take(event("Send"), event("Delivery"), event("Delivery"), event("Delivery", user_id="bob"))
    inbox.take(complaint("abuse"), event("Send", user_id="cyd"), event("Delivery", user_id="nobody"))

    assert inbox.ledger.mailing_state("weekly-picks", RUN) == MailingState(delivered=1, complained=1)
    assert +inbox.ledger.events[RUN] == {"delivered": 1, "complained": 1, "sent": 1}


@pytest.mark.parametrize("raw", ["", "Successfully validated SNS topic", "[]", '{"eventType": "Bounce"}'])
def test_what_is_no_event_fails_alone(raw: str) -> None:
    inbox = Inbox()

    applied = inbox.take(raw, event("Delivery"))

    assert [*applied.failed] == ["0"]
    assert isinstance(applied.failed["0"], ContractError)
    assert inbox.state == "delivered"


PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
LINK = (
    "https://shop.example.com/tea?utm_source=shortlist&utm_medium=email&utm_campaign=weekly-picks&utm_content=tea%201"
)


def engaged(kind: str, at: str, link: str = LINK, user_agent: str = PHONE) -> str:
    details = {"timestamp": at, "userAgent": user_agent, "ipAddress": "192.0.2.1"}
    return event(kind, **{kind.lower(): details | ({"link": link} if kind == "Click" else {})})


def delivery(at: str) -> str:
    return event("Delivery", delivery={"timestamp": at})


def test_an_open_and_a_click_become_responses_of_the_user_to_the_item() -> None:
    inbox = Inbox()

    inbox.take(delivery("2026-01-05T06:00:00.000Z"), engaged("Open", "2026-01-05T08:00:00.000Z"))
    inbox.take(*[engaged("Click", "2026-01-05T08:00:30.500Z")] * 2)

    opened, clicked = inbox.responses.all()
    assert (opened.kind, opened.item_id, opened.user_id) == ("opened", "", "Ann #1")
    assert (clicked.kind, clicked.item_id, clicked.run_id) == ("clicked", "tea 1", "r1")
    assert clicked.times == ("2026-01-05T08:00:30.500+00:00",)
    assert inbox.state == "delivered"


@pytest.mark.parametrize(
    ("at", "user_agent", "kind"),
    [
        ("2026-01-05T07:00:03.000Z", PHONE, "scanned"),
        ("2026-01-05T07:00:30.000Z", PHONE, "clicked"),
        ("2026-01-05T09:00:00.000Z", "Mozilla/5.0 (compatible; Barracuda Sentinel)", "scanned"),
    ],
)
def test_haste_counts_from_the_delivery_however_late_it_was(at: str, user_agent: str, kind: str) -> None:
    inbox = Inbox()
    inbox.take(delivery("2026-01-05T07:00:00.000Z"))

    inbox.take(engaged("Click", at, user_agent=user_agent))

    assert [one.kind for one in inbox.responses.all()] == [kind]


def test_a_click_on_another_link_and_on_the_shops_own_tags_is_a_click_on_no_item() -> None:
    inbox = Inbox()

    inbox.take(engaged("Click", "2026-01-05T08:00:00.000Z", "https://shop.example.com/?utm_source=x&utm_content=y"))
    inbox.take(engaged("Click", "2026-01-05T08:00:00.000Z", "https://[bad"))

    (found,) = inbox.responses.all()
    assert (found.kind, found.item_id) == ("clicked", "")


def test_a_click_on_a_message_that_is_not_ours_is_ignored() -> None:
    inbox = Inbox()
    raw = json.loads(engaged("Click", "2026-01-05T08:00:00.000Z"))
    raw["mail"]["tags"] = {}

    applied = inbox.take(json.dumps(raw))

    assert (applied.effects["ignored"], applied.failed, list(inbox.responses.all())) == (1, {}, [])
