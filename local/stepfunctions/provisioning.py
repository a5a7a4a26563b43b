"""AWS::StepFunctions::StateMachine: a resource of a template in, a state machine that executes out.

moto's CloudFormation puts state machines where nothing runs them, and knows neither substitutions nor `GetAtt Arn`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.stepfunctions import models
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.parser.models import stepfunctions_parser_backends

if TYPE_CHECKING:
    from local.server import EmbeddedAws

_UNDERSTOOD = {
    "DefinitionString", "Definition", "DefinitionSubstitutions", "LoggingConfiguration", "RoleArn", "StateMachineName",
    "StateMachineType", "Tags", "TracingConfiguration",
}  # fmt: skip


def install(aws: EmbeddedAws) -> None:
    aws.replace(models, "stepfunctions_backends", stepfunctions_parser_backends)
    aws.replace(StateMachine, "create_from_cloudformation_json", classmethod(_create))
    aws.replace(StateMachine, "update_from_cloudformation_json", classmethod(_update))
    aws.replace(StateMachine, "has_cfn_attr", classmethod(lambda cls, attr: attr in ("Arn", "Name")))
    aws.replace(StateMachine, "get_cfn_attribute", _attribute)


def definition_of(properties: dict[str, Any]) -> str:
    """The definition with each `${name}` replaced by its substitution."""
    unknown = properties.keys() - _UNDERSTOOD
    if unknown:
        raise NotImplementedError(f"AWS::StepFunctions::StateMachine with {', '.join(sorted(unknown))}")
    text = str(properties.get("DefinitionString") or json.dumps(properties["Definition"]))
    for name, value in properties.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{name}}}", json.dumps(str(value))[1:-1])
    return text


def _create(
    cls: Any, /, resource_name: str, cloudformation_json: dict[str, Any], account_id: str, region_name: str, **_: Any
) -> Any:
    properties = cloudformation_json["Properties"]
    return stepfunctions_parser_backends[account_id][region_name].create_state_machine(
        name=properties.get("StateMachineName", resource_name)[:80],
        definition=definition_of(properties),
        roleArn=properties["RoleArn"],
        tags=[{"key": tag["Key"], "value": tag["Value"]} for tag in properties.get("Tags", [])],
        loggingConfiguration=_camel(properties.get("LoggingConfiguration")),
        tracingConfiguration=_camel(properties.get("TracingConfiguration")),
        sm_type=properties.get("StateMachineType", "STANDARD"),
    )


def _update(
    cls: Any,
    /,
    original_resource: Any,
    new_resource_name: str,
    cloudformation_json: dict[str, Any],
    account_id: str,
    region_name: str,
) -> Any:
    properties = cloudformation_json["Properties"]
    if properties.get("StateMachineName", original_resource.name) != original_resource.name:
        raise NotImplementedError("AWS::StepFunctions::StateMachine: a new StateMachineName replaces the machine")
    return stepfunctions_parser_backends[account_id][region_name].update_state_machine(
        original_resource.arn,
        definition=definition_of(properties),
        role_arn=properties["RoleArn"],
        logging_configuration=_camel(properties.get("LoggingConfiguration")),
        tracing_configuration=_camel(properties.get("TracingConfiguration")),
    )


def _attribute(self: Any, attribute_name: str) -> str:
    return str({"Arn": self.arn, "Name": self.name}[attribute_name])


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: _camel(member) for key, member in value.items()}
    return [_camel(member) for member in value] if isinstance(value, list) else value
