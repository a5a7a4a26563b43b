"""An execution's ARN comes in; how far each of its states is goes out, again and again until it has ended."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from shortlist.contracts.stages import GROWING_STAGES
from shortlist.ports import Clock

StateStatus = Literal["waiting", "running", "done", "failed"]
_SHOWN: Final = ("Task", "Map")
_FUNCTION_OF_JOB: Final = {f"{stage}Job": stage for stage in GROWING_STAGES}
_ONLY_WHEN_ENTERED: Final = ("HoldBack", "RequestApproval", "NotifyFailure", *_FUNCTION_OF_JOB)
_FAILURES: Final = ("Failed", "TimedOut", "Aborted")


class StateProgress(msgspec.Struct, kw_only=True):
    """One state of the machine.

    Attributes:
        seconds: since it was entered, until it was left.
        retries: attempts beyond the first.
        done, failed, total: children of a Distributed Map; total is 0 for any other state.
    """

    name: str
    status: StateStatus = "waiting"
    seconds: float = 0.0
    retries: int = 0
    done: int = 0
    failed: int = 0
    total: int = 0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One look at an execution; `status` is Step Functions' word (RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED)."""

    status: str
    seconds: float
    states: tuple[StateProgress, ...]
    error: str = ""
    cause: str = ""

    @property
    def ended(self) -> bool:
        return self.status not in ("RUNNING", "PENDING_REDRIVE")


def follow(client: Any, execution_arn: str, *, clock: Clock, every_s: float = 1.0) -> Iterator[Progress]:
    """Look at an execution every so often; the last look is at its end.

    Args:
        client: a boto3 Step Functions client.
    """
    machine = client.describe_state_machine_for_execution(executionArn=execution_arn)
    names = states_in_order(json.loads(machine["definition"]))
    while True:
        progress = look(client, execution_arn, names, clock.now())
        yield progress
        if progress.ended:
            return
        clock.sleep(every_s)


def look(client: Any, execution_arn: str, names: Sequence[str], now: datetime) -> Progress:
    """One look; the execution is described first, so that an ended one is seen with its whole history."""
    execution = client.describe_execution(executionArn=execution_arn)
    states = read_history(_history(client, execution_arn), names, now)
    counts = _map_counts(client, execution_arn) if any(state.total for state in states) else {}
    for state in states:
        if state.name in counts:
            state.done, state.failed, state.total = counts[state.name]
    return Progress(
        status=execution["status"],
        seconds=(execution.get("stopDate", now) - execution["startDate"]).total_seconds(),
        states=tuple(states),
        error=execution.get("error", ""),
        cause=execution.get("cause", ""),
    )


def states_in_order(definition: Mapping[str, Any]) -> list[str]:
    """The states that do work (tasks and maps), in the order in which they are written down."""
    return [name for name, state in definition["States"].items() if state["Type"] in _SHOWN]


def read_history(events: Iterable[Mapping[str, Any]], names: Sequence[str], now: datetime) -> list[StateProgress]:
    """What an execution's history says of the states `names`; a map that has begun has `total` 1 or more."""
    states = {name: StateProgress(name=name) for name in names}
    entered: dict[str, datetime] = {}
    current: StateProgress | None = None
    failing = False  # whether the newest attempt at the current state failed: another may follow
    for event in events:
        kind = event["type"]
        if current is not None and (kind.startswith("Execution") or kind.endswith(("StateEntered", "StateExited"))):
            # An error that was caught leaves a state without an exit of its own in some histories.
            current.status = "failed" if failing or kind.startswith("Execution") else "done"
            current.seconds = (event["timestamp"] - entered[current.name]).total_seconds()
            current = None
        if kind.endswith("StateEntered"):
            current = states.get(event["stateEnteredEventDetails"]["name"])
            failing = False
            if current is not None:
                current.status = "running"
                entered[current.name] = event["timestamp"]
        elif current is None:
            continue
        elif kind == "MapRunStarted":
            current.total = max(1, current.total)
        elif kind.endswith(_FAILURES):
            failing = True
        elif kind.endswith(("Scheduled", "StateStarted")) and failing:
            failing = False
            current.retries += 1
    if current is not None:
        current.seconds = (now - entered[current.name]).total_seconds()
    passed_by = {*_ONLY_WHEN_ENTERED, *(stage for job, stage in _FUNCTION_OF_JOB.items() if job in entered)}
    return [state for state in states.values() if state.name in entered or state.name not in passed_by]


def _history(client: Any, execution_arn: str) -> Iterator[Mapping[str, Any]]:
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=execution_arn, includeExecutionData=False
    )
    for page in pages:
        yield from page["events"]


def _map_counts(client: Any, execution_arn: str) -> dict[str, tuple[int, int, int]]:
    """Map state -> (done, failed, total) of its newest run. A map run's ARN ends in `machine/state:id`."""
    runs = client.list_map_runs(executionArn=execution_arn)["mapRuns"]
    counts: dict[str, tuple[int, int, int]] = {}
    for run in sorted(runs, key=lambda run: run["startDate"]):
        items = client.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
        failed = items["failed"] + items["timedOut"] + items["aborted"]
        state = run["mapRunArn"].rpartition(":")[0].rpartition("/")[2]
        counts[state] = (items["succeeded"], failed, items["total"])
    return counts
