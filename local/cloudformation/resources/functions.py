"""Functions, state machines and schedules of a template: properties come in, what runs goes out."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from local.cloudformation.resources.kind import Context, Kind, Made, Properties, document, only, without

_FUNCTION_DEFAULTS: Properties = {"Environment": {"Variables": {}}, "Layers": []}


def _code(properties: Properties) -> dict[str, Any]:
    """The code's place; source that stands in the template becomes the module `index`."""
    code = dict(properties["Code"])
    if "ZipFile" in code:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as files:
            files.writestr("index.py", code["ZipFile"])
        code["ZipFile"] = packed.getvalue()
    return code


def _create_function(context: Context, properties: Properties) -> Made:
    name = properties.get("FunctionName") or context.name(64)
    rest = without(properties, "Code", "FunctionName", "ReservedConcurrentExecutions")
    made = context.call("lambda", "CreateFunction", rest, FunctionName=name, Code=_code(properties))
    _reserve(context, name, properties)
    return Made(name, {"Arn": made["FunctionArn"]})


def _update_function(context: Context, made: Made, before: Properties, now: Properties) -> None:
    client, name = context.client("lambda"), made.physical_id
    if now["Code"] != before["Code"] or now.get("Architectures") != before.get("Architectures"):
        client.update_function_code(FunctionName=name, **_code(now))
    emptied = {name: empty for name, empty in _FUNCTION_DEFAULTS.items() if name in before}
    rest = {**emptied, **without(now, "Code", "FunctionName")}
    context.call("lambda", "UpdateFunctionConfiguration", rest, FunctionName=name)
    _reserve(context, name, now)


def _reserve(context: Context, name: str, properties: Properties) -> None:
    if "ReservedConcurrentExecutions" in properties:
        reserved = int(properties["ReservedConcurrentExecutions"])
        context.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)


def _delete_function(context: Context, made: Made, _: Properties) -> None:
    context.client("lambda").delete_function(FunctionName=made.physical_id)


def _create_layer(context: Context, properties: Properties) -> Made:
    name = properties.get("LayerName") or context.name(140)
    made = context.call("lambda", "PublishLayerVersion", without(properties, "LayerName"), LayerName=name)
    return Made(made["LayerVersionArn"], {"LayerVersionArn": made["LayerVersionArn"]})


def _delete_layer(context: Context, made: Made, _: Properties) -> None:
    name, version = made.physical_id.split(":")[-2:]
    context.client("lambda").delete_layer_version(LayerName=name, VersionNumber=int(version))


def _create_permission(context: Context, properties: Properties) -> Made:
    statement = context.name(100)
    context.call("lambda", "AddPermission", properties, StatementId=statement)
    return Made(statement, {"Id": statement})


def _delete_permission(context: Context, made: Made, properties: Properties) -> None:
    client = context.client("lambda")
    try:
        client.remove_permission(FunctionName=properties["FunctionName"], StatementId=made.physical_id)
    except client.exceptions.ResourceNotFoundException:  # the function went before it
        return


def _create_url(context: Context, properties: Properties) -> Made:
    function = properties["TargetFunctionArn"]
    rest = without(properties, "TargetFunctionArn")
    url = context.call("lambda", "CreateFunctionUrlConfig", rest, FunctionName=function)
    return Made(url["FunctionArn"], {"FunctionArn": url["FunctionArn"], "FunctionUrl": url["FunctionUrl"]})


def _update_url(context: Context, made: Made, _: Properties, now: Properties) -> None:
    rest = without(now, "TargetFunctionArn")
    context.call("lambda", "UpdateFunctionUrlConfig", rest, FunctionName=made.physical_id)


def _delete_url(context: Context, made: Made, _: Properties) -> None:
    context.client("lambda").delete_function_url_config(FunctionName=made.physical_id)


def _put_invoke_config(context: Context, properties: Properties) -> Made:
    context.call("lambda", "PutFunctionEventInvokeConfig", without(properties, "Qualifier"))
    return Made(context.name(64))


def _update_invoke_config(context: Context, _: Made, __: Properties, now: Properties) -> None:
    context.call("lambda", "PutFunctionEventInvokeConfig", without(now, "Qualifier"))


def _delete_invoke_config(context: Context, _: Made, properties: Properties) -> None:
    context.client("lambda").delete_function_event_invoke_config(FunctionName=properties["FunctionName"])


_MAPPING_DEFAULTS = {
    "BatchSize": 10,
    "Enabled": True,
    "FunctionResponseTypes": [],
    "MaximumBatchingWindowInSeconds": 0,
}


def _create_mapping(context: Context, properties: Properties) -> Made:
    made = context.call("lambda", "CreateEventSourceMapping", without(properties, "Tags"))
    return Made(made["UUID"], {"Id": made["UUID"], "EventSourceMappingArn": made["EventSourceMappingArn"]})


def _update_mapping(context: Context, made: Made, before: Properties, now: Properties) -> None:
    """What is no longer said goes back to what the service begins with."""
    defaults = {name: value for name, value in _MAPPING_DEFAULTS.items() if name in before}
    rest = {**defaults, **without(now, "EventSourceArn", "Tags")}
    context.call("lambda", "UpdateEventSourceMapping", rest, UUID=made.physical_id)


def _delete_mapping(context: Context, made: Made, _: Properties) -> None:
    context.client("lambda").delete_event_source_mapping(UUID=made.physical_id)


def _definition(properties: Properties) -> str:
    """The definition with each `${name}` replaced by its substitution."""
    text = str(properties.get("DefinitionString") or json.dumps(properties["Definition"]))
    for name, value in properties.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{name}}}", json.dumps(str(value))[1:-1])
    return text


def _machine(properties: Properties) -> dict[str, Any]:
    return only(properties, "LoggingConfiguration", "RoleArn", "TracingConfiguration")


def _create_machine(context: Context, properties: Properties) -> Made:
    given = {
        "name": properties.get("StateMachineName") or context.name(80),
        "definition": _definition(properties),
        "type": properties.get("StateMachineType", "STANDARD"),
        "tags": [{"key": tag["Key"], "value": tag["Value"]} for tag in properties.get("Tags", ())],
    }
    made = context.call("stepfunctions", "CreateStateMachine", _machine(properties), **given)
    return Made(made["stateMachineArn"], {"Arn": made["stateMachineArn"], "Name": given["name"]})


def _update_machine(context: Context, made: Made, _: Properties, now: Properties) -> None:
    given = {"stateMachineArn": made.physical_id, "definition": _definition(now)}
    context.call("stepfunctions", "UpdateStateMachine", _machine(now), **given)


def _delete_machine(context: Context, made: Made, _: Properties) -> None:
    context.client("stepfunctions").delete_state_machine(stateMachineArn=made.physical_id)


def _create_schedule(context: Context, properties: Properties) -> Made:
    name = properties.get("Name") or context.name(64)
    arn = context.call("scheduler", "CreateSchedule", without(properties, "Name"), Name=name)["ScheduleArn"]
    return Made(name, {"Arn": arn})


def _update_schedule(context: Context, made: Made, _: Properties, now: Properties) -> None:
    context.call("scheduler", "UpdateSchedule", without(now, "Name"), Name=made.physical_id)


def _delete_schedule(context: Context, made: Made, properties: Properties) -> None:
    group = {"GroupName": properties["GroupName"]} if "GroupName" in properties else {}
    client = context.client("scheduler")
    try:
        client.delete_schedule(Name=made.physical_id, **group)
    except client.exceptions.ResourceNotFoundException:  # its group went before it
        return


def _create_group(context: Context, properties: Properties) -> Made:
    name = properties.get("Name") or context.name(64)
    arn = context.call("scheduler", "CreateScheduleGroup", without(properties, "Name"), Name=name)
    return Made(name, {"Arn": arn["ScheduleGroupArn"]})


def _delete_group(context: Context, made: Made, _: Properties) -> None:
    context.client("scheduler").delete_schedule_group(Name=made.physical_id)


def _put_rule(context: Context, properties: Properties) -> Made:
    name = properties.get("Name") or context.name(64)
    pattern = {"EventPattern": document(properties["EventPattern"])} if "EventPattern" in properties else {}
    rest = without(properties, "Name", "EventPattern", "Targets")
    arn = context.call("events", "PutRule", rest, Name=name, **pattern)["RuleArn"]
    if properties.get("Targets"):
        bus = {"EventBusName": properties["EventBusName"]} if "EventBusName" in properties else {}
        context.call("events", "PutTargets", {"Targets": properties["Targets"]}, Rule=name, **bus)
    return Made(name, {"Arn": arn})


def _delete_rule(context: Context, made: Made, properties: Properties) -> None:
    events = context.client("events")
    targets = [target["Id"] for target in properties.get("Targets", ())]
    if targets:
        events.remove_targets(Rule=made.physical_id, Ids=targets)
    events.delete_rule(Name=made.physical_id)


KINDS = {
    "AWS::Lambda::Function": Kind(
        _create_function, _update_function, _delete_function, frozenset({"FunctionName", "PackageType"})
    ),
    "AWS::Lambda::LayerVersion": Kind(_create_layer, None, _delete_layer),
    "AWS::Lambda::Permission": Kind(_create_permission, None, _delete_permission),
    "AWS::Lambda::Url": Kind(_create_url, _update_url, _delete_url, frozenset({"TargetFunctionArn"})),
    "AWS::Lambda::EventInvokeConfig": Kind(
        _put_invoke_config, _update_invoke_config, _delete_invoke_config, frozenset({"FunctionName"})
    ),
    "AWS::Lambda::EventSourceMapping": Kind(
        _create_mapping, _update_mapping, _delete_mapping, frozenset({"EventSourceArn"})
    ),
    "AWS::StepFunctions::StateMachine": Kind(
        _create_machine, _update_machine, _delete_machine, frozenset({"StateMachineName", "StateMachineType"})
    ),
    "AWS::Scheduler::Schedule": Kind(
        _create_schedule, _update_schedule, _delete_schedule, frozenset({"Name", "GroupName"})
    ),
    "AWS::Scheduler::ScheduleGroup": Kind(_create_group, None, _delete_group),
    "AWS::Events::Rule": Kind(_put_rule, None, _delete_rule),
}
