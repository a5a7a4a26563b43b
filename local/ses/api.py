"""The operations of SES v2: moto's parsed requests in, JSON answers or SES's errors out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from moto.sesv2 import urls
from moto.sesv2.responses import SESV2Response

from local.ses import events
from local.ses.sending import SesError, send_email

if TYPE_CHECKING:
    from local.server import EmbeddedAws

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
