"""The operations of SES v2: moto's parsed requests in, JSON answers or SES's errors out."""

from __future__ import annotations

import email
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from moto.core.exceptions import JsonRESTError
from moto.sesv2 import urls
from moto.sesv2.responses import SESV2Response

from local.ses import events
from local.ses.account import QuotaExceededError
from local.ses.mailbox import Posted
from local.ses.message import BadRequestError, Message, as_delivered, read_message

if TYPE_CHECKING:
    from local.server import EmbeddedAws

SIMULATOR = "simulator.amazonses.com"
_VIRUS = b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE"
_PATHS = (
    "account",
    "account/suppression",
    "suppression/addresses",
    "suppression/addresses/(?P<EmailAddress>[^/]+)",
    "configuration-sets/(?P<ConfigurationSetName>[^/]+)/event-destinations",
    "configuration-sets/(?P<ConfigurationSetName>[^/]+)/event-destinations/(?P<EventDestinationName>[^/]+)",
)
_Operation = Callable[[Any, "EmbeddedAws"], dict[str, Any]]


def install(aws: EmbeddedAws) -> None:
    for path in _PATHS:
        aws.replace_item(urls.url_paths, f"{{0}}/v2/email/{path}$", SESV2Response.dispatch)
    for operation in _OPERATIONS:
        aws.replace(SESV2Response, operation.__name__, _answering(aws, operation))


def _answering(aws: EmbeddedAws, operation: _Operation) -> Callable[[Any], str]:
    def answer(request: Any) -> str:
        return json.dumps(operation(request, aws))

    return answer


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
    return Message(message.senders, message.recipients, message.tags, name, message.mime)


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


def get_account(request: Any, aws: EmbeddedAws) -> dict[str, Any]:
    account = aws.ses.account
    return {
        "DedicatedIpAutoWarmupEnabled": False,
        "EnforcementStatus": "HEALTHY",
        "ProductionAccessEnabled": account.production_access,
        "SendQuota": {
            "Max24HourSend": account.max_24_hour_send,
            "MaxSendRate": account.max_send_rate,
            "SentLast24Hours": float(account.sent_last_24_hours()),
        },
        "SendingEnabled": True,
        "SuppressionAttributes": {"SuppressedReasons": sorted(account.suppressed_reasons)},
    }


def put_account_suppression_attributes(request: Any, aws: EmbeddedAws) -> dict[str, Any]:
    aws.ses.account.suppressed_reasons = frozenset(json.loads(request.body).get("SuppressedReasons", []))
    return {}


def put_suppressed_destination(request: Any, aws: EmbeddedAws) -> dict[str, Any]:
    given = json.loads(request.body)
    if given["Reason"] not in ("BOUNCE", "COMPLAINT"):
        raise SesError(400, "BadRequestException", f"Invalid suppression reason <{given['Reason']}>.")
    aws.ses.account.suppress(given["EmailAddress"], given["Reason"])
    return {}


def get_suppressed_destination(request: Any, aws: EmbeddedAws) -> dict[str, Any]:
    address = _path(request)[-1]
    entry = aws.ses.account.suppressed(address)
    if entry is None:
        raise _not_suppressed(address)
    told = {"EmailAddress": entry.address, "Reason": entry.reason, "LastUpdateTime": entry.since}
    attributes = {"Attributes": {"MessageId": entry.message_id}} if entry.message_id else {}
    return {"SuppressedDestination": {**told, **attributes}}


def list_suppressed_destinations(request: Any, aws: EmbeddedAws) -> dict[str, Any]:
    query = parse_qs(urlsplit(request.uri).query)
    found = aws.ses.account.suppressions(query.get("Reason", []))
    start, size = int(query.get("NextToken", ["0"])[0]), int(query.get("PageSize", ["1000"])[0])
    page = [
        {"EmailAddress": entry.address, "Reason": entry.reason, "LastUpdateTime": entry.since}
        for entry in found[start : start + size]
    ]
    more = {"NextToken": str(start + size)} if start + size < len(found) else {}
    return {"SuppressedDestinationSummaries": page, **more}


def delete_suppressed_destination(request: Any, aws: EmbeddedAws) -> dict[str, Any]:
    address = _path(request)[-1]
    if not aws.ses.account.unsuppress(address):
        raise _not_suppressed(address)
    return {}


def create_configuration_set_event_destination(request: Any, aws: EmbeddedAws) -> dict[str, Any]:
    given = json.loads(request.body)
    name, destinations = given["EventDestinationName"], _destinations(request, aws)
    if name in destinations:
        raise SesError(400, "AlreadyExistsException", f"An event destination with name <{name}> already exists.")
    destinations[name] = _destination(name, given["EventDestination"])
    return {}


def update_configuration_set_event_destination(request: Any, aws: EmbeddedAws) -> dict[str, Any]:
    name, destinations = _path(request)[-1], _destinations(request, aws)
    _existing(destinations, name)
    destinations[name] = _destination(name, json.loads(request.body)["EventDestination"])
    return {}


def get_configuration_set_event_destinations(request: Any, aws: EmbeddedAws) -> dict[str, Any]:
    return {"EventDestinations": [_told(destination) for destination in _destinations(request, aws).values()]}


def delete_configuration_set_event_destination(request: Any, aws: EmbeddedAws) -> dict[str, Any]:
    name, destinations = _path(request)[-1], _destinations(request, aws)
    _existing(destinations, name)
    del destinations[name]
    return {}


def _destinations(request: Any, aws: EmbeddedAws) -> dict[str, events.Destination]:
    configuration_set = _path(request)[3]
    if configuration_set not in request.sesv2_backend.core_backend.config_sets:
        raise SesError(404, "NotFoundException", f"Configuration set <{configuration_set}> does not exist.")
    return aws.ses.events.destinations.setdefault(configuration_set, {})


def _existing(destinations: dict[str, events.Destination], name: str) -> None:
    if name not in destinations:
        raise SesError(404, "NotFoundException", f"Event destination <{name}> does not exist.")


def _destination(name: str, given: dict[str, Any]) -> events.Destination:
    unknown = [
        key for key in given if key.endswith("Destination") and key not in ("SnsDestination", "EventBridgeDestination")
    ]
    if unknown:
        raise NotImplementedError(f"SES events to a {unknown[0]} (SNS and EventBridge are emulated)")
    types = frozenset(given.get("MatchingEventTypes", []))
    if not types <= {*events.TYPES, *events.NEVER_HAPPEN}:
        raise SesError(400, "BadRequestException", f"Unknown event types: {sorted(types - {*events.TYPES})}")
    topic, bus = given.get("SnsDestination", {}), given.get("EventBridgeDestination", {})
    return events.Destination(name, types, given.get("Enabled", False), topic.get("TopicArn"), bus.get("EventBusArn"))


def _told(destination: events.Destination) -> dict[str, Any]:
    topic, bus = destination.topic_arn, destination.event_bus_arn
    return {
        "Name": destination.name,
        "Enabled": destination.enabled,
        "MatchingEventTypes": sorted(destination.types),
        **({"SnsDestination": {"TopicArn": topic}} if topic else {}),
        **({"EventBridgeDestination": {"EventBusArn": bus}} if bus else {}),
    }


def _not_suppressed(address: str) -> SesError:
    return SesError(404, "NotFoundException", f"Email address {address} does not exist on your suppression list.")


def _path(request: Any) -> list[str]:
    """The parts of the request's path: ["v2", "email", …]."""
    return [unquote(part) for part in urlsplit(request.uri).path.strip("/").split("/")]


_OPERATIONS: tuple[_Operation, ...] = (
    send_email,
    get_account,
    put_account_suppression_attributes,
    put_suppressed_destination,
    get_suppressed_destination,
    list_suppressed_destinations,
    delete_suppressed_destination,
    create_configuration_set_event_destination,
    update_configuration_set_event_destination,
    get_configuration_set_event_destinations,
    delete_configuration_set_event_destination,
)
