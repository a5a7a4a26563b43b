"""AWS Batch as AWS runs it: each case registers a definition and follows a job of a few lines to its end."""

import json
import time

import pytest

from local.batch_job import wants_retry
from local.batch_process import EXITED, Attempt
from local.records import ImageMapping
from tests.conformance.kit import make_role

ENDED = {"SUCCEEDED", "FAILED"}


@pytest.fixture(scope="module")
def queue(aws, tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    (folder / "greet.py").write_text("import os; print('hello from', os.getcwd())")
    aws.images["registry/app:*"] = ImageMapping(folder, {"FROM_IMAGE": "yes"})
    ec2, batch = aws.client("ec2"), aws.client("batch")
    environment = batch.create_compute_environment(
        computeEnvironmentName="fargate",
        type="MANAGED",
        state="ENABLED",
        serviceRole=make_role(aws, "batch-service", service="batch"),
        computeResources={
            "type": "FARGATE_SPOT",
            "maxvCpus": 16,
            "subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
            "securityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
        },
    )["computeEnvironmentArn"]
    order = [{"order": 1, "computeEnvironment": environment}]
    return batch.create_job_queue(jobQueueName="queue", state="ENABLED", priority=1, computeEnvironmentOrder=order)[
        "jobQueueArn"
    ]


@pytest.fixture(scope="module")
def role(aws):
    return make_role(aws, "job", {"Effect": "Allow", "Action": "*", "Resource": "*"}, service="ecs-tasks")


@pytest.fixture
def submit(aws, queue, role, request):
    """Registers a definition that runs the Python source, submits a job of it, returns the job's id."""
    name = request.node.name.removeprefix("test_").translate(str.maketrans("", "", "[]-"))[:100]

    def run(source: str, *, definition=None, container=None, **job) -> str:
        aws.client("batch").register_job_definition(
            jobDefinitionName=name,
            type="container",
            platformCapabilities=["FARGATE"],
            containerProperties={
                "image": "registry/app:1",
                "command": ["python", "-c", source],
                "jobRoleArn": role,
                "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
                **(container or {}),
            },
            **(definition or {}),
        )
        return aws.client("batch").submit_job(jobName=name, jobQueue=queue, jobDefinition=name, **job)["jobId"]

    return run


def ended(aws, job_id: str) -> dict:
    return until(aws, job_id, ENDED)


def until(aws, job_id: str, states: set[str]) -> dict:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        job = aws.client("batch").describe_jobs(jobs=[job_id])["jobs"][0]
        if job["status"] in states:
            return job
        time.sleep(0.02)
    raise AssertionError(f"still {job['status']}")


def log(aws, job: dict, group: str = "/aws/batch/job") -> list[str]:
    events = aws.client("logs").get_log_events(logGroupName=group, logStreamName=job["container"]["logStreamName"])
    return [event["message"] for event in events["events"]]


def test_the_command_runs_in_the_folder_of_its_image_and_its_lines_are_logged(aws, submit):
    job = ended(aws, submit("", container={"command": ["python", "greet.py"]}))

    assert job["status"] == "SUCCEEDED"
    assert job["container"]["exitCode"] == 0
    assert log(aws, job) == [f"hello from {aws.images['registry/app:*'].cwd}"]


def test_lines_are_in_the_log_while_the_job_runs(aws, submit):
    job_id = submit("import time; print('first'); time.sleep(30)")
    job = until(aws, job_id, {"RUNNING"})
    time.sleep(0.3)

    lines = log(aws, job)
    aws.client("batch").terminate_job(jobId=job_id, reason="seen enough")

    assert lines == ["first"]


def test_the_log_goes_where_the_definition_says(aws, submit):
    options = {"awslogs-group": "jobs", "awslogs-stream-prefix": "train"}

    job = ended(aws, submit("print(1)", container={"logConfiguration": {"logDriver": "awslogs", "options": options}}))

    assert job["container"]["logStreamName"].startswith("train/default/")
    assert log(aws, job, "jobs") == ["1"]


def test_it_calls_aws_as_the_job_role(aws, submit):
    job = ended(aws, submit("import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"))

    assert "assumed-role/job/" in log(aws, job)[0]


def test_the_request_overrides_command_and_variables(aws, submit):
    job_id = submit(
        "print('from the definition')",
        container={"environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]},
        containerOverrides={
            "command": ["python", "-c", "import os; print(*(os.environ[n] for n in ('A', 'B', 'FROM_IMAGE')))"],
            "environment": [{"name": "B", "value": "2"}],
        },
    )

    assert log(aws, ended(aws, job_id)) == ["1 2 yes"]


def test_parameters_replace_their_references(aws, submit):
    command = {"command": ["python", "-c", "import sys; print(sys.argv[1:])", "Ref::day", "Ref::mode"]}
    job_id = submit("", container=command, definition={"parameters": {"mode": "fast"}}, parameters={"day": "monday"})

    assert log(aws, ended(aws, job_id)) == ["['monday', 'fast']"]


def test_batch_tells_the_job_its_id_attempt_and_queue(aws, submit):
    names = "'AWS_BATCH_JOB_ID', 'AWS_BATCH_JOB_ATTEMPT', 'AWS_BATCH_JQ_NAME', 'AWS_BATCH_CE_NAME'"
    job_id = submit(f"import os; print(*(os.environ[n] for n in ({names})))")

    assert log(aws, ended(aws, job_id)) == [f"{job_id} 1 queue fargate"]


def test_each_child_of_an_array_knows_its_index(aws, submit):
    job_id = submit("import os; print(os.environ['AWS_BATCH_JOB_ARRAY_INDEX'])", arrayProperties={"size": 3})

    parent = ended(aws, job_id)

    children = [ended(aws, f"{job_id}:{index}") for index in range(3)]
    assert parent["status"] == "SUCCEEDED"
    assert parent["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 3
    assert [log(aws, child) for child in children] == [["0"], ["1"], ["2"]]


def test_an_array_fails_when_one_child_fails_and_the_others_still_run(aws, submit):
    source = "import os, sys; sys.exit(os.environ['AWS_BATCH_JOB_ARRAY_INDEX'] == '1')"

    parent = ended(aws, submit(source, arrayProperties={"size": 3}))

    assert (parent["status"], parent["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert parent["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 2


def test_a_failed_command_fails_the_job_with_its_exit_code(aws, submit):
    job = ended(aws, submit("import sys; sys.exit(3)"))

    assert (job["status"], job["statusReason"]) == ("FAILED", "Essential container in task exited")
    assert job["container"]["exitCode"] == 3
    assert len(job["attempts"]) == 1


def test_it_is_tried_again_as_often_as_the_strategy_says(aws, submit):
    source = "import os, sys; sys.exit(0 if os.environ['AWS_BATCH_JOB_ATTEMPT'] == '3' else 1)"

    job = ended(aws, submit(source, definition={"retryStrategy": {"attempts": 3}}))

    assert job["status"] == "SUCCEEDED"
    assert [attempt["container"]["exitCode"] for attempt in job["attempts"]] == [1, 1, 0]


def test_the_strategy_of_the_request_replaces_that_of_the_definition(aws, submit):
    job_id = submit(
        "import sys; sys.exit(1)", definition={"retryStrategy": {"attempts": 5}}, retryStrategy={"attempts": 2}
    )

    assert len(ended(aws, job_id)["attempts"]) == 2


def test_an_exit_code_that_means_give_up_is_not_retried(aws, submit):
    rules = [{"onExitCode": "7", "action": "EXIT"}, {"onReason": "*", "action": "RETRY"}]

    job = ended(aws, submit("import sys; sys.exit(7)", retryStrategy={"attempts": 4, "evaluateOnExit": rules}))

    assert len(job["attempts"]) == 1


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], True),
        ([{"onExitCode": "1", "action": "exit"}], False),
        ([{"onExitCode": "13*", "action": "EXIT"}], True),
        ([{"onExitCode": "1*", "action": "EXIT"}], False),
        ([{"onStatusReason": "Essential*", "onExitCode": "2", "action": "EXIT"}], True),
        ([{"onStatusReason": "Essential*", "onExitCode": "1", "action": "EXIT"}], False),
        ([{"onExitCode": "1", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}], True),
        ([{"onReason": "CannotPull*", "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}], False),
    ],
)
def test_the_first_rule_that_fits_decides_and_none_means_again(rules, expected):
    strategy = {"attempts": 2, "evaluateOnExit": rules}

    assert wants_retry(strategy, Attempt(1, EXITED), 1) is expected


def test_a_job_over_its_time_is_ended_and_not_retried(aws, submit):
    limit = {"attemptDurationSeconds": 1}  # AWS takes no less than 60, this one does

    job = ended(aws, submit("import time; time.sleep(90)", retryStrategy={"attempts": 3}, timeout=limit))

    assert (job["status"], job["statusReason"]) == ("FAILED", "Job attempt duration exceeded timeout")
    assert len(job["attempts"]) == 1


def test_a_job_over_its_memory_is_killed(aws, submit):
    job = ended(aws, submit("import time; x = bytearray(700 * 1024 * 1024); time.sleep(20)"))

    assert job["container"]["exitCode"] == 137
    assert job["container"]["reason"].startswith("OutOfMemoryError")


def test_a_terminated_job_fails_with_the_reason_given(aws, submit):
    job_id = submit("import time; time.sleep(60)", retryStrategy={"attempts": 3})
    until(aws, job_id, {"RUNNING"})

    aws.client("batch").terminate_job(jobId=job_id, reason="the team stopped it")
    job = ended(aws, job_id)

    assert (job["status"], job["statusReason"]) == ("FAILED", "the team stopped it")
    assert len(job["attempts"]) == 1


def test_a_job_may_clean_up_when_it_is_terminated(aws, submit):
    job_id = submit("""
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("closing"), sys.exit(9)))
print("ready")
time.sleep(60)
""")
    job = until(aws, job_id, {"RUNNING"})
    while "ready" not in log(aws, job):
        time.sleep(0.02)

    aws.client("batch").terminate_job(jobId=job_id, reason="stop")

    job = ended(aws, job_id)
    assert job["container"]["exitCode"] == 9
    assert log(aws, job) == ["ready", "closing"]


def test_a_job_waits_for_the_jobs_it_depends_on(aws, submit):
    first = submit("import time; time.sleep(0.3)")
    second = submit("print('after')", dependsOn=[{"jobId": first}])

    assert ended(aws, second)["startedAt"] >= ended(aws, first)["stoppedAt"]


def test_a_job_fails_with_the_job_it_depends_on(aws, submit):
    first = submit("import sys; sys.exit(1)")
    second = ended(aws, submit("print('never')", dependsOn=[{"jobId": first}]))

    assert (second["status"], second["statusReason"]) == ("FAILED", "Dependent Job failed")
    assert second["attempts"] == []


def test_an_image_without_a_folder_cannot_be_pulled(aws, submit):
    job = ended(aws, submit("", container={"image": "registry/other:1"}))

    assert job["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith("CannotPullContainerError")


def test_a_command_that_does_not_exist_cannot_be_started(aws, submit):
    job = ended(aws, submit("", container={"command": ["no-such-program"]}))

    assert job["container"]["reason"].startswith("CannotStartContainerError")


def test_a_secret_of_the_definition_is_a_variable(aws, role, submit):
    arn = aws.client("secretsmanager").create_secret(Name="job-secret", SecretString="s3cret")["ARN"]
    secrets = {"secrets": [{"name": "TOKEN", "valueFrom": arn}], "executionRoleArn": role}

    job = ended(aws, submit("import os; print(os.environ['TOKEN'])", container=secrets))

    assert log(aws, job) == ["s3cret"]


def test_a_container_whose_log_may_not_be_written_does_not_start(aws, submit):
    execution = make_role(aws, "no-logs", service="ecs-tasks")

    job = ended(aws, submit("print(1)", container={"executionRoleArn": execution}))

    assert job["statusReason"] == "Task failed to start"
    assert "logs:CreateLogStream" in job["container"]["reason"]


def test_a_role_that_does_not_trust_tasks_is_not_assumed(aws, submit):
    role = make_role(aws, "for-lambda", service="lambda")

    job = ended(aws, submit("print(1)", container={"jobRoleArn": role}))

    assert job["container"]["reason"].startswith("ECS was unable to assume the role")


def test_without_a_job_role_there_are_no_credentials(aws, submit):
    job = ended(aws, submit("import os; print([n for n in os.environ if 'KEY' in n])", container={"jobRoleArn": ""}))

    assert log(aws, job) == ["[]"]


@pytest.mark.parametrize(("vcpu", "memory"), [("1", "512"), ("3", "8192"), ("4", "31744"), ("8", "17408")])
def test_a_size_that_fargate_does_not_offer_is_refused(aws, queue, vcpu, memory):
    batch = aws.client("batch")
    needs = [{"type": "VCPU", "value": vcpu}, {"type": "MEMORY", "value": memory}]

    with pytest.raises(batch.exceptions.ClientException, match="not valid"):
        batch.register_job_definition(
            jobDefinitionName="odd",
            type="container",
            platformCapabilities=["FARGATE"],
            containerProperties={"image": "registry/app:1", "resourceRequirements": needs},
        )


def test_jobs_are_listed_by_queue_and_state(aws, queue, submit):
    job_id = submit("import sys; sys.exit(1)")
    ended(aws, job_id)

    failed = aws.client("batch").list_jobs(jobQueue=queue, jobStatus="FAILED")["jobSummaryList"]

    assert job_id in [job["jobId"] for job in failed]


def test_what_a_job_took_is_recorded(aws, submit):
    job_id = submit("import time; x = bytearray(100 * 1024 * 1024); time.sleep(0.4)")
    ended(aws, job_id)

    record = next(i for i in aws.invocations if i.request_id == f"{job_id}#1")

    assert record.kind == "job"
    assert 0.4 <= record.seconds < 10
    assert 100 <= record.peak_rss_mib < 200
    assert record.error is None


def test_the_numba_cache_of_the_machine_is_passed_on(aws, submit, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/somewhere")
    monkeypatch.setenv("OTHER_SETTING", "mine")

    job = ended(aws, submit("import os, json; print(json.dumps(dict(os.environ)))"))

    variables = json.loads(log(aws, job)[0])
    assert variables["NUMBA_CACHE_DIR"] == "/somewhere"
    assert "OTHER_SETTING" not in variables
