"""The definition is clean under our lint and under asl-validator, and each of them sees the faults it is there for."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from statemachine.definition import PATH, load_definition
from statemachine.lint import lint

Json = dict[str, Any]


@pytest.fixture
def definition() -> Json:
    return copy.deepcopy(dict(load_definition()))


def states(definition: Json) -> Json:
    return definition["States"]


def inner(definition: Json, name: str) -> Json:
    return definition["States"][name]["ItemProcessor"]["States"]


def put(path: str, value: Any) -> Callable[[Json], None]:
    """Set `States.Train.Next` and the like; None takes the key away."""

    def plant(definition: Json) -> None:
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = definition
        for part in way:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return plant


RANK = "States.Recommend.ItemProcessor.States.Rank"

FAULTS: dict[str, tuple[Callable[[Json], None], str]] = {
    "next state missing": (put("States.Train.Next", "Repack"), "Train: there is no state 'Repack'"),
    "catch leads nowhere": (put("States.Train.Catch.0.Next", "Nowhere"), "Train: there is no state 'Nowhere'"),
    "start missing": (put("StartAt", "Begin"), "StartAt: there is no state 'Begin'"),
    "child's next missing": (put(f"{RANK}.Next", "Store"), "Rank: there is no state 'Store'"),
    "unreachable": (put("States.Train.Next", "RepackageWhere"), "PlanCompute: no way leads to it"),
    "unreachable child": (put("States.Recommend.ItemProcessor.StartAt", "WriteTopX"), "Rank: no way leads to it"),
    "same name twice": (
        lambda d: inner(d, "Recommend").update(Train=inner(d, "Recommend")["Rank"]),
        "Train: 2 states have this name",
    ),
    "no comment": (put("States.Done.Comment", None), "Done: no Comment"),
    "no retry": (put("States.Publish.Retry", None), "Publish: no Retry"),
    "no catch": (put("States.Publish.Catch", None), "Publish: no Catch"),
    "no catch around children": (put("States.Recommend.Catch", None), "Rank: no Catch"),
    "no time limit": (put("TimeoutSeconds", None), "no TimeoutSeconds"),
    "not JSONata": (put("QueryLanguage", "JSONPath"), "QueryLanguage is not JSONata"),
    "JSONPath field": (put("States.Publish.ResultPath", "$.x"), "Publish: ResultPath belongs to JSONPath"),
    "unknown placeholder": (
        put(f"{RANK}.Arguments.FunctionName", "${RnkFunction}"),
        "${RnkFunction} is filled by nobody",
    ),
    "unused placeholder": (
        put(f"{RANK}.Arguments.FunctionName", "${Bucket}"),
        "${RankFunction} is filled but not used",
    ),
    "unknown integration": (
        put("States.Report.Resource", "arn:aws:states:::ses:sendEmail"),
        "Report: the role is not granted what arn:aws:states:::ses:sendEmail needs",
    ),
    "expression does not parse": (put("States.Done.Output.run_id", "{% $run. %}"), "does not parse"),
    "half an expression": (put("States.Done.Output.run_id", "{% $run.run_id"), "neither a string nor an expression"),
    "unknown function": (put("States.Done.Output.run_id", "{% $upper($run.run_id) %}"), "there is no function $upper"),
    "eval": (put("States.Done.Output.run_id", "{% $eval('1') %}"), "there is no function $eval"),
    "undefined variable": (put("States.Done.Output.run_id", "{% $rum.run_id %}"), "$rum has no value"),
    "variable of one way only": (put("States.Done.Output.run_id", "{% $failure.state %}"), "$failure has no value"),
    "variable used where it is made": (
        put("States.Init.Assign.run.send", "{% $run.send %}"),
        "Init: Assign: $run has no value",
    ),
    "a catch that forgets its variable": (
        put("States.Train.Catch.0.Assign", None),
        "NotifyFailure: Arguments: $failure",
    ),
    "parent's variable in a distributed child": (
        put(f"{RANK}.Arguments.Payload.run", "{% $run %}"),
        "Rank: Arguments: $run has no value",
    ),
    "result before there is one": (
        put("States.Publish.Arguments.Payload.run", "{% $states.result.x %}"),
        "Publish: Arguments: there is no $states.result here",
    ),
    "error outside a catch": (
        put("States.Done.Output.run_id", "{% $states.errorOutput %}"),
        "no $states.errorOutput here",
    ),
    "item outside a map": (
        put("States.Publish.Arguments.Payload.run", "{% $states.context.Map.Item.Value %}"),
        "Publish: Arguments: there is no $states.context.Map here",
    ),
    "answer passed on": (
        put("States.Evaluate.Assign.publish", "{% $states.result.Payload %}"),
        "passes on a whole answer",
    ),
    "answer passed on by default": (put("States.Evaluate.Output", None), "Evaluate: no Output"),
    "unknown error": (put("States.Publish.Retry.0.ErrorEquals.0", "TransientEror"), "Retry names TransientEror"),
    "ALL not alone": (
        put("States.Publish.Catch.0.ErrorEquals", ["States.ALL", "ContractError"]),
        "Catch: States.ALL stands alone and last",
    ),
    "map without label": (put("States.Recommend.Label", None), "Recommend: no Label"),
    "map that tolerates": (put("States.Recommend.ToleratedFailurePercentage", 5), "Recommend: tolerates failed shards"),
}


def test_the_definition_has_no_fault(definition: Json) -> None:
    found = lint(definition)

    assert found == []


@pytest.mark.parametrize(("plant", "says"), FAULTS.values(), ids=FAULTS)
def test_the_lint_sees_a_planted_fault(definition: Json, plant: Callable[[Json], None], says: str) -> None:
    plant(definition)

    found = lint(definition)

    assert any(says in fault for fault in found), found


def test_an_inline_map_sees_its_parents_variables_and_its_item(definition: Json) -> None:
    recommend = states(definition)["Recommend"]
    recommend["ItemProcessor"]["ProcessorConfig"] = {"Mode": "INLINE"}
    inner(definition, "Recommend")["Rank"]["Arguments"]["Payload"] = {
        "run": "{% $run %}",
        "key": "{% $states.context.Map.Item.Value.Key %}",
    }

    found = lint(definition)

    assert found == []


def test_what_an_expression_binds_itself_is_not_asked_of_the_machine(definition: Json) -> None:
    states(definition)["Done"]["Output"] = {
        "run_id": "{% ($id := $run.run_id; $upper := function($x) { $uppercase($x) }; $upper($id) & '$nobody') %}"
    }

    found = lint(definition)

    assert found == []


def test_asl_validator_finds_nothing(asl_validator: Callable[..., Any]) -> None:
    done = asl_validator(PATH)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (put("States.Train.Next", "Repack"), "Repack"),
        (put("States.Train.Next", "RepackageWhere"), "PlanCompute"),
        (put("States.Train.Type", "Tusk"), "Train"),
        (put("States.Publish.Retry.0.BackoffRate", "twice"), "BackoffRate"),
        (put("States.Done.Output.run_id", "{% $run. %}"), "/States/Done/Output/run_id"),
    ],
    ids=["dangling", "unreachable", "unknown type", "wrong value", "expression"],
)
def test_asl_validator_sees_a_planted_fault(
    definition: Json, plant: Callable[[Json], None], says: str, asl_validator: Callable[..., Any], tmp_path: Any
) -> None:
    plant(definition)
    path = tmp_path / "planted.asl.json"
    path.write_text(json.dumps(definition))

    done = asl_validator(path)

    assert done.returncode == 1
    assert says in done.stdout + done.stderr
