"""Least privilege: what each role may do, held against what its work needs."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cdk.functions import FUNCTIONS
from shortlist.aws.environment import Environment, variable_of
from shortlist.contracts.stages import BATCH_STAGES, LAMBDA_STAGES
from statemachine.definition import load_definition, required_actions

Json = dict[str, Any]
OfType = Callable[[str], dict[str, Json]]

LOGGING_AND_TRACING = {
    *("logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery"),
    *("logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"),
    *("xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"),
}
WITHOUT_RESOURCES = LOGGING_AND_TRACING | {"batch:DescribeJobs", "ses:GetAccount", "ecr:GetAuthorizationToken"}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def spelled(value: Any) -> str:
    """An ARN as one string: `<Logical.Arn>/runs/*`."""
    match value:
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(map(spelled, parts))
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
    return str(value)


@pytest.fixture(scope="module")
def statements(of_type: OfType) -> Callable[[str], list[tuple[set[str], set[str]]]]:
    """The logical id of a role in; its statements out, each as actions and resources."""

    def of_role(role: str) -> Iterator[tuple[set[str], set[str]]]:
        for policy in of_type("AWS::IAM::Policy").values():
            if {"Ref": role} in policy["Properties"]["Roles"]:
                for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
                    assert statement["Effect"] == "Allow"
                    yield set(listed(statement["Action"])), set(map(spelled, listed(statement["Resource"])))

    return lambda role: list(of_role(role))


@pytest.fixture(scope="module")
def function_role(of_type: OfType) -> Callable[[str], str]:
    functions = {f["Properties"]["FunctionName"]: f["Properties"] for f in of_type("AWS::Lambda::Function").values()}
    return lambda word: functions[f"Shortlist-{word}"]["Role"]["Fn::GetAtt"][0]


@pytest.fixture(scope="module")
def machine(of_type: OfType) -> Json:
    [machine] = of_type("AWS::StepFunctions::StateMachine").values()
    return machine["Properties"]


def test_the_machine_may_do_what_its_states_need_and_nothing_else(
    machine: Json, statements: Callable[..., Any]
) -> None:
    granted = set[str]().union(*(actions for actions, _ in statements(machine["RoleArn"]["Fn::GetAtt"][0])))

    assert granted - LOGGING_AND_TRACING == required_actions(load_definition())


def test_the_machine_may_call_the_functions_of_its_states_and_no_other(
    machine: Json, statements: Callable[..., Any]
) -> None:
    called = {spelled(value) for name, value in machine["DefinitionSubstitutions"].items() if name.endswith("Function")}

    granted = set[str]()
    for actions, resources in statements(machine["RoleArn"]["Fn::GetAtt"][0]):
        granted |= resources if "lambda:InvokeFunction" in actions else set()

    assert len(called) == len(LAMBDA_STAGES)
    assert granted == called


def test_the_machine_submits_its_own_jobs_to_its_own_queue(machine: Json, statements: Callable[..., Any]) -> None:
    [submit] = [r for a, r in statements(machine["RoleArn"]["Fn::GetAtt"][0]) if "batch:SubmitJob" in a]

    prefix = "arn:<AWS::Partition>:batch:<AWS::Region>:<AWS::AccountId>:job-definition/Shortlist-"
    assert submit == {
        spelled(machine["DefinitionSubstitutions"]["JobQueue"]),
        *(f"{prefix}{stage}:*" for stage in BATCH_STAGES),
    }


def test_every_placeholder_of_the_definition_is_filled(machine: Json) -> None:
    definition = machine["DefinitionString"]

    placeholders = set(machine["DefinitionSubstitutions"])

    assert isinstance(definition, str)
    assert json.loads(definition) == load_definition()
    assert all(f"${{{name}}}" in definition for name in placeholders)


def test_no_role_has_an_action_with_a_wildcard_or_a_managed_policy(of_type: OfType) -> None:
    for policy in of_type("AWS::IAM::Policy").values():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            assert not [action for action in listed(statement["Action"]) if "*" in action]
    assert not [role for role in of_type("AWS::IAM::Role").values() if "ManagedPolicyArns" in role["Properties"]]


def test_only_actions_that_know_no_resources_are_granted_on_everything(of_type: OfType) -> None:
    everywhere = {
        action
        for policy in of_type("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "*" in listed(statement["Resource"])
        for action in listed(statement["Action"])
    }

    assert everywhere <= WITHOUT_RESOURCES


def keys(statements: list[tuple[set[str], set[str]]], action: str) -> set[str]:
    """Key patterns within the bucket."""
    return {r.split(">", 1)[1] for actions, resources in statements if action in actions for r in resources}


@pytest.mark.parametrize("spec", FUNCTIONS, ids=[spec.word for spec in FUNCTIONS])
def test_a_function_writes_no_key_that_another_one_owns(
    spec: Any, statements: Callable[..., Any], function_role: Callable[[str], str]
) -> None:
    own = keys(statements(function_role(spec.word)), "s3:PutObject")

    others = [other for other in FUNCTIONS if other.word != spec.word]
    foreign = set[str]().union(*(keys(statements(function_role(o.word)), "s3:PutObject") for o in others))
    assert own & foreign == set()
    assert all(pattern.startswith("/runs/*/") for pattern in own)


@pytest.mark.parametrize("spec", FUNCTIONS, ids=[spec.word for spec in FUNCTIONS])
def test_a_function_deletes_only_what_it_writes(
    spec: Any, statements: Callable[..., Any], function_role: Callable[[str], str]
) -> None:
    granted = statements(function_role(spec.word))

    assert keys(granted, "s3:DeleteObject") <= keys(granted, "s3:PutObject")


def test_rank_reads_the_run_and_writes_lists(
    statements: Callable[..., Any], function_role: Callable[[str], str]
) -> None:
    granted = statements(function_role("Rank"))

    assert keys(granted, "s3:GetObject") == {"/runs/*/*"}
    assert keys(granted, "s3:PutObject") == {
        "/runs/*/topx/*",
        "/runs/*/exports/*.csv",
        "/runs/*/manifests/Rank/*.json",
    }


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("ses:SendEmail", {"SendEmails"}),
        ("secretsmanager:GetSecretValue", {"SendEmails", "Unsubscribe"}),
        ("sns:Publish", {"HoldBack", "RequestApproval", "Report", "NotifyFailure"}),
        ("sqs:ReceiveMessage", {"MailEvents"}),
    ],
)
def test_who_may(
    action: str, words: set[str], statements: Callable[..., Any], function_role: Callable[[str], str]
) -> None:
    may = {s.word for s in FUNCTIONS if any(action in actions for actions, _ in statements(function_role(s.word)))}

    assert may == words


@pytest.mark.parametrize("spec", FUNCTIONS, ids=[spec.word for spec in FUNCTIONS])
def test_a_function_is_told_of_what_it_may_use(spec: Any, of_type: OfType) -> None:
    functions = {f["Properties"]["FunctionName"]: f["Properties"] for f in of_type("AWS::Lambda::Function").values()}
    fields = {"bucket", *spec.also_told, *(grant.resource for grant in spec.grants)}

    told = set(functions[f"Shortlist-{spec.word}"]["Environment"]["Variables"])

    assert told == {variable_of(field) for field in fields & set(Environment.__struct_fields__)}
