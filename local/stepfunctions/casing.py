"""Names of members: a state's arguments in (JobName), the SDK's names out (jobName), and back again for its answers.

Step Functions writes every member with a capital first letter, whatever the service's own API does; moto skips both
directions. Names come from the service model, so keys that are the caller's data (tags, attributes) stay as they are.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.model import ListShape, MapShape, Shape, StructureShape
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import StateTaskService

if TYPE_CHECKING:
    from local.server import EmbeddedAws


def install(aws: EmbeddedAws) -> None:
    aws.replace(StateTaskService, "_normalise_parameters", _normalise_parameters)
    aws.replace(StateTaskService, "_normalise_response", _normalise_response)


def to_sdk(value: Any, shape: Shape | None) -> Any:
    """The value with each member named as the service model spells it."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        spelled: dict[str, str] = {name.lower(): name for name in shape.members}
        named: dict[str, Any] = {spelled.get(str(key).lower(), str(key)): member for key, member in value.items()}
        return {key: to_sdk(member, shape.members.get(key)) for key, member in named.items()}
    return _members(value, shape, to_sdk)


def from_sdk(value: Any, shape: Shape | None) -> Any:
    """The value with a capital first letter on each member of the service model."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        return {
            key[:1].upper() + key[1:] if key in shape.members else key: from_sdk(member, shape.members.get(key))
            for key, member in value.items()
        }
    return _members(value, shape, from_sdk)


def _members(value: Any, shape: Shape | None, convert: Any) -> Any:
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [convert(member, shape.member) for member in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: convert(member, shape.value) for key, member in value.items()}
    return value


@functools.lru_cache
def _shapes(service: str, action: str) -> tuple[Shape | None, Shape | None]:
    model = botocore.session.get_session().get_service_model(service)
    wanted = action.replace("_", "").lower()
    for name in model.operation_names:
        if name.lower() == wanted:
            return model.operation_model(name).input_shape, model.operation_model(name).output_shape
    return None, None


def _normalise_parameters(
    self: Any, parameters: dict[str, Any], boto_service_name: str | None = None, service_action_name: str | None = None
) -> None:
    service, action = self._get_boto_service_name(boto_service_name), self._get_boto_service_action(service_action_name)
    named = to_sdk(parameters, _shapes(service, action)[0])
    parameters.clear()
    parameters.update(named)


def _normalise_response(
    self: Any, response: Any, boto_service_name: str | None = None, service_action_name: str | None = None
) -> None:
    service, action = self._get_boto_service_name(boto_service_name), self._get_boto_service_action(service_action_name)
    if isinstance(response, dict) and service != "lambda":  # its payload is already the function's own JSON
        named = from_sdk(response, _shapes(service, action)[1])
        response.clear()
        response.update(named)
