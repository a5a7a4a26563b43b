"""How one type of resource is made, changed and removed through the API; and how properties become parameters of it."""

from __future__ import annotations

import json
import logging
import secrets
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Properties = dict[str, Any]
_LETTERS = string.ascii_uppercase + string.digits
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Made:
    """A resource that exists: what Ref gives, and what GetAtt gives by name."""

    physical_id: str
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """Where a resource is made: the account's clients, and the stack and logical id it is named after."""

    client: Callable[[str], Any]
    account: str
    region: str
    stack: str
    logical_id: str

    def name(self, limit: int, *, lower: bool = False) -> str:
        """A physical name as CloudFormation makes one: stack, logical id, twelve random letters, within the limit."""
        suffix = "".join(secrets.choice(_LETTERS) for _ in range(12))
        room = limit - len(suffix) - 1
        logical = self.logical_id[-max(room // 2, room - len(self.stack) - 1) :]
        name = f"{self.stack[: room - len(logical) - 1]}-{logical}-{suffix}"
        return name.lower() if lower else name

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def call(self, service: str, operation: str, properties: Mapping[str, Any], **given: Any) -> dict[str, Any]:
        """Calls an operation with those properties that it takes, in its own spelling and types, and what is given."""
        client = self.client(service)
        model = client.meta.service_model.operation_model(operation)
        parameters = fitted(properties, model.input_shape, path=f"{self.logical_id}.") if properties else {}
        method = next(name for name, api in client.meta.method_to_api_mapping.items() if api == operation)
        answer: dict[str, Any] = getattr(client, method)(**{**parameters, **given})
        return answer


Create = Callable[[Context, Properties], Made]
Update = Callable[[Context, Made, Properties, Properties], None]  # made, properties before, properties now
Delete = Callable[[Context, Made, Properties], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """One type. A change of a property in `fixed`, or any change without `update`, makes a new resource."""

    create: Create
    update: Update | None = None
    delete: Delete | None = None
    fixed: frozenset[str] = frozenset()


def upsert(create: Create, delete: Delete, fixed: Iterable[str]) -> Kind:
    """A type whose API has one operation to put it, whether it is there or not."""

    def update(context: Context, made: Made, _: Properties, now: Properties) -> None:
        again = create(context, now)
        made.physical_id, made.attributes = again.physical_id, again.attributes

    return Kind(create, update, delete, frozenset(fixed))


def deleter(service: str, operation: str, parameter: str) -> Delete:
    """Removes by the physical id."""

    def delete(context: Context, made: Made, _: Properties) -> None:
        context.call(service, operation, {}, **{parameter: made.physical_id})

    return delete


def fitted(value: Any, shape: Any, path: str = "") -> Any:
    """A property as the API's shape wants it: member names by their letters, texts as numbers, tags as a map.

    What the shape has no member for is left out and logged: the embedded AWS does nothing with it.
    """
    kind = shape.type_name
    if kind == "structure":
        members = {name.lower(): name for name in shape.members}
        result = {}
        for name, item in value.items():
            member = members.get(name.lower())
            if member is None:
                _log.info("property_not_applied %s%s", path, name)
            else:
                result[member] = fitted(item, shape.members[member], f"{path}{name}.")
        return result
    if kind == "list":
        return [fitted(item, shape.member, path) for item in (value if isinstance(value, list) else [value])]
    if kind == "map":
        pairs = {item["Key"]: item["Value"] for item in value} if isinstance(value, list) else value
        return {name: fitted(item, shape.value, path) for name, item in pairs.items()}
    if kind in {"integer", "long"}:
        return int(value)
    if kind in {"double", "float"}:
        return float(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if kind == "string" and not isinstance(value, str):
        if isinstance(value, bool):
            return str(value).lower()
        return json.dumps(value) if isinstance(value, (dict, list)) else str(value)
    return value


def document(policy: Any) -> str:
    return policy if isinstance(policy, str) else json.dumps(policy)


def only(properties: Properties, *names: str) -> Properties:
    return {name: value for name, value in properties.items() if name in names}


def without(properties: Properties, *names: str) -> Properties:
    return {name: value for name, value in properties.items() if name not in names}
