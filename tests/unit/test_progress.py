"""Progress: what an execution's history says of each state."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console

from shortlist.aws.progress import Progress, StateProgress, follow, read_history, states_in_order
from shortlist.commands.execute import see_through
from shortlist.commands.view import watch
from tests.fakes import FixedClock

START = datetime(2026, 1, 5, 6, tzinfo=UTC)
ARN = "arn:aws:states:eu-west-1:123456789012:execution:Shortlist:run"
MAP_RUN = "arn:aws:states:eu-west-1:123456789012:mapRun:Shortlist/Recommend:7d2f"
DEFINITION = """{"States": {
    "Init": {"Type": "Pass"}, "Train": {"Type": "Task"}, "QualityGate": {"Type": "Choice"},
    "Recommend": {"Type": "Map"}, "HoldBack": {"Type": "Task"}, "NotifyFailure": {"Type": "Task"}}}"""
NAMES = ["Train", "Recommend", "HoldBack", "NotifyFailure"]


def history(*steps):
    """(seconds, type) or (seconds, type, state) -> the events of a history."""
    events = []
    for at_s, kind, *state in steps:
        event = {"type": kind, "timestamp": START + timedelta(seconds=at_s)}
        if state:
            event["stateEnteredEventDetails"] = {"name": state[0]}
        events.append(event)
    return events


def read(*steps, now_s=60):
    states = read_history(history(*steps), NAMES, START + timedelta(seconds=now_s))
    return {state.name: state for state in states}


def test_states_that_do_work_are_shown_in_the_order_of_the_definition():
    assert states_in_order(json.loads(DEFINITION)) == NAMES


def test_before_anything_happens_all_states_wait_and_the_exceptional_ones_are_not_shown():
    states = read((0, "ExecutionStarted"))

    assert {name: state.status for name, state in states.items()} == {"Train": "waiting", "Recommend": "waiting"}


@pytest.mark.parametrize(
    ("entered", "shown"),
    [
        ("", ["Repackage", "Publish"]),
        ("Repackage", ["Repackage", "Publish"]),
        ("RepackageJob", ["RepackageJob", "Publish"]),
    ],
)
def test_of_a_function_and_the_job_in_its_place_one_is_shown(entered, shown):
    names = ["Repackage", "RepackageJob", "Publish"]

    states = read_history(history((1, "TaskStateEntered", entered)), names, START)

    assert [state.name for state in states] == shown


def test_a_state_runs_until_it_is_left():
    running = read((1, "TaskStateEntered", "Train"), (2, "TaskScheduled"), now_s=11)
    done = read((1, "TaskStateEntered", "Train"), (2, "TaskScheduled"), (6, "TaskStateExited"), now_s=11)

    assert (running["Train"].status, running["Train"].seconds) == ("running", 10.0)
    assert (done["Train"].status, done["Train"].seconds) == ("done", 5.0)


def test_an_attempt_that_failed_and_is_tried_again_counts_as_a_retry():
    states = read(
        (1, "TaskStateEntered", "Train"),
        (1, "TaskScheduled"),
        (2, "TaskFailed"),
        (4, "TaskScheduled"),
        (9, "TaskStateExited"),
    )

    assert (states["Train"].status, states["Train"].retries) == ("done", 1)


def test_a_state_between_two_attempts_is_still_running():
    states = read((1, "TaskStateEntered", "Train"), (1, "TaskScheduled"), (3, "TaskFailed"), now_s=9)

    assert (states["Train"].status, states["Train"].seconds) == ("running", 8.0)


@pytest.mark.parametrize("exits", [True, False])
def test_a_caught_error_leaves_its_state_failed(exits):
    steps = [(1, "TaskStateEntered", "Train"), (1, "TaskScheduled"), (3, "TaskTimedOut")]
    if exits:
        steps.append((3, "TaskStateExited"))

    states = read(*steps, (3, "TaskStateEntered", "NotifyFailure"), (4, "TaskStateExited"))

    assert (states["Train"].status, states["Train"].seconds) == ("failed", 2.0)
    assert states["NotifyFailure"].status == "done"


def test_an_execution_that_is_stopped_stops_its_state():
    states = read((1, "MapStateEntered", "Recommend"), (1, "MapRunStarted"), (5, "ExecutionAborted"))

    assert (states["Recommend"].status, states["Recommend"].seconds) == ("failed", 4.0)


class Machine:
    """A Step Functions client whose execution is one step further at every look."""

    def __init__(self, *looks):
        self.looks = list(looks)
        self.now = None

    def describe_state_machine_for_execution(self, **_):
        return {"definition": DEFINITION}

    def describe_execution(self, **_):
        self.now = self.looks.pop(0)
        return {"status": self.now["status"], "startDate": START, "stopDate": START + timedelta(seconds=30)}

    def get_paginator(self, operation):
        assert operation == "get_execution_history"
        return self

    def paginate(self, **_):
        events = history(*self.now["events"])
        return [{"events": events[:1]}, {"events": events[1:]}]

    def list_map_runs(self, **_):
        return {"mapRuns": [{"mapRunArn": MAP_RUN, "startDate": START}]}

    def describe_map_run(self, mapRunArn):
        assert mapRunArn == MAP_RUN
        counts = {"failed": 0, "timedOut": 0, "aborted": 0, "total": 4}
        return {"itemCounts": counts | {"succeeded": self.now["succeeded"]}}


def machine():
    begun = [(1, "MapStateEntered", "Recommend"), (1, "MapStateStarted"), (1, "MapRunStarted")]
    return Machine(
        {"status": "RUNNING", "events": begun, "succeeded": 1},
        {"status": "RUNNING", "events": begun, "succeeded": 3},
        {"status": "SUCCEEDED", "events": [*begun, (9, "MapStateExited")], "succeeded": 4},
    )


def test_the_last_look_is_at_the_end_and_counts_the_shards():
    clock = FixedClock(START)

    looks = list(follow(machine(), ARN, clock=clock, every_s=2))

    shards = [(look.states[1].done, look.states[1].total) for look in looks]
    assert shards == [(1, 4), (3, 4), (4, 4)]
    assert [look.ended for look in looks] == [False, False, True]
    assert clock.slept == [2, 2]


def test_without_a_terminal_every_change_is_a_line():
    out = StringIO()

    last = watch(machine(), ARN, Console(file=out, force_terminal=False, width=100), every_s=0)

    assert last.status == "SUCCEEDED"
    assert out.getvalue().splitlines() == [
        "● Recommend    running: 1/4 shards",
        "● Recommend    running: 3/4 shards",
        "✓ Recommend    done: 4/4 shards  8.0 s",
    ]


def test_on_a_terminal_the_table_ends_as_the_run_ended():
    out = StringIO()

    watch(machine(), ARN, Console(file=out, force_terminal=True, width=100), every_s=0)

    assert "4/4 shards" in out.getvalue()
    assert "succeeded" in out.getvalue()


def test_an_execution_waiting_for_a_redrive_has_not_ended():
    assert not Progress(status="PENDING_REDRIVE", seconds=1, states=(StateProgress(name="Train"),)).ended


def test_who_stops_watching_is_told_that_the_run_goes_on(tmp_path):
    class Impatient:
        def client(self, service):
            return self

        def describe_state_machine_for_execution(self, **request):
            raise KeyboardInterrupt

    target = SimpleNamespace(account=Impatient(), deployment=SimpleNamespace(bucket="shop-bucket"), poll_s=0)
    said = StringIO()

    with pytest.raises(KeyboardInterrupt):
        see_through(target, "weekly-picks", "r1", ARN, tmp_path, Console(file=said))

    assert "Run r1 goes on" in said.getvalue()
    assert "s3://shop-bucket/runs/r1/" in said.getvalue()
    assert f"stop-execution --execution-arn {ARN}" in said.getvalue()
