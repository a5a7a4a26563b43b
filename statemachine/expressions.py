"""JSONata expressions of the definition: text in, the variables, functions and `$states` paths used out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from jsonata import Jsonata
from jsonata.jexception import JException

EXPRESSION: Final = re.compile(r"\{%(.*)%\}", re.DOTALL)
FUNCTIONS: Final = frozenset(Jsonata.static_frame.bindings) - {"eval"} | {
    # Step Functions adds these and leaves $eval out (developer guide, "Transforming data with JSONata").
    "hash",
    "parse",
    "partition",
    "random",
    "range",
    "uuid",
}

_PARTS: Final = (
    *("expression", "steps", "procedure", "arguments", "body", "predicate", "stages", "expr", "group"),
    *("lhs", "rhs", "lhs_object", "rhs_object", "rhs_terms", "terms"),
    *("condition", "then", "_else", "expressions", "pattern", "update", "delete"),
)
"""Attributes of the parser's symbols that hold further symbols."""


@dataclass(frozen=True, slots=True)
class Uses:
    """What an expression refers to.

    Attributes:
        variables: assigned by the state machine; neither functions, nor `$states`, nor bound in the expression.
        functions: called by name, without those bound in the expression.
        states: paths below `$states`: `("input", "run", "run_id")`.
    """

    variables: frozenset[str]
    functions: frozenset[str]
    states: frozenset[tuple[str, ...]]

    @classmethod
    def of_nothing(cls) -> "Uses":
        return cls(frozenset(), frozenset(), frozenset())


def expression_in(text: str) -> str | None:
    """What stands between `{%` and `%}`; None for a plain string."""
    match = EXPRESSION.fullmatch(text.strip())
    return match[1].strip() if match else None


def uses_of(expression: str) -> Uses:
    """Parse an expression.

    Raises:
        ValueError: it does not parse; the message is the parser's.
    """
    try:
        symbols = list(_walk(Jsonata(expression).ast))
    except JException as error:
        raise ValueError(str(error)) from error
    bound = {s.lhs.value for s in symbols if s.type == "bind"}
    bound |= {argument.value for s in symbols if s.type == "lambda" for argument in s.arguments}
    called = {s.procedure.value for s in symbols if s.type in ("function", "partial") and _is_variable(s.procedure)}
    named = {s.value for s in symbols if _is_variable(s)} - {""} - bound
    functions = frozenset(called - bound) | (named & FUNCTIONS)
    return Uses(
        variables=frozenset(named - functions - {"states"}),
        functions=functions,
        states=frozenset(_states_paths(symbols)),
    )


def _states_paths(symbols: list[Any]) -> Iterator[tuple[str, ...]]:
    inside = set()
    for symbol in symbols:
        if symbol.type == "path" and _is_variable(symbol.steps[0]) and symbol.steps[0].value == "states":
            inside.add(id(symbol.steps[0]))
            yield tuple(str(step.value) for step in symbol.steps[1:])
    if any(_is_variable(s) and s.value == "states" and id(s) not in inside for s in symbols):
        yield ()


def _is_variable(symbol: Any) -> bool:
    return bool(symbol.type == "variable")


def _walk(node: Any) -> Iterator[Any]:
    """Every symbol of the tree, parents first."""
    if isinstance(node, list | tuple):
        for part in node:
            yield from _walk(part)
    elif hasattr(node, "type"):
        yield node
        for name in _PARTS:
            yield from _walk(getattr(node, name, None))
