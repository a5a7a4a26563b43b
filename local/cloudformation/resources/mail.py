"""SES of a template: properties come in, identities, configuration sets and event destinations go out."""

from __future__ import annotations

import re

from local.cloudformation.resources.kind import Context, Kind, Made, Properties, without


def _create_identity(context: Context, properties: Properties) -> Made:
    name = properties["EmailIdentity"]
    own = {"EmailIdentity": name}
    if configuration := properties.get("ConfigurationSetAttributes", {}).get("ConfigurationSetName"):
        own["ConfigurationSetName"] = configuration
    context.client("sesv2").create_email_identity(**own)
    tokens = {f"DkimDNSToken{part}{number}": f"dkim{number}" for number in (1, 2, 3) for part in ("Name", "Value")}
    return Made(name, {"EmailIdentityArn": context.arn("ses", f"identity/{name}"), **tokens})


def _update_identity(context: Context, made: Made, before: Properties, now: Properties) -> None:
    """DKIM, the MAIL FROM domain and feedback are not emulated; only the name would matter, and it is fixed."""


def _delete_identity(context: Context, made: Made, _: Properties) -> None:
    context.client("sesv2").delete_email_identity(EmailIdentity=made.physical_id)


def _create_set(context: Context, properties: Properties) -> Made:
    name = properties.get("Name") or context.name(64)
    rest = without(properties, "Name")
    context.call("sesv2", "CreateConfigurationSet", rest, ConfigurationSetName=name)
    return Made(name)


def _delete_set(context: Context, made: Made, _: Properties) -> None:
    context.client("sesv2").delete_configuration_set(ConfigurationSetName=made.physical_id)


def _destination(properties: Properties) -> Properties:
    """CloudFormation writes `renderingFailure` and `TopicARN` where the API has RENDERING_FAILURE and TopicArn."""
    given = properties["EventDestination"]
    events = [re.sub(r"(?<!^)(?=[A-Z])", "_", event).upper() for event in given["MatchingEventTypes"]]
    return {"EventDestination": {**without(given, "Name"), "MatchingEventTypes": events}}


def _create_destination(context: Context, properties: Properties) -> Made:
    name = properties["EventDestination"].get("Name") or context.name(64)
    own = {"ConfigurationSetName": properties["ConfigurationSetName"], "EventDestinationName": name}
    context.call("sesv2", "CreateConfigurationSetEventDestination", _destination(properties), **own)
    return Made(name, {"Id": name})


def _delete_destination(context: Context, made: Made, properties: Properties) -> None:
    client = context.client("sesv2")
    own = {"ConfigurationSetName": properties["ConfigurationSetName"], "EventDestinationName": made.physical_id}
    try:
        client.delete_configuration_set_event_destination(**own)
    except client.exceptions.NotFoundException:  # its configuration set went before it
        return


KINDS = {
    "AWS::SES::EmailIdentity": Kind(_create_identity, _update_identity, _delete_identity, frozenset({"EmailIdentity"})),
    "AWS::SES::ConfigurationSet": Kind(_create_set, None, _delete_set),
    "AWS::SES::ConfigurationSetEventDestination": Kind(_create_destination, None, _delete_destination),
}
