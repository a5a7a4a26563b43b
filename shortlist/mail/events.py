"""Events that SES publishes about messages in; their ledger entries, suppressions and responses brought up to date.

Hard bounces and complaints suppress an address at once, three soft bounces do so too. The tags that the message was
sent with say whose entry in the ledger it is, so an event also settles an entry in doubt. Events come late, more than
once and in any order; every write here may be repeated. Only a run's counts are added to, once for a batch: one item
for all its messages would not bear a write for each. What a batch that is killed has settled is not counted.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from shortlist.contracts.records import DeliveryState, Response, campaign_run
from shortlist.errors import ContractError, MessageRejectedError
from shortlist.mail.address import address_hash
from shortlist.mail.links import item_of
from shortlist.mail.tags import user_of
from shortlist.ports import Clock, Ledger, Responses, Suppressions
from shortlist.responses import by_machine

SOFT_BOUNCES: Final = 3
"""So many temporary bounces suppress an address."""


class _Mail(msgspec.Struct):
    timestamp: str = ""
    destination: list[str] = []
    tags: dict[str, list[str]] = {}


class _Address(msgspec.Struct, rename="camel"):
    email_address: str


class _Bounce(msgspec.Struct, rename="camel"):
    bounce_type: str
    bounced_recipients: list[_Address]
    feedback_id: str
    timestamp: str
    bounce_sub_type: str = ""


class _Complaint(msgspec.Struct, rename="camel"):
    complained_recipients: list[_Address]
    timestamp: str
    complaint_feedback_type: str | None = None


class _Delivered(msgspec.Struct):
    timestamp: str


class _Engagement(msgspec.Struct, rename="camel"):
    """An open, or a click on `link`."""

    timestamp: str
    user_agent: str = ""
    link: str = ""


class _Event(msgspec.Struct, rename="camel"):
    """The parts of an SES event that matter here."""

    mail: _Mail
    event_type: str = ""
    notification_type: str = ""
    bounce: _Bounce | None = None
    complaint: _Complaint | None = None
    delivery: _Delivered | None = None
    open: _Engagement | None = None
    click: _Engagement | None = None


News = Literal["ignored", "sent", "delivered", "rejected", "bounced", "soft_bounced", "complained"]
Engagement = Literal["opened", "clicked", "scanned"]

Counts = defaultdict[str, Counter[DeliveryState]]
"""How the counts of each run's messages by state change."""


class Applied(msgspec.Struct):
    """What a batch of events came to."""

    effects: Counter[str]
    failed: dict[str, Exception]


def apply_events(
    batch: Iterable[tuple[str, str]], *, ledger: Ledger, suppressions: Suppressions, responses: Responses, clock: Clock
) -> Applied:
    """Take note of a batch of events.

    Args:
        batch: an id of the caller's and the JSON that SES publishes, for each.

    Returns:
        How many brought which news, and by their ids those that must be tried again.
    """
    applied, counts = Applied(Counter(), {}), Counts(Counter)
    for identity, raw in batch:
        try:
            applied.effects[_apply(raw, ledger, suppressions, responses, counts)] += 1
        except Exception as error:  # whatever it is, the rest of the batch does not wait for it
            applied.failed[identity] = error
    at = clock.now().isoformat(timespec="milliseconds")
    for run, changes in counts.items():
        ledger.count(run, changes, at)
    return applied


def _apply(
    raw: str, ledger: Ledger, suppressions: Suppressions, responses: Responses, counts: Counts
) -> News | Engagement:
    """Raises ContractError for what is no event of SES."""
    try:
        event = msgspec.json.decode(raw, type=_Event)
    except msgspec.DecodeError as error:
        raise ContractError(f"this is not an event of SES: {error}.") from error
    if event.event_type in ("Open", "Click"):
        return _engage(event, ledger, responses)
    effect, detail = _effect(event, suppressions)
    state: DeliveryState | None = "bounced" if effect == "soft_bounced" else None if effect == "ignored" else effect
    tags = _tags(event)
    if state and "campaign" in tags and "run" in tags:
        run = campaign_run(tags["campaign"], tags["run"])
        before = ledger.settle(run, user_of(tags), state, detail)
        if before is not None:
            counts[run].update({state: 1})
            counts[run].subtract({before: 1})
    return effect


def _engage(event: _Event, ledger: Ledger, responses: Responses) -> Engagement | Literal["ignored"]:
    """Note an open or a click; by a machine where its name or its haste says so."""
    done = event.open or event.click
    tags = _tags(event)
    user_id = user_of(tags)
    if done is None or not user_id or "campaign" not in tags or "run" not in tags:
        return "ignored"
    entry = ledger.find(campaign_run(tags["campaign"], tags["run"]), [user_id]).get(user_id)
    delivered_at = entry.detail if entry and entry.state == "delivered" else ""
    at, begun = datetime.fromisoformat(done.timestamp), delivered_at or event.mail.timestamp
    after_s = (at - datetime.fromisoformat(begun)).total_seconds() if begun else math.inf
    machine = by_machine(done.user_agent, after_s)
    kind: Engagement = "scanned" if machine else "clicked" if event.click else "opened"
    responses.note(
        Response(
            user_id=user_id,
            item_id=item_of(done.link),
            kind=kind,
            campaign=tags["campaign"],
            run_id=tags["run"],
            times=(at.astimezone(UTC).isoformat(timespec="milliseconds"),),
        )
    )
    return kind


def _tags(event: _Event) -> dict[str, str]:
    return {name: values[0] for name, values in event.mail.tags.items() if values}


def _effect(event: _Event, suppressions: Suppressions) -> tuple[News, str]:
    match event.event_type or event.notification_type:
        case "Bounce" if event.bounce:
            bounce = event.bounce
            hashes = _hashes(bounce.bounced_recipients, event.mail.destination)
            if bounce.bounce_type == "Permanent":
                for known_by in hashes:
                    suppressions.add(known_by, "bounced", bounce.timestamp)
                return "bounced", f"Permanent/{bounce.bounce_sub_type}"
            for known_by in hashes:
                if suppressions.add_soft_bounce(known_by, bounce.feedback_id, bounce.timestamp) >= SOFT_BOUNCES:
                    suppressions.add(known_by, "bounced", bounce.timestamp)
            return "soft_bounced", f"{bounce.bounce_type}/{bounce.bounce_sub_type}"
        case "Complaint" if event.complaint and event.complaint.complaint_feedback_type != "not-spam":
            for known_by in _hashes(event.complaint.complained_recipients, event.mail.destination):
                suppressions.add(known_by, "complained", event.complaint.timestamp)
            return "complained", event.complaint.complaint_feedback_type or ""
        case "Delivery":
            return "delivered", event.delivery.timestamp if event.delivery else ""
        case "Send":
            return "sent", ""
        case "Reject":
            return "rejected", "SES found malware in it"
    return "ignored", ""


def _hashes(named: list[_Address], destination: list[str]) -> list[str]:
    """Of the addresses an event names; of the message's own where a receiving server garbled them."""
    for addresses in ([one.email_address for one in named], destination):
        try:
            return [address_hash(address.rpartition("<")[2].rstrip(">")) for address in addresses]
        except MessageRejectedError:
            continue
    return []
