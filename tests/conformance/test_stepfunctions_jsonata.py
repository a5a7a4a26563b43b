"""JSONata in state machines as Step Functions evaluates it."""

import json

import pytest

from tests.conformance.machines import Machines


@pytest.fixture(scope="module")
def machines(aws):
    return Machines(aws)


def evaluated(machines, expression, given=None):
    return machines.output({"Only": {"Type": "Pass", "Output": f"{{% {expression} %}}", "End": True}}, given)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$states.input.text", 'quotes " and \\ and\nlines, {% % }, ☃'),
        ("$states.input.nothing", None),
        ("$exists($states.input.nothing)", True),
        ("$exists($states.input.absent)", False),
        ("$states.input.big", 12345678901234567890),
        ("$states.input.half * 2", 3),
        ("10 / 4", 2.5),
        ("$states.input.one", [5]),
        ("$states.input.empty", []),
        ("[1..3]", [1, 2, 3]),
        ("$merge([$states.input.nested, {'b': 2}])", {"a": None, "b": 2}),
        ("$replace('2026-11-21T06:00:00', ':', '')", "2026-11-21T060000"),
        ("$string({'run': 'é'})", '{"run":"é"}'),
        ("$parse($states.input.json)", {"a": [1, None]}),
        ("$substring('shortlist', 0, 5)", "short"),
        ("$partition([1, 2, 3, 4, 5], 2)", [[1, 2], [3, 4], [5]]),
        ("$range(1, 9, 4)", [1, 5, 9]),
        ("$hash('shortlist', 'MD5')", "0d3592a567cc1e81dc8118d877fc89f8"),
        ("$map([1, 2], function($x) { $x * $x })", [1, 4]),
        ("{'kept': 1, 'dropped': $states.input.absent}", {"kept": 1}),
        ("$states.context.State.Name", "Only"),
    ],
)
def test_an_expression_has_the_value_that_jsonata_gives_it(machines, expression, value):
    given = {
        "text": 'quotes " and \\ and\nlines, {% % }, ☃',
        "nothing": None,
        "big": 12345678901234567890,
        "half": 1.5,
        "one": [5],
        "empty": [],
        "nested": {"a": None},
        "json": '{"a": [1, null]}',
    }

    assert evaluated(machines, expression, given) == value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("$states.input.absent", "returned nothing (undefined)."),
        ("$undefined_variable", "returned nothing (undefined)."),
        ("1 + 'one'", "threw an error during evaluation. T2002: "),
        ("$eval('1')", "threw an error during evaluation. T1006: "),
        ("1 / 0", "threw an error during evaluation. D1001: "),
        ("function($x) { $x }", "returned an unsupported result type."),
    ],
)
def test_an_expression_without_a_value_fails_the_state_and_names_the_field(machines, expression, said):
    states = {"Only": {"Type": "Pass", "Output": {"list": [1, f"{{% {expression} %}}"]}, "End": True}}

    error, cause = machines.failure(states)

    assert error == "States.QueryEvaluationError"
    assert f"The JSONata expression '{expression}' specified for the field 'Output/list[1]' {said}" in cause
    assert "executing the state 'Only'" in cause


def test_the_context_object_tells_the_execution_in_iso_times(machines):
    arn = machines.start({"Only": {"Type": "Pass", "Output": "{% $states.context.Execution %}", "End": True}}, {"a": 1})

    execution = machines.ended(arn)

    told = json.loads(execution["output"])
    assert told["Id"] == arn
    assert told["Input"] == {"a": 1}
    assert told["RoleArn"] == machines.role
    assert told["StartTime"].endswith("Z")
    assert told["StartTime"][:19] == execution["startDate"].strftime("%Y-%m-%dT%H:%M:%S")


def test_assign_and_output_both_see_the_variables_as_they_were_on_entry(machines):
    states = {
        "First": {"Type": "Pass", "Assign": {"n": 1}, "Next": "Second"},
        "Second": {
            "Type": "Pass",
            "Assign": {"n": "{% $n + 1 %}", "before": "{% $n %}"},
            "Output": {"during": "{% $n %}"},
            "Next": "Third",
        },
        "Third": {"Type": "Pass", "Output": ["{% $states.input.during %}", "{% $before %}", "{% $n %}"], "End": True},
    }

    assert machines.output(states) == [1, 1, 2]


def test_a_variable_may_hold_any_json_and_is_used_inside_expressions(machines):
    states = {
        "First": {"Type": "Pass", "Assign": {"run": {"id": 'a "b"', "none": None, "n": [1, 2]}}, "Next": "Second"},
        "Second": {"Type": "Pass", "Output": "{% $run.id & ':' & $string($run.n) & $string($run.none) %}", "End": True},
    }

    assert machines.output(states) == 'a "b":[1,2]null'


def test_a_state_without_output_hands_on_its_input_or_its_result(machines):
    states = {"Pass": {"Type": "Pass", "Next": "Task"}, "Task": machines.probe({"answer": {"a": 1}}, End=True)}

    output = machines.output(states, {"given": True})

    assert output["Payload"] == {"a": 1}
    assert output["StatusCode"] == 200


@pytest.mark.parametrize(("n", "way"), [(1, "low"), (5, "high"), (9, "default")])
def test_choice_takes_the_first_rule_that_holds_with_its_assign_and_output(machines, n, way):
    states = {
        "Choose": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $states.input.n < 3 %}", "Assign": {"way": "low"}, "Next": "End"},
                {
                    "Condition": "{% $states.input.n < 7 %}",
                    "Assign": {"way": "high"},
                    "Output": "{% 'o' %}",
                    "Next": "End",
                },
            ],
            "Default": "End",
            "Assign": {"way": "default"},
        },
        "End": {"Type": "Succeed", "Output": {"way": "{% $way %}", "input": "{% $states.input %}"}},
    }

    output = machines.output(states, {"n": n})

    assert output == {"way": way, "input": "o" if way == "high" else {"n": n}}


def test_choice_without_a_rule_that_holds_fails(machines):
    states = {
        "Choose": {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "End"}]},
        "End": {"Type": "Succeed"},
    }

    assert machines.failure(states)[0] == "States.NoChoiceMatched"


def test_a_condition_that_is_no_boolean_fails(machines):
    states = {
        "Choose": {"Type": "Choice", "Choices": [{"Condition": "{% 'yes' %}", "Next": "End"}]},
        "End": {"Type": "Succeed"},
    }

    error, cause = machines.failure(states)

    assert error == "States.QueryEvaluationError"
    assert "'Choices[0]/Condition'" in cause


def test_fail_gives_the_error_and_cause_that_its_expressions_make(machines):
    states = {
        "Fail": {"Type": "Fail", "Error": "{% $states.input.error %}", "Cause": "{% 'Rank: ' & $states.input.why %}"}
    }

    assert machines.failure(states, {"error": "States.Timeout", "why": "slow"}) == ("States.Timeout", "Rank: slow")


def test_succeed_ends_with_its_output(machines):
    assert machines.output({"Done": {"Type": "Succeed", "Output": {"n": "{% $states.input.n %}"}}}, {"n": 3}) == {
        "n": 3
    }
