"""CreateStateMachine's check: a definition (JSON text) in, nothing or InvalidDefinitionError naming the place out.

moto accepts dangling transitions, unreachable states and broken JSONata, and fails when it gets there. What AWS runs
but the embedded AWS does not is refused here too, in so many words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import AWSError
from moto.stepfunctions.parser import api
from moto.stepfunctions.parser.models import StepFunctionsParserBackend

from local.stepfunctions import parsing
from local.stepfunctions.jsonata import JsonataError, check_syntax, expressions
from local.stepfunctions.map_input import READERS
from local.stepfunctions.map_output import WRITER

if TYPE_CHECKING:
    from local.server import EmbeddedAws

_ANY = {"Type", "Comment", "QueryLanguage"}
_GOES_ON = {"Next", "End", "Assign", "Output"}
_RUNS = {"Retry", "Catch"}
_FIELDS = {
    "Pass": _ANY | _GOES_ON,
    "Task": _ANY | _GOES_ON | _RUNS | {"Resource", "Arguments", "Credentials", "TimeoutSeconds", "HeartbeatSeconds"},
    "Choice": _ANY | {"Choices", "Default", "Assign", "Output"},
    "Wait": _ANY | _GOES_ON | {"Seconds", "Timestamp"},
    "Succeed": _ANY | {"Output"},
    "Fail": _ANY | {"Error", "Cause"},
    "Parallel": _ANY | _GOES_ON | _RUNS | {"Branches", "Arguments"},
    "Map": _ANY | _GOES_ON | _RUNS | {"ItemProcessor"} | parsing.READ_FROM_DECLARATION,
}
_ONLY_DISTRIBUTED = {
    "ItemReader", "ItemBatcher", "ResultWriter", "Label", "ToleratedFailureCount", "ToleratedFailurePercentage",
}  # fmt: skip
_RESULT = re.compile(r"\$states\.result\b")
_ERROR_OUTPUT = re.compile(r"\$states\.errorOutput\b")

Problem = tuple[str, str, str]  # code, what is wrong, where


class InvalidDefinitionError(AWSError):  # type: ignore[misc]
    """The answer of CreateStateMachine; moto's own has no error code."""

    TYPE = "InvalidDefinition"
    STATUS = 400


def install(aws: EmbeddedAws) -> None:
    accepts = StepFunctionsParserBackend._validate_definition

    def validate(definition: str) -> None:
        check(definition)
        try:
            accepts(definition=definition)
        except api.InvalidDefinition as refused:
            raise InvalidDefinitionError(f"Invalid State Machine Definition: {refused}") from refused

    create = StepFunctionsParserBackend.create_state_machine

    def create_standard(self: Any, *given: Any, sm_type: str | None = None, **named: Any) -> Any:
        if sm_type == "EXPRESS":
            raise NotImplementedError("Express workflows (STANDARD ones are emulated)")
        return create(self, *given, sm_type=sm_type, **named)

    aws.replace(StepFunctionsParserBackend, "_validate_definition", staticmethod(validate))
    aws.replace(StepFunctionsParserBackend, "create_state_machine", create_standard)


def check(definition: str) -> None:
    """Raises InvalidDefinitionError for the first problem found."""
    try:
        machine = json.loads(definition)
    except ValueError as error:
        raise _invalid(("INVALID_JSON_DESCRIPTION", str(error), "/")) from error
    if not isinstance(machine, dict):
        raise _invalid(_schema("A state machine is a JSON object", "/"))
    for problem in _problems(machine, "", machine):
        raise _invalid(problem)


def _invalid(problem: Problem) -> InvalidDefinitionError:
    code, wrong, where = problem
    return InvalidDefinitionError(f"Invalid State Machine Definition: '{code}: {wrong} at {where}'")


def _problems(workflow: Any, at: str, machine: Any) -> Iterator[Problem]:
    """Of a state machine, or of the workflow inside a Map or a Parallel state."""
    if not isinstance(workflow, dict) or not isinstance(workflow.get("States"), dict) or not workflow["States"]:
        yield _schema("A workflow needs 'States'", f"{at}/States")
        return
    states: dict[str, Any] = workflow["States"]
    if workflow.get("StartAt") not in states:
        yield _missing(f"Missing 'StartAt' target: {workflow.get('StartAt')}", f"{at}/StartAt")
        return
    for name, state in states.items():
        yield from _of_state(state, f"{at}/States/{name}", states, machine)
    reached, ahead = set(), [workflow["StartAt"]]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += [target for _, target in _transitions(states[name])]
    for name in states.keys() - reached:
        yield _missing(f'State "{name}" is not reachable.', f"{at}/States/{name}")


def _of_state(state: Any, at: str, states: dict[str, Any], machine: Any) -> Iterator[Problem]:
    kind = state.get("Type") if isinstance(state, dict) else None
    if kind not in _FIELDS:
        yield _schema(f"Value {kind!r} is not one of {sorted(_FIELDS)}", f"{at}/Type")
        return
    for field, target in _transitions(state):
        if target not in states:
            yield _missing(f"Missing '{field.rpartition('/')[2]}' target: {target}", f"{at}/{field}")
    if "Next" in _FIELDS[kind] and ("Next" in state) == bool(state.get("End")):
        yield _schema("A state has either 'Next' or 'End'", at)
    if "JSONata" in (state.get("QueryLanguage"), machine.get("QueryLanguage")):
        for field in state.keys() - _FIELDS[kind]:
            yield _schema("Field is not supported", f"{at}/{field}")
        yield from _of_expressions(state, at)
    if kind == "Map":
        yield from _of_map(state, at, machine)
    for place, branch in enumerate(state.get("Branches", [])):
        yield from _problems(branch, f"{at}/Branches[{place}]", machine)


def _transitions(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, the state it leads to)."""
    for field in ("Next", "Default"):
        if field in state:
            yield field, state[field]
    for field in ("Choices", "Catch"):
        for place, rule in enumerate(state.get(field, [])):
            yield f"{field}[{place}]/Next", rule.get("Next")


def _of_expressions(state: dict[str, Any], at: str) -> Iterator[Problem]:
    own = {field: value for field, value in state.items() if field not in ("ItemProcessor", "Branches")}
    for field, expression in expressions(own):
        try:
            check_syntax(expression)
        except JsonataError as error:
            yield _schema(f"The JSONata expression '{expression}' could not be parsed. {error}", f"{at}/{field}")
        if _RESULT.search(expression) and not field.startswith(("Assign", "Output")):
            yield _schema("'$states.result' is only available in Assign and Output", f"{at}/{field}")
        if _ERROR_OUTPUT.search(expression) and not field.startswith("Catch"):
            yield _schema("'$states.errorOutput' is only available in Catch", f"{at}/{field}")


def _of_map(state: dict[str, Any], at: str, machine: Any) -> Iterator[Problem]:
    yield from _problems(state.get("ItemProcessor", state.get("Iterator")), f"{at}/ItemProcessor", machine)
    if not parsing.is_distributed(state):
        for field in _ONLY_DISTRIBUTED & state.keys():
            yield _schema("Field is only supported in Distributed Maps", f"{at}/{field}")
        return
    if "JSONata" not in (state.get("QueryLanguage"), machine.get("QueryLanguage")):
        yield _unsupported("Distributed Maps in JSONPath (QueryLanguage must be JSONata)", at)
    if parsing.config_of(state).get("ExecutionType") != "STANDARD":
        yield _unsupported("child executions other than STANDARD", f"{at}/ItemProcessor/ProcessorConfig/ExecutionType")
    reader = state.get("ItemReader", {"Resource": next(iter(READERS))})
    if reader.get("Resource") not in READERS:
        yield _unsupported(f"the reader {reader.get('Resource')}", f"{at}/ItemReader/Resource")
    if reader.get("ReaderConfig", {}).get("InputType", "JSON") != "JSON":
        yield _unsupported(f"items in {reader['ReaderConfig']['InputType']}", f"{at}/ItemReader/ReaderConfig")
    if state.get("ResultWriter", {"Resource": WRITER}).get("Resource") != WRITER:
        yield _unsupported("a ResultWriter without the Resource s3:putObject", f"{at}/ResultWriter")
    if "ItemBatcher" in state:
        yield _unsupported("ItemBatcher (write one S3 object for each child instead)", f"{at}/ItemBatcher")
    if not re.fullmatch(r"[^\s?*<>{}\[\]:;,\\|^~$#%&`\"\x00-\x1f\x7f-\x9f]{1,40}", state.get("Label", "map")):
        yield _schema("A label has 1 to 40 characters and no special ones", f"{at}/Label")
    share = state.get("ToleratedFailurePercentage", 0)
    if not isinstance(share, str) and not 0 <= share <= 100:
        yield _schema("Value must be between 0 and 100", f"{at}/ToleratedFailurePercentage")


def _schema(wrong: str, where: str) -> Problem:
    return "SCHEMA_VALIDATION_FAILED", wrong, where


def _missing(wrong: str, where: str) -> Problem:
    return "MISSING_TRANSITION_TARGET", wrong, where


def _unsupported(what: str, where: str) -> Problem:
    return "NOT_EMULATED", f"The embedded AWS does not run {what}", where
