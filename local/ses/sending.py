"""SendEmail: a request of moto's in; a message in the mailbox, its events and its id, or an error of SES, out."""

from __future__ import annotations

import dataclasses
import email
import json
import uuid
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import JsonRESTError

from local.ses import events
from local.ses.account import QuotaExceededError
from local.ses.mailbox import Posted
from local.ses.message import BadRequestError, Message, as_delivered, read_message

if TYPE_CHECKING:
    from local.server import EmbeddedAws

SIMULATOR = "simulator.amazonses.com"
_VIRUS = b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE"


class SesError(JsonRESTError):  # type: ignore[misc]
    """An error of SES with its HTTP status."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.code = status


def send_email(request: Any, aws: EmbeddedAws) -> dict[str, Any]:
    account = aws.ses.account
    try:
        message = _with_identity(request, aws, read_message(json.loads(request.body)))
        account.take(len(message.recipients))
    except BadRequestError as error:
        raise SesError(400, "BadRequestException", str(error)) from error
    except QuotaExceededError as error:
        raise SesError(429, "TooManyRequestsException", str(error)) from error
    message_id, sent_at = f"{uuid.uuid4().hex[:16]}-{uuid.uuid4()}-000000", datetime.now(tz=UTC)
    outcomes = _outcomes(request, aws, message)
    aws.ses.mailbox.post(
        Posted(
            message_id,
            sent_at.isoformat(timespec="milliseconds"),
            message.source,
            outcomes,
            message.tags,
            message.configuration_set,
            as_delivered(message.mime, message_id, aws.region, sent_at),
        )
    )
    told = events.MessageEvents(message, message_id, sent_at, aws, _caller(request, aws))
    for event in _events(told, outcomes):
        aws.ses.events.publish(message.configuration_set, event)
    return {"MessageId": message_id}


def _with_identity(request: Any, aws: EmbeddedAws, message: Message) -> Message:
    """The message with its sender's default configuration set. Raises SesError for an identity that is not verified."""
    core = request.sesv2_backend.core_backend
    must_be_verified = [*message.senders]
    if not aws.ses.account.production_access:
        must_be_verified += [a for a in message.recipients if not a.endswith(f"@{SIMULATOR}")]
    unverified = [address for address in must_be_verified if _identity(core, address) is None]
    if unverified:
        failed = f"The following identities failed the check in region {aws.region.upper()}: {', '.join(unverified)}"
        raise SesError(400, "MessageRejected", f"Email address is not verified. {failed}")
    name = message.configuration_set or _identity(core, message.source).configuration_set_name
    if name and name not in core.config_sets:
        raise SesError(404, "NotFoundException", f"Configuration set <{name}> does not exist.")
    return dataclasses.replace(message, configuration_set=name)


def _identity(core: Any, address: str) -> Any:
    """The verified identity that covers the address: itself, without its label, or a domain above it."""
    local, _, domain = parseaddr(address)[1].lower().rpartition("@")
    labels = domain.split(".")
    covering = [f"{local}@{domain}", f"{local.partition('+')[0]}@{domain}"]
    covering += [".".join(labels[start:]) for start in range(len(labels))]
    known = {name.lower(): identity for name, identity in core.email_identities.items()}
    return next((known[name] for name in covering if name in known), None)


def _outcomes(request: Any, aws: EmbeddedAws, message: Message) -> dict[str, str]:
    """What becomes of the message at each recipient."""
    account, addresses = aws.ses.account, [parseaddr(recipient)[1] for recipient in message.recipients]
    if _holds_virus(message.mime):
        return dict.fromkeys(addresses, "rejected")
    reasons = _suppressed_reasons(request, aws, message.configuration_set)
    outcomes: dict[str, str] = {}
    for address in addresses:
        entry = account.suppressed(address)
        local, _, domain = address.lower().partition("@")
        simulated = local.partition("+")[0] if domain == SIMULATOR else ""
        if (entry and entry.reason in reasons) or simulated == "suppressionlist":
            outcomes[address] = "suppressed"
        else:
            outcomes[address] = {"bounce": "bounced", "complaint": "complained"}.get(simulated, "delivered")
    return outcomes


def _suppressed_reasons(request: Any, aws: EmbeddedAws, configuration_set: str | None) -> frozenset[str]:
    """A configuration set may suppress for other reasons than the account does."""
    known = request.sesv2_backend.core_backend.config_sets.get(configuration_set)
    options = known.suppression_options if known else {}
    if "SuppressedReasons" in options:
        return frozenset(options["SuppressedReasons"])
    return aws.ses.account.suppressed_reasons


def _holds_virus(mime: bytes) -> bool:
    if b"attachment" not in mime.lower():
        return _VIRUS in mime
    parts = email.message_from_bytes(mime).walk()
    return any(_VIRUS in (part.get_payload(decode=True) or b"") for part in parts if not part.is_multipart())


def _events(told: events.MessageEvents, outcomes: dict[str, str]) -> list[dict[str, Any]]:
    by_outcome: dict[str, list[str]] = {}
    for address, outcome in outcomes.items():
        by_outcome.setdefault(outcome, []).append(address)
    happened = [told.send()]
    if "rejected" in by_outcome:
        return [*happened, told.reject()]
    arrived = by_outcome.get("delivered", []) + by_outcome.get("complained", [])
    if arrived:
        happened.append(told.delivery(arrived))
    if "bounced" in by_outcome:
        happened.append(told.bounce(by_outcome["bounced"]))
    if "suppressed" in by_outcome:
        happened.append(told.bounce(by_outcome["suppressed"], "OnAccountSuppressionList"))
    if "complained" in by_outcome:
        happened.append(told.complaint(by_outcome["complained"]))
    return happened


def _caller(request: Any, aws: EmbeddedAws) -> str:
    principal = aws.gateway.principals.get(request.get_access_key())
    return principal.role_arn.rpartition("/")[2] if principal else "root"
