"""StartExecution and its neighbours, as Step Functions answers them."""

import json
import re
import time

import pytest
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from tests.conformance.machines import Machines

WAITING = {"Wait": {"Type": "Wait", "Seconds": 1000, "End": True}}
QUICK = {"Pass": {"Type": "Pass", "End": True}}


@pytest.fixture(scope="module")
def machines(aws):
    return Machines(aws)


def start(machines, machine, **named):
    return machines.client.start_execution(stateMachineArn=machine, **named)["executionArn"]


def test_an_execution_without_a_name_gets_a_unique_one(machines):
    machine = machines.create(QUICK)

    first, second = start(machines, machine), start(machines, machine)

    assert first != second
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f-]{27}", first.rpartition(":")[2])


def test_the_same_name_and_input_is_the_same_running_execution(machines):
    machine = machines.create(WAITING)

    first = start(machines, machine, name="run-1", input='{"a": 1}')
    again = start(machines, machine, name="run-1", input='{"a": 1}')

    assert again == first
    assert len(machines.client.list_executions(stateMachineArn=machine)["executions"]) == 1


def test_the_same_name_with_other_input_is_refused(machines):
    machine = machines.create(WAITING)
    start(machines, machine, name="run-1", input='{"a": 1}')

    with pytest.raises(machines.client.exceptions.ExecutionAlreadyExists):
        start(machines, machine, name="run-1", input='{"a": 2}')


def test_the_name_of_an_execution_that_has_ended_is_refused(machines):
    machine = machines.create(QUICK)
    machines.ended(start(machines, machine, name="run-1"))

    with pytest.raises(machines.client.exceptions.ExecutionAlreadyExists):
        start(machines, machine, name="run-1")


@pytest.mark.parametrize("name", ["with space", "colon:", "x" * 81])
def test_a_name_that_aws_does_not_take_is_refused(machines, name):
    with pytest.raises(machines.client.exceptions.ClientError, match=r"InvalidName|ValidationException"):
        start(machines, machines.create(QUICK), name=name)


def test_input_that_is_no_json_is_refused(machines):
    with pytest.raises(machines.client.exceptions.InvalidExecutionInput):
        start(machines, machines.create(QUICK), input="{")


def test_input_over_256_kib_is_refused(machines):
    with pytest.raises(machines.client.exceptions.ClientError, match="262144"):
        start(machines, machines.create(QUICK), input=json.dumps("x" * 262_144))


def test_a_stopped_execution_is_aborted_at_once_with_the_error_and_cause_given(machines):
    execution = machines.start(WAITING)

    machines.client.stop_execution(executionArn=execution, error="Changed", cause="of mind")

    told = machines.client.describe_execution(executionArn=execution)
    assert (told["status"], told["error"], told["cause"]) == ("ABORTED", "Changed", "of mind")
    assert told["stopDate"] >= told["startDate"]


def test_a_stopped_execution_does_not_go_on_when_its_task_comes_back(machines):
    execution = machines.start({"Task": machines.probe({"sleep": 0.3}, Next="Pass"), **QUICK})
    while not any(event["type"] == "TaskStarted" for event in machines.history(execution)):
        pass

    machines.client.stop_execution(executionArn=execution)

    assert machines.client.describe_execution(executionArn=execution)["status"] == "ABORTED"
    while machines.history(execution)[-1]["type"] != "ExecutionAborted":
        pass
    assert machines.client.describe_execution(executionArn=execution)["status"] == "ABORTED"
    assert not any(event["type"] == "PassStateEntered" for event in machines.history(execution))


def test_a_failed_execution_tells_its_error_and_cause(machines):
    execution = machines.start({"Fail": {"Type": "Fail", "Error": "Broken", "Cause": "glass"}})

    told = machines.ended(execution)

    assert (told["status"], told["error"], told["cause"]) == ("FAILED", "Broken", "glass")
    assert "output" not in told


def test_the_history_tells_each_state_and_the_end(machines):
    execution = machines.start({"Task": machines.probe({"answer": 1}, Next="Pass"), **QUICK}, {"a": 1})
    machines.ended(execution)

    events = machines.history(execution)

    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStateExited",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    assert [event["id"] for event in events] == [*range(1, 10)]
    assert json.loads(events[1]["stateEnteredEventDetails"]["input"]) == {"a": 1}
    assert events[5]["stateExitedEventDetails"]["name"] == "Task"


def test_the_history_can_be_read_backwards_and_in_pages(machines):
    execution = machines.start(QUICK)
    machines.ended(execution)

    page = machines.client.get_execution_history(executionArn=execution, reverseOrder=True, maxResults=2)
    rest = machines.client.get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=2, nextToken=page["nextToken"]
    )

    assert [event["type"] for event in page["events"]] == ["ExecutionSucceeded", "PassStateExited"]
    assert [event["type"] for event in rest["events"]] == ["PassStateEntered", "ExecutionStarted"]
    assert "nextToken" not in rest


def test_the_history_may_be_read_without_the_data(machines):
    execution = machines.start(QUICK, {"secret": 1})
    machines.ended(execution)

    events = machines.client.get_execution_history(executionArn=execution, includeExecutionData=False)["events"]

    assert "secret" not in json.dumps(events, default=str)
    assert "secret" in json.dumps(machines.history(execution), default=str)


def test_executions_are_listed_the_newest_first_by_status_and_in_pages(machines):
    machine = machines.create({"Choose": {**CHOOSE}, "Good": {"Type": "Succeed"}, "Bad": {"Type": "Fail"}})
    names = ["a", "b", "c"]
    for name in names:
        machines.ended(start(machines, machine, name=name, input=json.dumps({"ok": name != "b"})))

    pages = [*machines.client.get_paginator("list_executions").paginate(stateMachineArn=machine, maxResults=2)]
    failed = machines.client.list_executions(stateMachineArn=machine, statusFilter="FAILED")["executions"]

    assert [[item["name"] for item in page["executions"]] for page in pages] == [["c", "b"], ["a"]]
    assert [item["name"] for item in failed] == ["b"]


CHOOSE = {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.ok %}", "Next": "Good"}], "Default": "Bad"}


def test_an_execution_that_is_not_there_is_refused(machines):
    machine = machines.create(QUICK)

    with pytest.raises(machines.client.exceptions.ExecutionDoesNotExist):
        machines.client.describe_execution(executionArn=machine.replace("stateMachine", "execution") + ":absent")


def test_a_running_execution_keeps_the_definition_it_started_with(machines):
    wait = {"Type": "Wait", "Seconds": 1, "Next": "Old"}
    machine = machines.create({"Wait": wait, "Old": {"Type": "Succeed", "Output": "{% 'old' %}"}})
    running = start(machines, machine)
    states = {"New": {"Type": "Succeed", "Output": "{% 'new' %}"}}
    new = {"QueryLanguage": "JSONata", "StartAt": "New", "States": states}

    machines.client.update_state_machine(stateMachineArn=machine, definition=json.dumps(new))

    told = machines.client.describe_state_machine_for_execution(executionArn=running)
    assert list(json.loads(told["definition"])["States"]) == ["Wait", "Old"]
    assert machines.ended(running)["output"] == '"old"'
    assert machines.ended(start(machines, machine))["output"] == '"new"'


def test_redriving_is_refused_in_so_many_words(machines):
    execution = machines.start({"Fail": {"Type": "Fail"}})
    machines.ended(execution)

    with pytest.raises(machines.client.exceptions.ClientError, match="not implement"):
        machines.client.redrive_execution(executionArn=execution)


def test_an_execution_may_be_looked_at_as_soon_as_it_is_started(machines, monkeypatch):
    read_definition = ExecutionWorker._get_evaluation_entrypoint

    def read_slowly(self):
        time.sleep(0.3)
        return read_definition(self)

    monkeypatch.setattr(ExecutionWorker, "_get_evaluation_entrypoint", read_slowly)
    execution = machines.start({"Wait": {"Type": "Wait", "Seconds": 1000, "End": True}})

    runs = machines.client.list_map_runs(executionArn=execution)["mapRuns"]

    assert runs == []
    machines.client.stop_execution(executionArn=execution)
