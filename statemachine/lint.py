"""Our own lint of the state machine: a definition in, a sentence per fault out. `python -m statemachine.lint`.

It knows what the deployment needs beyond the language: which placeholders are filled, which integrations are granted,
which errors exist, that only pointers pass between states, and that a child of a Distributed Map sees no variable of
its parent. The language itself is checked by asl-validator.
"""

import builtins
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import Any, Final

from shortlist import errors
from shortlist.contracts.stages import BATCH_STAGES, LAMBDA_STAGES
from statemachine.definition import (
    INTEGRATIONS,
    PATH,
    State,
    all_states,
    inner_machines,
    is_distributed,
    load_definition,
    placeholders,
    resources_of,
)
from statemachine.expressions import FUNCTIONS, Uses, expression_in, uses_of
from statemachine.flow import assigned_before, dangling

PLACEHOLDERS: Final = frozenset(
    {"Bucket", "JobQueue"} | {f"{s}JobDefinition" for s in BATCH_STAGES} | {f"{s}Function" for s in LAMBDA_STAGES}
)
"""What the CDK app fills (cdk/state_machine.py)."""

_JSONPATH_FIELDS: Final = ("InputPath", "OutputPath", "Parameters", "ResultPath", "ResultSelector", "ItemsPath")
_WITH_RESULT: Final = ("Task", "Map", "Parallel")
_PAYLOAD_FIELD: Final = 3
"""`$states.result.Payload.<field>`: so many steps make a pointer of a Lambda's answer."""
_ANSWERED_FIELD: Final = 2
"""`$states.result.<field>`: of what the task's token was answered with."""


def lint(definition: State, known: Set[str] = PLACEHOLDERS) -> list[str]:
    """Every fault of the definition, in the order of the states.

    Args:
        definition: parsed ASL.
        known: placeholders that the deployment fills.
    """
    return [
        *_whole(definition, known),
        *_machine(definition, frozenset(), caught=False, inline_map=False),
    ]


def _whole(definition: State, known: Set[str]) -> Iterator[str]:
    """Faults of the definition as a whole."""
    if definition.get("QueryLanguage") != "JSONata":
        yield "definition: QueryLanguage is not JSONata"
    if "TimeoutSeconds" not in definition:
        yield "definition: no TimeoutSeconds, a run could hang for a year"
    used = placeholders(json.dumps(definition))
    yield from (f"definition: placeholder ${{{name}}} is filled by nobody" for name in sorted(used - known))
    yield from (f"definition: placeholder ${{{name}}} is filled but not used" for name in sorted(known - used))
    names = Counter(name for name, _ in all_states(definition))
    yield from (f"{name}: {times} states have this name" for name, times in names.items() if times > 1)


def _machine(machine: State, inherited: frozenset[str], *, caught: bool, inline_map: bool) -> Iterator[str]:
    """Faults of one level of states; `caught` says whether a parent catches their errors."""
    for name, target in dangling(machine):
        yield f"{name or 'StartAt'}: there is no state {target!r}"
    before = assigned_before(machine, inherited)
    for name, state in machine.get("States", {}).items():
        if name not in before:
            yield f"{name}: no way leads to it"
        faults = [
            *_form(state, caught=caught),
            *_pointers(state),
            *_retries(state),
            *_expressions(state, before.get(name, inherited), inline_map=inline_map),
        ]
        yield from (f"{name}: {fault}" for fault in faults)
        distributed = is_distributed(state)
        for inner in inner_machines(state):
            yield from _machine(
                inner,
                frozenset() if distributed else before.get(name, inherited),
                caught=caught or "Catch" in state,
                inline_map="ItemProcessor" in state and not distributed,
            )


def _form(state: State, *, caught: bool) -> Iterator[str]:
    """What every state of a kind has to have."""
    if not state.get("Comment"):
        yield "no Comment"
    kind = state.get("Type")
    if kind == "Task" and "Retry" not in state:
        yield "no Retry"
    if kind in _WITH_RESULT and "Catch" not in state and not caught:
        yield "no Catch, here or around it: a failure would tell nobody"
    if is_distributed(state):
        if "Label" not in state:
            yield "no Label: the children's ARNs, which the role is granted, contain it"
        if state.get("ToleratedFailurePercentage") or state.get("ToleratedFailureCount"):
            yield "tolerates failed shards: their customers would go without a list"
    yield from (f"{field} belongs to JSONPath" for field in _JSONPATH_FIELDS if field in state)
    for resource in resources_of(state):
        if resource not in INTEGRATIONS:
            yield f"the role is not granted what {resource} needs (statemachine/definition.py, cdk/state_machine.py)"


def _pointers(state: State) -> Iterator[str]:
    """Payloads stop at 256 KiB, so a state passes on no answer as a whole."""
    if state.get("Type") in _WITH_RESULT and "Output" not in state:
        yield "no Output: the whole answer would pass on"
    for field in ("Output", "Assign"):
        for text in _strings(state.get(field)):
            uses = _parsed(text)
            for path in uses.states if isinstance(uses, Uses) else ():
                if not path or (path[0] == "result" and not _is_field(state, path)):
                    yield f"{field} passes on a whole answer, {text!r}; pick a field of its Payload"


def _is_field(state: State, path: tuple[str, ...]) -> bool:
    """Whether a path below `$states.result` picks one field: of a Lambda's Payload, or of what a token was answered."""
    if str(state.get("Resource", "")).endswith(".waitForTaskToken"):
        return len(path) >= _ANSWERED_FIELD
    return len(path) >= _PAYLOAD_FIELD and path[1] == "Payload"


def _retries(state: State) -> Iterator[str]:
    """Names of errors are those of `shortlist.errors`, of Python, or of a service."""
    for field in ("Retry", "Catch"):
        rules = state.get(field, [])
        for place, rule in enumerate(rules, 1):
            for name in rule.get("ErrorEquals", ()):
                if "." not in name and not hasattr(errors, name) and not hasattr(builtins, name):
                    yield f"{field} names {name}, which nothing raises"
            if "States.ALL" in rule.get("ErrorEquals", ()) and (place < len(rules) or len(rule["ErrorEquals"]) > 1):
                yield f"{field}: States.ALL stands alone and last"


def _expressions(state: State, assigned: frozenset[str], *, inline_map: bool) -> Iterator[str]:
    """Expressions that do not parse, or that use what is not there at that place."""
    for field, value in state.items():
        if field in ("Branches", "ItemProcessor", "Comment"):
            continue
        for text in _strings(value):
            uses = _parsed(text)
            if isinstance(uses, str):
                yield f"{field}: {text!r} {uses}"
                continue
            yield from (f"{field}: ${name} has no value on some way here" for name in sorted(uses.variables - assigned))
            yield from (f"{field}: there is no function ${name}" for name in sorted(uses.functions - FUNCTIONS))
            yield from _states_fields(state, field, uses, inline_map=inline_map)


def _states_fields(state: State, field: str, uses: Uses, *, inline_map: bool) -> Iterator[str]:
    """`$states.result` exists after the work, `$states.errorOutput` in a Catch, `Map.Item` where items are."""
    there = {"input", "context"}
    if field == "Catch":
        there |= {"errorOutput"}
    elif field in ("Output", "Assign") and state.get("Type") in _WITH_RESULT:
        there |= {"result"}
    for path in sorted(uses.states):
        if path and path[0] not in there:
            yield f"{field}: there is no $states.{path[0]} here"
        if path[:2] == ("context", "Map") and field != "ItemSelector" and not inline_map:
            yield f"{field}: there is no $states.context.Map here"


def _parsed(text: str) -> Uses | str:
    """What an expression uses; what is wrong with it; or, for a plain string, that it uses nothing."""
    expression = expression_in(text)
    if expression is None:
        return "is neither a string nor an expression" if "{%" in text or "%}" in text else Uses.of_nothing()
    try:
        return uses_of(expression)
    except ValueError as error:
        return f"does not parse: {error}"


def _strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)


if __name__ == "__main__":
    found = lint(load_definition())
    sys.exit("\n".join(f"{PATH.name}: {fault}" for fault in found) or 0)
