"""Events that SES publishes about messages in; their ledger entries and the suppression list brought up to date.

Hard bounces and complaints suppress an address at once, three soft bounces do so too. The tags that the message was
sent with say whose entry in the ledger it is, so an event also settles an entry in doubt. Events come late, more than
once and in any order; every write here may be repeated. Only a run's counts are added to, once for a batch: one item
for all its messages would not bear a write for each. What a batch that is killed has settled is not counted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from shortlist.contracts.records import DeliveryState, campaign_run
from shortlist.errors import ContractError, MessageRejectedError
from shortlist.mail.address import address_hash
from shortlist.mail.tags import user_of
from shortlist.ports import Clock, Ledger, Suppressions

SOFT_BOUNCES: Final = 3
"""So many temporary bounces suppress an address."""


class _Mail(msgspec.Struct):
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


class _Event(msgspec.Struct, rename="camel"):
    """The parts of an SES event that matter here."""

    mail: _Mail
    event_type: str = ""
    notification_type: str = ""
    bounce: _Bounce | None = None
    complaint: _Complaint | None = None


Effect = Literal["ignored", "sent", "delivered", "rejected", "bounced", "soft_bounced", "complained"]


Counts = defaultdict[str, Counter[DeliveryState]]
"""How the counts of each run's messages by state change."""


class Applied(msgspec.Struct):
    """What a batch of events came to."""

    effects: Counter[str]
    failed: dict[str, Exception]


def apply_events(
    batch: Iterable[tuple[str, str]], *, ledger: Ledger, suppressions: Suppressions, clock: Clock
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
            applied.effects[_apply(raw, ledger, suppressions, counts)] += 1
        except Exception as error:  # whatever it is, the rest of the batch does not wait for it
            applied.failed[identity] = error
    at = clock.now().isoformat(timespec="milliseconds")
    for run, changes in counts.items():
        ledger.count(run, changes, at)
    return applied


def _apply(raw: str, ledger: Ledger, suppressions: Suppressions, counts: Counts) -> Effect:
    """Raises ContractError for what is no event of SES."""
    try:
        event = msgspec.json.decode(raw, type=_Event)
    except msgspec.DecodeError as error:
        raise ContractError(f"this is not an event of SES: {error}.") from error
    effect, detail = _effect(event, suppressions)
    state: DeliveryState | None = "bounced" if effect == "soft_bounced" else None if effect == "ignored" else effect
    tags = {name: values[0] for name, values in event.mail.tags.items() if values}
    if state and "campaign" in tags and "run" in tags:
        run = campaign_run(tags["campaign"], tags["run"])
        before = ledger.settle(run, user_of(tags), state, detail)
        if before is not None:
            counts[run].update({state: 1})
            counts[run].subtract({before: 1})
    return effect


def _effect(event: _Event, suppressions: Suppressions) -> tuple[Effect, str]:
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
            return "delivered", ""
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
