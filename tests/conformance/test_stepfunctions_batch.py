"""batch:submitJob.sync as Step Functions has it."""

import json
import threading
import time

import pytest
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_batch import (
    StateTaskServiceBatch,
)

from tests.conformance.machines import Jobs, Machines


@pytest.fixture(scope="module")
def machines(aws):
    return Machines(aws)


@pytest.fixture(scope="module")
def jobs(aws, tmp_path_factory):
    return Jobs(aws, tmp_path_factory.mktemp("image"))


def test_the_task_ends_with_the_description_of_the_job_that_succeeded(machines, jobs):
    output = machines.output({"Job": jobs.task("print('done')", End=True)})

    assert output["Status"] == "SUCCEEDED"
    assert output["JobName"].startswith("job-")
    assert output["Container"]["ExitCode"] == 0
    assert output["Container"]["Command"] == ["python", "-c", "print('done')"]


def test_the_job_knows_that_step_functions_started_it(machines, jobs):
    source = "import os, sys; sys.exit(os.environ['MANAGED_BY_AWS'] != 'STARTED_BY_STEP_FUNCTIONS')"

    assert machines.output({"Job": jobs.task(source, End=True)})["Status"] == "SUCCEEDED"


def test_a_job_that_fails_fails_the_task_with_its_description_as_cause(machines, jobs):
    error, cause = machines.failure({"Job": jobs.task("raise SystemExit(3)", End=True)})

    job = json.loads(cause)
    assert error == "States.TaskFailed"
    assert job["Status"] == "FAILED"
    assert job["Attempts"][0]["Container"]["ExitCode"] == 3
    assert job["StatusReason"] == "Essential container in task exited"


@pytest.mark.parametrize(("failing", "status"), [("1", "FAILED"), ("none", "SUCCEEDED")])
def test_an_array_job_is_waited_for_as_a_whole_and_fails_with_one_of_its_children(machines, jobs, failing, status):
    source = f"import os, sys; sys.exit(os.environ['AWS_BATCH_JOB_ARRAY_INDEX'] == {failing!r})"
    catch = [{"ErrorEquals": ["States.TaskFailed"], "Output": "{% $parse($states.errorOutput.Cause) %}", "Next": "End"}]
    task = jobs.task(source, Catch=catch, Next="End")
    task["Arguments"]["ArrayProperties"] = {"Size": "{% 3 %}"}
    sizes = [{"Type": "VCPU", "Value": "0.5"}, {"Type": "MEMORY", "Value": "{% '1024' %}"}]
    task["Arguments"]["ContainerOverrides"]["ResourceRequirements"] = sizes

    job = machines.output({"Job": task, "End": {"Type": "Pass", "End": True}})

    assert job["Status"] == status
    assert job["ArrayProperties"]["Size"] == 3
    assert job["Container"]["ResourceRequirements"] == [
        {"Type": t, "Value": v} for t, v in (("VCPU", "0.5"), ("MEMORY", "1024"))
    ]


def test_a_failed_job_can_be_caught(machines, jobs):
    catch = [
        {"ErrorEquals": ["States.ALL"], "Output": "{% $parse($states.errorOutput.Cause).Status %}", "Next": "Caught"}
    ]
    task = jobs.task("raise SystemExit(3)", Catch=catch, End=True)

    assert machines.output({"Job": task, "Caught": {"Type": "Pass", "End": True}}) == "FAILED"


def test_a_job_that_cannot_be_submitted_is_a_batch_error(machines, jobs):
    task = jobs.task("", End=True)
    task["Arguments"]["JobQueue"] = "absent"

    error, cause = machines.failure({"Job": task})

    assert error == "Batch.ClientException"
    assert "Service: AWSBatch" in cause


def test_the_history_tells_that_the_job_was_submitted(machines, jobs):
    execution = machines.start({"Job": jobs.task("", End=True)})
    machines.ended(execution)

    kinds = [event["type"] for event in machines.history(execution)]

    assert kinds[1:-1] == [
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSubmitted",
        "TaskSucceeded",
        "TaskStateExited",
    ]


def ended_job(aws, submitted):
    """The description of the job that a TaskSubmitted event tells of, once it has failed."""
    job_id = json.loads(submitted["taskSubmittedEventDetails"]["output"])["JobId"]
    until = time.monotonic() + 10
    while (job := aws.client("batch").describe_jobs(jobs=[job_id])["jobs"][0])["status"] != "FAILED":
        assert time.monotonic() < until, job["status"]
        time.sleep(0.05)
    return job


@pytest.mark.parametrize("how", ["stopped", "timed out"])
def test_a_job_whose_task_stops_or_times_out_is_terminated(aws, machines, jobs, how):
    fields = {"TimeoutSeconds": 1} if how == "timed out" else {}
    execution = machines.start({"Job": jobs.task("import time; time.sleep(60)", End=True, **fields)})
    submitted = None
    while submitted is None:
        events = machines.history(execution)
        submitted = next((event for event in events if event["type"] == "TaskSubmitted"), None)

    if how == "stopped":
        machines.client.stop_execution(executionArn=execution)

    assert "Step Functions" in ended_job(aws, submitted)["statusReason"]


def test_a_job_is_terminated_when_its_execution_stops_before_it_is_first_asked_about(aws, machines, jobs, monkeypatch):
    submitted, stopped = threading.Event(), threading.Event()
    build = StateTaskServiceBatch._build_sync_resolver

    def build_late(self, **given):
        submitted.set()
        stopped.wait(10)
        return build(self, **given)

    monkeypatch.setattr(StateTaskServiceBatch, "_build_sync_resolver", build_late)
    execution = machines.start({"Job": jobs.task("import time; time.sleep(60)", End=True)})
    submitted.wait(10)

    machines.client.stop_execution(executionArn=execution)
    stopped.set()

    event = next(event for event in machines.history(execution) if event["type"] == "TaskSubmitted")
    assert "Step Functions" in ended_job(aws, event)["statusReason"]
