"""What CreateStateMachine and CloudFormation accept and refuse."""

import json
from pathlib import Path

import pytest

from tests.conformance.machines import INVOKE, LIST_OBJECTS, Machines

END = {"Type": "Succeed"}
TASK = {"Type": "Task", "Resource": INVOKE, "Arguments": {"FunctionName": "f"}, "End": True}


@pytest.fixture(scope="module")
def machines(aws):
    return Machines(aws)


def distributed(**fields):
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Each",
        "States": {"Each": {"Type": "Pass", "End": True}},
    }
    return {"Map": {"Type": "Map", "ItemProcessor": processor, "End": True, **fields}}


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"A": {"Type": "Dance", "End": True}}, "Value 'Dance' is not one of"),
        ({"A": {"Type": "Pass", "Next": "B"}}, "Missing 'Next' target: B at /States/A/Next"),
        ({"A": {"Type": "Pass"}}, "either 'Next' or 'End'"),
        ({"A": {"Type": "Pass", "End": True, "Next": "B"}, "B": END}, "either 'Next' or 'End'"),
        ({"A": END, "B": END}, 'State "B" is not reachable. at /States/B'),
        (
            {"A": {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "B"}]}},
            "Missing 'Next' target: B at /States/A/Choices[0]/Next",
        ),
        (
            {"A": {"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "B"}], "Default": "C"}, "B": END},
            "Missing 'Default' target: C",
        ),
        (
            {"A": {**TASK, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}},
            "Missing 'Next' target: B at /States/A/Catch[0]/Next",
        ),
        ({"A": {**TASK, "Parameters": {}}}, "Field is not supported at /States/A/Parameters"),
        ({"A": {**TASK, "TimeoutSecond": 3}}, "Field is not supported at /States/A/TimeoutSecond"),
        ({"A": {"Type": "Pass", "Output": "{% 1 + %}", "End": True}}, "could not be parsed"),
        ({"A": {**TASK, "Arguments": {"n": "{% $states.result %}"}}}, "'$states.result' is only available in"),
        ({"A": {**TASK, "Output": "{% $states.errorOutput %}"}}, "'$states.errorOutput' is only available in Catch"),
        ({"A": {**TASK, "Resource": "arn:aws:states:::lambda:dance"}}, "dance"),
        ({"A": {**TASK, "Retry": [{"ErrorEquals": ["States.ALL", "Other"]}]}}, "States.ALL"),
        (
            distributed(ItemReader={"Resource": LIST_OBJECTS, "Arguments": {}}, Label="two words"),
            "A label has 1 to 40 characters",
        ),
        (distributed(ToleratedFailurePercentage=101), "between 0 and 100"),
        (distributed(ItemBatcher={"MaxItemsPerBatch": 2}), "The embedded AWS does not run ItemBatcher"),
        (
            distributed(ItemReader={"Resource": "arn:aws:states:::dynamodb:scan"}),
            "The embedded AWS does not run the reader arn:aws:states:::dynamodb:scan",
        ),
    ],
)
def test_a_definition_that_cannot_run_is_refused_with_the_place(machines, states, said):
    with pytest.raises(machines.client.exceptions.InvalidDefinition) as refused:
        machines.create(states)

    assert said in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    "definition", ["{", "[]", '{"StartAt": "A"}', '{"StartAt": "B", "States": {"A": {"Type": "Succeed"}}}']
)
def test_what_is_no_state_machine_is_refused(machines, definition):
    with pytest.raises(machines.client.exceptions.InvalidDefinition):
        machines.client.create_state_machine(name="none", definition=definition, roleArn=machines.role)


def test_express_workflows_are_refused_in_so_many_words(machines):
    definition = json.dumps({"StartAt": "A", "States": {"A": END}})

    with pytest.raises(machines.client.exceptions.ClientError, match="Express workflows"):
        machines.client.create_state_machine(name="fast", definition=definition, roleArn=machines.role, type="EXPRESS")


def test_a_refused_definition_does_not_harm_the_next_one(machines):
    with pytest.raises(machines.client.exceptions.InvalidDefinition):
        machines.create({"A": {**TASK, "Resource": "arn:aws:states:::lambda:dance"}})

    assert machines.output({"A": {"Type": "Pass", "Output": "{% 1 %}", "End": True}}) == 1


def test_an_update_is_checked_like_a_creation(machines):
    machine = machines.create({"A": END})

    with pytest.raises(machines.client.exceptions.InvalidDefinition):
        machines.client.update_state_machine(stateMachineArn=machine, definition='{"StartAt": "B", "States": {}}')


def test_a_whole_number_is_a_percentage(machines):
    assert machines.output(distributed(ToleratedFailurePercentage=100, Items=[1])) == [1]


def test_the_projects_own_state_machine_is_accepted(machines):
    definition = Path("statemachine/pipeline.asl.json").read_text(encoding="utf-8")

    created = machines.client.create_state_machine(name="pipeline", definition=definition, roleArn=machines.role)

    kept = machines.client.describe_state_machine(stateMachineArn=created["stateMachineArn"])
    assert kept["definition"] == definition


def test_a_machine_of_a_template_runs_with_its_substitutions(aws, machines):
    definition = {
        "QueryLanguage": "JSONata",
        "StartAt": "Only",
        "States": {"Only": {"Type": "Pass", "Output": {"bucket": "${Bucket}"}, "End": True}},
    }
    properties = {
        "DefinitionString": json.dumps(definition),
        "DefinitionSubstitutions": {"Bucket": 'the "bucket"'},
        "RoleArn": machines.role,
        "StateMachineName": "of-a-template",
    }
    template = {
        "Resources": {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}},
        "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Machine", "Arn"]}}, "Ref": {"Value": {"Ref": "Machine"}}},
    }
    stacks = aws.client("cloudformation")

    stacks.create_stack(StackName="machines", TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(StackName="machines", WaiterConfig={"Delay": 0.1})

    outputs = stacks.describe_stacks(StackName="machines")["Stacks"][0]["Outputs"]
    (arn,) = {output["OutputValue"] for output in outputs}
    started = machines.client.start_execution(stateMachineArn=arn)["executionArn"]
    assert json.loads(machines.ended(started)["output"]) == {"bucket": 'the "bucket"'}
