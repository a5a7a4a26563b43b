"""Injected faults: what a test asks to go wrong goes wrong once, at the request it names, and nothing else does."""

import json
import time

import pytest

from local.records import ImageMapping
from tests.conformance.kit import archive, make_role

WRITER = """
import boto3
s3 = boto3.client("s3")
def handler(event, context):
    for number in range(event["writes"]):
        s3.put_object(Bucket="shards", Key=f"{event['prefix']}/{number}", Body=b"x")
    return "done"
"""


@pytest.fixture(scope="module", autouse=True)
def writer(aws):
    aws.client("s3").create_bucket(Bucket="shards", CreateBucketConfiguration={"LocationConstraint": aws.region})
    role = make_role(aws, "writer", {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    for name in ("Rank", "WriteTopX"):
        aws.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=role,
            Handler="index.handler",
            Code={"ZipFile": archive(index=WRITER)},
            Timeout=2,
            MemorySize=256,
        )


@pytest.fixture(autouse=True)
def without_faults(aws):
    yield
    aws.faults.clear()


def write(aws, prefix, writes=4, function="Rank"):
    payload = json.dumps({"prefix": prefix, "writes": writes})
    answer = aws.client("lambda").invoke(FunctionName=function, Payload=payload)
    return json.load(answer["Payload"])


def written(aws, prefix) -> int:
    return aws.client("s3").list_objects_v2(Bucket="shards", Prefix=f"{prefix}/")["KeyCount"]


def test_a_function_is_killed_in_the_middle_and_only_once(aws):
    fault = aws.faults.add("function:Rank", after_requests=3, action="kill")

    killed = write(aws, "killed")

    assert killed["errorMessage"].endswith("signal: killed")
    assert (fault.fired, written(aws, "killed")) == (1, 2)
    assert write(aws, "killed") == "done"


def test_an_error_is_answered_and_the_sdk_tries_again(aws):
    fault = aws.faults.add("function:Rank", action="error", times=2)

    assert write(aws, "error") == "done"
    assert (fault.fired, written(aws, "error")) == (2, 4)


def test_an_error_that_does_not_end_reaches_the_handler_by_its_code(aws):
    aws.faults.add("function:Rank", action="error", times=99, code="AccessDenied", status=403)

    assert "AccessDenied" in write(aws, "denied")["errorMessage"]


def test_a_request_that_hangs_lasts_until_the_function_times_out(aws):
    aws.faults.add("function:Rank", after_requests=2, action="hang")

    begun = time.monotonic()
    answer = write(aws, "hang")

    assert answer["errorType"] == "Sandbox.Timedout"
    assert time.monotonic() - begun < 4
    assert written(aws, "hang") == 1


def test_a_rule_concerns_its_principal_only(aws):
    fault = aws.faults.add("function:Rank", action="kill")

    assert write(aws, "other", function="WriteTopX") == "done"
    aws.client("s3").list_buckets()

    assert fault.seen == 0


@pytest.mark.parametrize(
    ("filters", "left"),
    [({"operation": "PutObject"}, 0), ({"key": "filtered/2"}, 2), ({"service": "dynamodb"}, 4), ({"key": "none"}, 4)],
)
def test_a_rule_may_wait_for_an_operation_or_a_key(aws, filters, left):
    prefix = f"filtered-{'-'.join(filters)}-{left}"
    renamed = {name: value.replace("filtered/", f"{prefix}/") for name, value in filters.items()}
    aws.faults.add("function:Rank", action="kill", **renamed)

    write(aws, prefix)

    assert written(aws, prefix) == left


@pytest.fixture(scope="module")
def job_queue(aws, tmp_path_factory):
    aws.images["*"] = ImageMapping(tmp_path_factory.mktemp("image"))
    ec2, batch = aws.client("ec2"), aws.client("batch")
    environment = batch.create_compute_environment(
        computeEnvironmentName="spot",
        type="MANAGED",
        state="ENABLED",
        serviceRole=make_role(aws, "batch-service", service="batch"),
        computeResources={
            "type": "FARGATE_SPOT",
            "maxvCpus": 4,
            "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
            "securityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
        },
    )["computeEnvironmentArn"]
    order = [{"order": 1, "computeEnvironment": environment}]
    batch.create_job_queue(jobQueueName="jobs", state="ENABLED", priority=1, computeEnvironmentOrder=order)
    role = make_role(aws, "job", {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, service="ecs-tasks")
    source = "import boto3; s3 = boto3.client('s3')\nfor n in range(3): s3.put_object(Bucket='shards', Key=f'job/{n}')"
    batch.register_job_definition(
        jobDefinitionName="train",
        type="container",
        containerProperties={
            "image": "app",
            "command": ["python", "-c", source],
            "jobRoleArn": role,
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "2048"}],
        },
    )
    return "jobs"


def run_job(aws, queue, **strategy):
    batch = aws.client("batch")
    job_id = batch.submit_job(
        jobName="Train-r1", jobQueue=queue, jobDefinition="train", retryStrategy={"attempts": 2, **strategy}
    )["jobId"]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        job = batch.describe_jobs(jobs=[job_id])["jobs"][0]
        if job["status"] in {"SUCCEEDED", "FAILED"}:
            return job
        time.sleep(0.05)
    raise AssertionError(job["status"])


def test_a_killed_job_is_an_attempt_that_ended_with_137(aws, job_queue):
    aws.faults.add("job:Train", after_requests=2, action="kill")

    job = run_job(aws, job_queue)

    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [137, 0]


def test_a_reclaimed_job_is_told_apart_by_its_reason(aws, job_queue):
    aws.faults.add("job:Train", after_requests=1, action="reclaim")
    spot_only = [{"onStatusReason": "Your Spot Task*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]

    job = run_job(aws, job_queue, evaluateOnExit=spot_only)

    assert job["status"] == "SUCCEEDED"
    assert [attempt["statusReason"][:26] for attempt in job["attempts"]] == [
        "Your Spot Task was interru",
        "Essential container in tas",
    ]
