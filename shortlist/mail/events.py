"""An event that SES publishes about a message in; the ledger entry and the suppression list brought up to date.

Hard bounces and complaints suppress an address at once, three soft bounces do so too. The tags that the message was
sent with say whose entry in the ledger it is, so an event also settles an entry in doubt. Events come late, more than
once and in any order; every write here may be repeated.
"""

from typing import Final, Literal

import msgspec

from shortlist.contracts.records import DeliveryState, campaign_run
from shortlist.errors import ContractError, MessageRejectedError
from shortlist.mail.address import address_hash
from shortlist.mail.tags import user_of
from shortlist.ports import Ledger, Suppressions

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


def apply_event(raw: str | bytes, *, ledger: Ledger, suppressions: Suppressions) -> Effect:
    """Take note of one event.

    Args:
        raw: the JSON that SES publishes.

    Returns:
        What kind of news it was.

    Raises:
        ContractError: it is not an event of SES.
    """
    try:
        event = msgspec.json.decode(raw, type=_Event)
    except msgspec.DecodeError as error:
        raise ContractError(f"this is not an event of SES: {error}.") from error
    effect, detail = _effect(event, suppressions)
    state: DeliveryState | None = "bounced" if effect == "soft_bounced" else None if effect == "ignored" else effect
    tags = {name: values[0] for name, values in event.mail.tags.items() if values}
    if state and "campaign" in tags and "run" in tags:
        ledger.settle(campaign_run(tags["campaign"], tags["run"]), user_of(tags), state, detail)
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
