"""Tasks that wait for a token (developer guide, "Wait for a Callback with Task Token")."""

import time

import pytest
from botocore.exceptions import ClientError

from tests.conformance.kit import archive
from tests.conformance.machines import Machines

KEEPER = """
import boto3
def handler(event, context):
    boto3.client("s3").put_object(Bucket="tokens", Key=event["name"], Body=event["token"])
    return "not the state's result"
"""


@pytest.fixture(scope="module")
def machines(aws):
    made = Machines(aws)
    aws.client("s3").create_bucket(Bucket="tokens", CreateBucketConfiguration={"LocationConstraint": aws.region})
    aws.client("lambda").create_function(
        FunctionName="keeper",
        Runtime="python3.13",
        Role=made.role,
        Handler="index.handler",
        Code={"ZipFile": archive(index=KEEPER)},
        MemorySize=256,
        Timeout=10,
    )
    return made


def asking(**fields):
    """A state that hands its token to the keeper and waits."""
    return {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
            "Arguments": {
                "FunctionName": "keeper",
                "Payload": {
                    "name": "{% $states.context.Execution.Name %}",
                    "token": "{% $states.context.Task.Token %}",
                },
            },
            "End": True,
            **fields,
        }
    }


def token_of(aws, execution, seconds=10):
    until = time.monotonic() + seconds
    name = execution.rpartition(":")[2]
    while time.monotonic() < until:
        if "Contents" in aws.client("s3").list_objects_v2(Bucket="tokens", Prefix=name):
            return aws.client("s3").get_object(Bucket="tokens", Key=name)["Body"].read().decode()
        time.sleep(0.05)
    raise TimeoutError(f"{execution} asks for nothing")


def test_the_result_is_what_the_token_is_answered_with(aws, machines):
    execution = machines.start(asking())
    token = token_of(aws, execution)
    waiting = machines.client.describe_execution(executionArn=execution)["status"]

    machines.client.send_task_success(taskToken=token, output='{"approved": true}')

    ended = machines.ended(execution)
    assert waiting == "RUNNING"
    assert (ended["status"], ended["output"].replace(" ", "")) == ("SUCCEEDED", '{"approved":true}')


def test_a_token_may_be_answered_with_an_error_that_is_caught_by_its_name(aws, machines):
    states = asking(Catch=[{"ErrorEquals": ["Refused"], "Next": "Caught"}]) | {"Caught": {"Type": "Succeed"}}
    execution = machines.start(states)

    machines.client.send_task_failure(taskToken=token_of(aws, execution), error="Refused", cause="no")

    assert machines.ended(execution)["status"] == "SUCCEEDED"


def test_a_task_that_is_not_answered_in_time_fails_with_states_timeout(aws, machines):
    states = asking(TimeoutSeconds=2, Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Late"}])
    execution = machines.start(states | {"Late": {"Type": "Succeed"}})
    token = token_of(aws, execution)

    ended = machines.ended(execution)
    with pytest.raises(ClientError) as refused:
        machines.client.send_task_success(taskToken=token, output="{}")

    assert ended["status"] == "SUCCEEDED"
    assert refused.value.response["Error"]["Code"] in ("TaskTimedOut", "InvalidToken")


def test_an_execution_that_waits_for_a_token_can_be_stopped(aws, machines):
    execution = machines.start(asking(TimeoutSeconds=600))
    token_of(aws, execution)

    machines.client.stop_execution(executionArn=execution)

    assert machines.ended(execution)["status"] == "ABORTED"
