"""Policy documents and a request come in, a verdict goes out: allowed, denied, or not allowed by anything.

Follows https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html for the policies of
one role: an explicit Deny wins, else one Allow is enough. A condition on a key that is not known here is taken as met
by an Allow, and as not met by a Deny; the verdict tells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any


class Verdict(Enum):
    ALLOWED = "allowed"
    DENIED = "with an explicit deny in an identity-based policy"
    NOT_ALLOWED = "because no identity-based policy allows the {action} action"


@dataclass(frozen=True, slots=True)
class Need:
    """What one request needs: an action on a resource. `resource` is None where the emulation cannot tell it."""

    action: str  # as s3:GetObject
    resource: str | None
    context: Mapping[str, str] = field(default_factory=dict)  # condition keys, in lower case


@dataclass(frozen=True, slots=True)
class _Condition:
    operator: str
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy, ready to be matched."""

    allows: bool
    action: re.Pattern[str]
    action_negated: bool
    resource: re.Pattern[str]
    resource_negated: bool
    conditions: tuple[_Condition, ...]

    def concerns(self, need: Need) -> bool:
        """Action and resource match; an unknown resource matches an Allow, and no Deny."""
        if bool(self.action.fullmatch(need.action.lower())) is self.action_negated:
            return False
        if need.resource is None:
            return self.allows
        return bool(self.resource.fullmatch(need.resource)) is not self.resource_negated

    def met(self, need: Need, unknown: set[str]) -> bool:
        """All conditions hold; adds the keys that are not known."""
        for condition in self.conditions:
            if condition.key not in need.context and condition.operator != "null":
                unknown.add(condition.key)
                if not self.allows:
                    return False
            elif not _holds(condition, need.context.get(condition.key)):
                return False
        return True


def decide(documents: Iterable[str], need: Need, unknown: set[str]) -> Verdict:
    """The verdict of these policies; `unknown` gets the condition keys that could not be looked at."""
    verdict = Verdict.NOT_ALLOWED
    for document in documents:
        for statement in statements(document):
            if not statement.concerns(need) or (statement.conditions and not statement.met(need, unknown)):
                continue
            if not statement.allows:
                return Verdict.DENIED
            verdict = Verdict.ALLOWED
    return verdict


@lru_cache(maxsize=4096)
def statements(document: str) -> tuple[Statement, ...]:
    """The statements of a policy document."""
    given = json.loads(document).get("Statement", [])
    return tuple(_statement(one) for one in _listed(given))


def _statement(given: Mapping[str, Any]) -> Statement:
    return Statement(
        allows=given["Effect"] == "Allow",
        action=_pattern([text.lower() for text in _listed(given.get("Action", given.get("NotAction", [])))]),
        action_negated="NotAction" in given,
        resource=_pattern(_listed(given.get("Resource", given.get("NotResource", ["*"])))),
        resource_negated="NotResource" in given,
        conditions=tuple(
            _Condition(operator.lower(), key.lower(), tuple(_text(value) for value in _listed(values)))
            for operator, block in given.get("Condition", {}).items()
            for key, values in block.items()
        ),
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@lru_cache(maxsize=4096)
def _wildcard(text: str) -> str:
    """A regular expression of a pattern with * and ?; a policy variable matches anything."""
    escaped = re.escape(re.sub(r"\$\{[^}]*\}", "*", text))
    return escaped.replace(r"\*", ".*").replace(r"\?", ".")


def _pattern(texts: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{_wildcard(text)})" for text in texts) or r"(?!)", re.DOTALL)


def _holds(condition: _Condition, value: str | None) -> bool:
    operator = condition.operator.partition(":")[2] or condition.operator  # without ForAnyValue:
    optional = operator.endswith("ifexists")
    operator = operator.removesuffix("ifexists")
    if operator == "null":
        return (value is None) is (condition.values[0] == "true")
    if value is None:
        return optional or "not" in operator
    compare, negated = _OPERATORS.get(operator, (_equal, False))
    return any(compare(value, wanted) for wanted in condition.values) is not negated


def _equal(value: str, wanted: str) -> bool:
    return value == wanted


def _like(value: str, wanted: str) -> bool:
    return re.fullmatch(_wildcard(wanted), value, re.DOTALL) is not None


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda value, wanted: compare(float(value), float(wanted))


_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "stringequals": (_equal, False),
    "stringnotequals": (_equal, True),
    "stringequalsignorecase": (lambda value, wanted: value.lower() == wanted.lower(), False),
    "stringnotequalsignorecase": (lambda value, wanted: value.lower() == wanted.lower(), True),
    "stringlike": (_like, False),
    "stringnotlike": (_like, True),
    "arnequals": (_like, False),
    "arnlike": (_like, False),
    "arnnotequals": (_like, True),
    "arnnotlike": (_like, True),
    "bool": (lambda value, wanted: value.lower() == wanted.lower(), False),
    "numericequals": (_number(lambda a, b: a == b), False),
    "numericnotequals": (_number(lambda a, b: a == b), True),
    "numericlessthan": (_number(lambda a, b: a < b), False),
    "numericlessthanequals": (_number(lambda a, b: a <= b), False),
    "numericgreaterthan": (_number(lambda a, b: a > b), False),
    "numericgreaterthanequals": (_number(lambda a, b: a >= b), False),
}
