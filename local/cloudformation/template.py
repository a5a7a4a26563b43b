"""A template and its parameters come in; resources in the order of their dependencies, with their values, go out."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

Properties = dict[str, Any]
Getter = Callable[[str, str], Any]

_SUBSTITUTION = re.compile(r"\$\{(!?)([^}]*)\}")
_DYNAMIC = re.compile(r"\{\{resolve:(ssm|ssm-secure|secretsmanager):([^}]*)\}\}")
_NO_VALUE = object()
PSEUDO_PARAMETERS = frozenset(
    f"AWS::{name}"
    for name in ("AccountId", "NoValue", "NotificationARNs", "Partition", "Region", "StackId", "StackName", "URLSuffix")
)


class TemplateError(Exception):
    """The template cannot be applied; CloudFormation answers ValidationError with this message."""


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x`, `!GetAtt a.b`, `!Sub ...`."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        value = None
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def parse(text: str) -> dict[str, Any]:
    """
    Raises:
        TemplateError: it is neither JSON nor YAML, or has no resources.
    """
    try:
        template = json.loads(text)
    except ValueError:
        try:
            template = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with more tags
        except yaml.YAMLError as error:
            raise TemplateError(f"Template format error: {error}") from None
    if not isinstance(template, dict) or not template.get("Resources"):
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    return template


class Scope:
    """Where the names of a template find their values.

    `attribute(logical_id, "")` gives what Ref gives, `attribute(logical_id, name)` what GetAtt gives, both for a
    resource that exists already.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, Any],
        pseudo: Mapping[str, Any],
        attribute: Getter,
        exports: Mapping[str, str],
        secret: Callable[[str, str], str],
    ) -> None:
        self._template = template
        self._names = {**pseudo, **parameters}
        self._attribute = attribute
        self._exports = exports
        self._secret = secret
        self._conditions: dict[str, bool] = {}

    def value(self, expression: Any) -> Any:
        """The expression with every intrinsic function replaced by its value."""
        result = self._evaluate(expression)
        return None if result is _NO_VALUE else result

    def condition(self, name: str) -> bool:
        if name not in self._conditions:
            conditions = self._template.get("Conditions", {})
            if name not in conditions:
                raise TemplateError(f"Template error: unresolved condition dependency {name}")
            self._conditions[name] = bool(self._evaluate(conditions[name]))
        return self._conditions[name]

    def _evaluate(self, expression: Any) -> Any:
        if isinstance(expression, list):
            return [item for item in map(self._evaluate, expression) if item is not _NO_VALUE]
        if isinstance(expression, str):
            return _DYNAMIC.sub(lambda found: self._secret(found.group(1), found.group(2)), expression)
        if not isinstance(expression, dict):
            return expression
        if len(expression) == 1:
            [(name, argument)] = expression.items()
            if name == "Ref":
                return self._reference(argument)
            if name == "Condition" and isinstance(argument, str) and argument in self._template.get("Conditions", {}):
                return self.condition(argument)
            if name.startswith("Fn::"):
                return self._call(name, argument)
        evaluated = {key: self._evaluate(value) for key, value in expression.items()}
        return {key: value for key, value in evaluated.items() if value is not _NO_VALUE}

    def _reference(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return _NO_VALUE
        return self._names[name] if name in self._names else self._attribute(name, "")

    def _call(self, name: str, argument: Any) -> Any:
        if name == "Fn::GetAtt":
            logical_id, _, attribute = (
                argument.partition(".") if isinstance(argument, str) else (*argument[:1], "", argument[1])
            )
            return self._attribute(logical_id, self._evaluate(attribute))
        if name == "Fn::If":
            return self._evaluate(argument[1] if self.condition(argument[0]) else argument[2])
        if name == "Fn::Sub":
            return self._substitute(argument)
        function = _FUNCTIONS.get(name)
        if name == "Fn::GetAZs":
            return [f"{self._evaluate(argument) or self._names['AWS::Region']}{zone}" for zone in "abc"]
        if name == "Fn::FindInMap":
            return self._find_in_map(argument)
        if name == "Fn::ImportValue":
            export = self._evaluate(argument)
            if export not in self._exports:
                raise TemplateError(f"No export named {export} found.")
            return self._exports[export]
        if function is None:
            raise TemplateError(f"Template error: the embedded AWS does not know the function {name}")
        return function(self._evaluate(argument))

    def _substitute(self, argument: Any) -> str:
        text, names = (argument, {}) if isinstance(argument, str) else argument

        def replace(found: re.Match[str]) -> str:
            literal, name = found.groups()
            if literal:
                return f"${{{name}}}"
            if name in names:
                return str(self._evaluate(names[name]))
            logical_id, dot, attribute = name.strip().partition(".")
            return str(self._attribute(logical_id, attribute) if dot else self._reference(name.strip()))

        return str(self._evaluate(_SUBSTITUTION.sub(replace, text)))

    def _find_in_map(self, argument: list[Any]) -> Any:
        table, first, second = (self._evaluate(part) for part in argument[:3])
        try:
            return self._template["Mappings"][table][first][second]
        except KeyError:
            raise TemplateError(f"Template error: Unable to get mapping for {table}::{first}::{second}") from None


def _cidr(argument: list[Any]) -> list[str]:
    block, count, bits = ipaddress.ip_network(argument[0]), int(argument[1]), int((argument[2:] or [8])[0])
    subnets = block.subnets(new_prefix=block.max_prefixlen - bits)
    return [str(next(subnets)) for _ in range(count)]


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "Fn::Join": lambda given: str(given[0]).join(str(part) for part in given[1]),
    "Fn::Select": lambda given: given[1][int(given[0])],
    "Fn::Split": lambda given: given[1].split(given[0]),
    "Fn::Base64": lambda given: base64.b64encode(given.encode()).decode(),
    "Fn::ToJsonString": json.dumps,
    "Fn::Length": len,
    "Fn::Cidr": _cidr,
    "Fn::Equals": lambda given: _text(given[0]) == _text(given[1]),
    "Fn::Not": lambda given: not given[0],
    "Fn::And": all,
    "Fn::Or": any,
    "Fn::Contains": lambda given: given[1] in given[0],
}


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value if isinstance(value, (dict, list)) else str(value)


def references(expression: Any) -> Iterator[str]:
    """The names that an expression uses: of resources, parameters and pseudo parameters."""
    if isinstance(expression, list):
        for item in expression:
            yield from references(item)
    if not isinstance(expression, dict):
        return
    for name, argument in expression.items():
        if name == "Ref" and isinstance(argument, str):
            yield argument
        elif name == "Fn::GetAtt":
            yield argument.partition(".")[0] if isinstance(argument, str) else argument[0]
        elif name == "Fn::Sub":
            text, names = (argument, {}) if isinstance(argument, str) else argument
            for literal, used in _SUBSTITUTION.findall(text):
                if not literal and used not in names:
                    yield used.strip().partition(".")[0]
            yield from references(names)
        else:
            yield from references(argument)


def in_order(resources: Mapping[str, Any]) -> list[str]:
    """The logical ids, each after those it needs.

    Raises:
        TemplateError: a resource needs itself, or one that is not there.
    """
    order: list[str] = []
    path: list[str] = []

    def visit(logical_id: str) -> None:
        if logical_id in order:
            return
        if logical_id in path:
            raise TemplateError(f"Circular dependency between resources: {path[path.index(logical_id) :]}")
        path.append(logical_id)
        resource = resources[logical_id]
        named = resource.get("DependsOn", [])
        named = [named] if isinstance(named, str) else named
        for missing in named:
            if missing not in resources:
                raise TemplateError(f"Template format error: Unresolved resource dependencies [{missing}]")
        for needed in (*named, *references(resource.get("Properties", {}))):
            if needed in resources:
                visit(needed)
        path.pop()
        order.append(logical_id)

    for logical_id in resources:
        visit(logical_id)
    return order


def parameter_values(
    template: Mapping[str, Any], given: Mapping[str, str], ssm_parameter: Callable[[str], str]
) -> dict[str, Any]:
    """Name to value for every parameter of the template.

    Raises:
        TemplateError: one is missing, unknown, or not among its allowed values.
    """
    declared: dict[str, Any] = template.get("Parameters", {})
    unknown = given.keys() - declared.keys()
    if unknown:
        raise TemplateError(f"Parameters: {sorted(unknown)} do not exist in the template")
    missing = [name for name, slot in declared.items() if name not in given and "Default" not in slot]
    if missing:
        raise TemplateError(f"Parameters: {missing} must have values")
    values: dict[str, Any] = {}
    for name, slot in declared.items():
        value: Any = str(given.get(name, slot.get("Default")))
        if "AllowedValues" in slot and value not in map(str, slot["AllowedValues"]):
            raise TemplateError(f"Parameter '{name}' must be one of {slot['AllowedValues']}, not {value!r}")
        kind = slot.get("Type", "String")
        if kind.startswith("AWS::SSM::Parameter::Value"):
            value = ssm_parameter(value)
        if "List" in kind:
            value = [part.strip() for part in value.split(",")]
        values[name] = value
    return values
