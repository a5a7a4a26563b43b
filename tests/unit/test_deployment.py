"""A deployment is found by the outputs of its stack, or it is said what is missing."""

import boto3
import pytest
from botocore.stub import Stubber

from shortlist.aws.deployment import Account, Deployment
from shortlist.contracts.deployment import OUTPUTS, STACK_NAME
from shortlist.errors import ContractError


@pytest.fixture
def cloudformation():
    return boto3.client(
        "cloudformation", region_name="eu-west-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def answering(cloudformation, outputs):
    stack = {
        "StackName": STACK_NAME,
        "CreationTime": "2026-01-05T06:00:00Z",
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
    }
    stubber = Stubber(cloudformation)
    stubber.add_response("describe_stacks", {"Stacks": [stack]}, {"StackName": STACK_NAME})
    return stubber


def test_every_name_comes_from_an_output_of_the_stack(cloudformation):
    outputs = {output: f"the {field}" for field, output in OUTPUTS.items()}

    with answering(cloudformation, {**outputs, "DashboardUrl": "https://example.com"}):
        found = Deployment.find(cloudformation)

    assert {field: getattr(found, field) for field in OUTPUTS} == {field: f"the {field}" for field in OUTPUTS}
    assert set(Deployment.__struct_fields__) == set(OUTPUTS)


def test_a_stack_that_is_not_there_is_said_with_the_cure(cloudformation):
    stubber = Stubber(cloudformation)
    stubber.add_client_error("describe_stacks", "ValidationError", "Stack with id Shortlist does not exist")

    with stubber, pytest.raises(ContractError, match=r"does not exist.*docs/deploy\.md"):
        Deployment.find(cloudformation)


def test_a_stack_of_an_older_version_is_said(cloudformation):
    with (
        answering(cloudformation, {"BucketName": "b"}),
        pytest.raises(ContractError, match="no output Recommendations"),
    ):
        Deployment.find(cloudformation)


def test_the_region_is_that_of_the_cli_and_the_other_sdks(monkeypatch):
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-2")

    region = Account().client("cloudformation").meta.region_name

    assert region == "eu-central-2"


def test_without_a_region_it_is_said_how_to_set_one(monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")

    with pytest.raises(ContractError, match="set AWS_REGION"):
        Account().client("cloudformation")
