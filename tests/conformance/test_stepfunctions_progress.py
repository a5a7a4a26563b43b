"""What shortlist.aws.progress reads of an execution, told by the embedded AWS as AWS tells it."""

import pytest

from shortlist.aws.clock import SystemClock
from shortlist.aws.progress import follow
from tests.conformance.machines import Machines


@pytest.fixture(scope="module")
def machines(aws):
    return Machines(aws)


def mapped(each, **fields):
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Each",
        "States": {"Each": each},
    }
    return {"Type": "Map", "Items": [1, 2, 3], "ItemProcessor": processor, "Label": "Shards", **fields}


def test_states_and_shards_are_followed_to_the_end(machines):
    states = {
        "First": machines.probe({"sleep": 0.2}, Next="Shards"),
        "Shards": mapped(machines.probe({"sleep": 0.2}, End=True), MaxConcurrency=1, End=True),
    }

    looks = [*follow(machines.client, machines.start(states), clock=SystemClock(), every_s=0.05)]

    last = looks[-1]
    seen = {(state.name, state.status, state.done) for look in looks for state in look.states}
    assert last.status == "SUCCEEDED"
    assert [(state.name, state.status, state.done, state.total) for state in last.states] == [
        ("First", "done", 0, 0),
        ("Shards", "done", 3, 3),
    ]
    assert ("First", "running", 0) in seen
    assert {("Shards", "running", 1), ("Shards", "running", 2)} <= seen


def test_a_failed_shard_and_the_failure_are_told(machines):
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Failed"}]
    each = machines.probe({"fail": "Broken"}, End=True)
    states = {
        "Shards": mapped(each, MaxConcurrency=1, Catch=catch, End=True),
        "Failed": {"Type": "Fail", "Error": "Broken", "Cause": "a shard"},
    }

    *_, last = follow(machines.client, machines.start(states), clock=SystemClock(), every_s=0.05)

    (shards,) = last.states
    assert (last.status, last.error, last.cause) == ("FAILED", "Broken", "a shard")
    assert (shards.status, shards.done, shards.total) == ("failed", 0, 3)
    assert shards.failed == 3  # one failed, the others were aborted
