"""The project's own state machine, its functions and jobs replaced by ones that record what they are given."""

import json
import re
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.conformance.kit import archive
from tests.conformance.machines import Jobs, Machines

DEFINITION = Path("statemachine/pipeline.asl.json").read_text(encoding="utf-8")
RECORDER = """
import boto3, json, os
def handler(event, context):
    name = context.function_name
    bucket = boto3.client("s3")
    place = f"calls/{name}/{event.get('key', '').replace('/', '-')}{context.aws_request_id}.json"
    bucket.put_object(Bucket="shop", Key=place, Body=json.dumps(event))
    if name == os.environ.get("FAILING"):
        raise type("DatasetError", (Exception,), {})("shard is torn")
    campaign, rounds = event["run"]["campaign"], event.get("round", 0)
    step = "ask" if campaign == "asked" else "send"
    if rounds:
        step = "wait" if campaign == "in-rounds" and rounds < 3 else "done"
    if name == "PlanComputeFunction":
        size = {"job": campaign == "large", "vcpus": "4", "memory_mib": "8192", "children": 2}
        return {"stages": {stage: size for stage in ("Repackage", "BuildIndex", "Rank")}}
    return {"publish": campaign != "worse", "step": step, "round": rounds + (step != "done"), "wait_s": 1}
"""

JOB = """
import json, os, sys
payload = json.loads(sys.argv[1])
if payload["run"]["campaign"] == "large" and payload.get("children", 2) != 2:
    sys.exit(1)
"""


@pytest.fixture(scope="module")
def machines(aws):
    return Machines(aws)


@pytest.fixture(scope="module")
def start(aws, machines, tmp_path_factory):
    """Starts the pipeline on a bucket with three user shards and one of recipients."""
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "jobs").mkdir()
    for job in ("prepare", "train", "repackage", "build_index", "rank"):
        (folder / "jobs" / f"{job}.py").write_text(JOB)
    Jobs(aws, folder)
    aws.client("s3").create_bucket(Bucket="shop", CreateBucketConfiguration={"LocationConstraint": aws.region})
    values = {"JobQueue": "jobs", "Bucket": "shop"}
    for placeholder in sorted(set(re.findall(r"\$\{(\w+)\}", DEFINITION)) - values.keys()):
        values[placeholder] = (
            "job" if placeholder.endswith("JobDefinition") else deploy(aws, machines.role, placeholder)
        )
    definition = re.sub(r"\$\{(\w+)\}", lambda found: values[found.group(1)], DEFINITION)
    machine = machines.client.create_state_machine(name="pipeline", definition=definition, roleArn=machines.role)

    def begin(**given):
        for key in ("latent/users/0.npy", "latent/users/1.npy", "latent/users/2.npy", "recipients/0.json"):
            aws.client("s3").put_object(Bucket="shop", Key=f"runs/{given['run_id']}/{key}", Body=b"")
        return machines.client.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(given))[
            "executionArn"
        ]

    return begin


def deploy(aws, role, name):
    aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="index.handler",
        Code={"ZipFile": archive(index=RECORDER)},
        MemorySize=256,
        Timeout=10,
    )
    return name


@pytest.fixture
def calls(aws):
    """What each function was called with since the test began, by function name."""
    s3 = aws.client("s3")
    for found in s3.list_objects_v2(Bucket="shop", Prefix="calls/").get("Contents", []):
        s3.delete_object(Bucket="shop", Key=found["Key"])

    def of(name):
        found = s3.list_objects_v2(Bucket="shop", Prefix=f"calls/{name}/").get("Contents", [])
        return [json.load(s3.get_object(Bucket="shop", Key=call["Key"])["Body"]) for call in found]

    return of


@pytest.fixture
def failing(aws):
    """Makes one function fail until the test ends."""
    changed = []

    def change(name):
        aws.client("lambda").update_function_configuration(
            FunctionName=name, Environment={"Variables": {"FAILING": name}}
        )
        changed.append(name)

    yield change
    for name in changed:
        aws.client("lambda").update_function_configuration(FunctionName=name, Environment={"Variables": {}})


def wait_for(look, seconds=60):
    """What `look` sees as soon as it sees anything."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if seen := look():
            return seen
        time.sleep(0.05)
    raise TimeoutError(f"nothing was seen in {seconds} s")


def test_a_run_goes_through_every_stage_and_each_shard(machines, start, calls):
    execution = start(campaign="weekly-picks", run_id="r1")

    ended = machines.ended(execution, seconds=60)

    assert (ended["status"], ended.get("output")) == ("SUCCEEDED", '{"run_id":"r1","campaign":"weekly-picks"}')
    assert sorted(call["key"] for call in calls("RankFunction")) == [f"runs/r1/latent/users/{n}.npy" for n in range(3)]
    assert len(calls("WriteTopXFunction")) == 3
    assert [call["run"]["execution"] for call in calls("SendEmailsFunction")] == [execution]
    assert len(calls("ReportFunction")) == 1
    assert calls("HoldBackFunction") == []


def test_a_run_that_is_too_large_for_functions_goes_through_jobs(aws, machines, start, calls):
    before = len(aws.invocations)

    ended = machines.ended(start(campaign="large", run_id="r0"), seconds=60)

    assert ended["status"] == "SUCCEEDED", ended
    jobs = [call.name for call in aws.invocations[before:] if call.kind == "job"]
    assert sorted(jobs) == [f"{job}-r0" for job in ("BuildIndex", "Prepare", "Rank", "Rank", "Repackage", "Train")]
    assert calls("RepackageFunction") == calls("BuildIndexFunction") == calls("RankFunction") == []
    assert len(calls("WriteTopXFunction")) == 3


def test_a_model_that_is_worse_is_held_back(machines, start, calls):
    ended = machines.ended(start(campaign="worse", run_id="r2"), seconds=60)

    assert ended["status"] == "SUCCEEDED"
    assert len(calls("HoldBackFunction")) == 1
    assert calls("RankFunction") == calls("PublishFunction") == calls("SendEmailsFunction") == []


def test_a_run_asked_not_to_send_sends_nothing(machines, start, calls):
    ended = machines.ended(start(campaign="weekly-picks", run_id="r3", send=False), seconds=60)

    assert ended["status"] == "SUCCEEDED"
    assert len(calls("PublishFunction")) == 1
    assert calls("SendEmailsFunction") == []


def test_a_mailing_goes_on_in_rounds_and_no_function_runs_between_them(machines, start, calls):
    execution = start(campaign="in-rounds", run_id="r4")

    ended = machines.ended(execution, seconds=60)

    assert ended["status"] == "SUCCEEDED"
    assert sorted(call["round"] for call in calls("PlanMailingFunction")) == [0, 1, 2, 3]
    assert len(calls("SendEmailsFunction")) == 3
    assert len(calls("ReportFunction")) == 1
    waits = [event["type"] for event in machines.history(execution) if event["type"].startswith("WaitState")]
    assert waits == ["WaitStateEntered", "WaitStateExited"] * 2


@pytest.mark.parametrize(("approved", "mailed"), [(True, 1), (False, 0)])
def test_a_run_stops_before_its_mailing_until_the_team_has_answered(machines, start, calls, approved, mailed):
    execution = start(campaign="asked", run_id=f"asked-{approved}")
    (asked,) = wait_for(lambda: calls("RequestApprovalFunction"))
    before = calls("SendEmailsFunction")

    machines.client.send_task_success(taskToken=asked["token"], output=json.dumps({"approved": approved}))

    assert machines.ended(execution, seconds=60)["status"] == "SUCCEEDED"
    assert before == []
    assert len(calls("SendEmailsFunction")) == mailed
    assert len(calls("ReportFunction")) == 1


def test_a_token_is_answered_once(machines, start, calls):
    execution = start(campaign="asked", run_id="asked-twice")
    (asked,) = wait_for(lambda: calls("RequestApprovalFunction"))
    machines.client.send_task_success(taskToken=asked["token"], output='{"approved": true}')
    machines.ended(execution, seconds=60)

    for token in (asked["token"], "forged"):
        with pytest.raises(ClientError) as refused:
            machines.client.send_task_success(taskToken=token, output='{"approved": true}')
        assert refused.value.response["Error"]["Code"] in ("TaskTimedOut", "InvalidToken")


@pytest.mark.parametrize(
    ("function", "state", "error"),
    [
        ("PublishFunction", "Publish", "DatasetError"),
        ("WriteTopXFunction", "Recommend", "States.ExceedToleratedFailureThreshold"),
    ],
)
def test_a_failure_is_told_to_the_team_and_fails_the_run(machines, start, calls, failing, function, state, error):
    failing(function)

    ended = machines.ended(start(campaign="weekly-picks", run_id=f"fails-in-{state}"), seconds=60)

    (told,) = calls("NotifyFailureFunction")
    assert (ended["status"], ended["error"]) == ("FAILED", error)
    assert ended["cause"].startswith(f"{state}: ")
    assert (told["state"], told["error"]) == (state, error)
    assert calls("SendEmailsFunction") == []
