"""A Distributed Map: items in, one child execution each, their outputs (or the ResultWriter's manifest) out.

moto runs the items inside the parent: no executions of their own, no failure threshold, the parent's variables in
sight. Here each child is an execution of its own, counts in the map run, and stops when the parent stops.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.api import HistoryEventType, MapRunStatus
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.map_run_record import (
    MapRunRecord,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.state_map import StateMap
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from local.stepfunctions.children import new_child
from local.stepfunctions.clients import StateClients
from local.stepfunctions.evaluation import evaluate
from local.stepfunctions.executions import stop
from local.stepfunctions.failures import failure
from local.stepfunctions.jsonata import fill
from local.stepfunctions.map_input import read_items
from local.stepfunctions.map_output import write_results
from local.stepfunctions.parsing import is_distributed

if TYPE_CHECKING:
    from local.server import EmbeddedAws

MOST_AT_ONCE = 40  # threads; AWS runs up to 10,000 children at once
_LOOK_EVERY_S = 0.1


def install(aws: EmbeddedAws, clients: StateClients) -> None:
    inline_execution = StateMap._eval_execution

    def run(self: Any, env: Any) -> None:
        if is_distributed(self.declaration):
            MapRun(self, env, clients).run()
        else:
            inline_execution(self, env)

    aws.replace(StateMap, "_eval_execution", run)


class MapRun:
    """One run of one Distributed Map state."""

    def __init__(self, state: Any, env: Any, clients: StateClients) -> None:
        self._state, self._env, self._clients = state, env, clients
        self._declared: dict[str, Any] = state.declaration
        context = env.states.context_object.context_object_data
        self._record = MapRunRecord(
            state_machine_arn=context["StateMachine"]["Id"],
            execution_arn=context["Execution"]["Id"],
            max_concurrency=int(self._value("MaxConcurrency", 0)),
            tolerated_failure_count=int(self._value("ToleratedFailureCount", 0)),
            tolerated_failure_percentage=float(self._value("ToleratedFailurePercentage", 0)),
            label=self._declared.get("Label"),
        )
        self._record.children = []
        self._counters = (self._record.item_counter, self._record.execution_counter)
        self._lock = threading.Lock()
        self._stopped = False

    def run(self) -> None:
        """Leaves the output on the environment's stack; raises the failure of the Map state."""
        env, record = self._env, self._record
        items = None if "ItemReader" in self._declared else self._items()
        self._event("MapStateStarted", mapStateStartedEventDetails={"length": len(items or [])})
        env.map_run_record_pool_manager.add(record)
        self._event("MapRunStarted", mapRunStartedEventDetails={"mapRunArn": record.map_run_arn})
        try:
            inputs = [
                self._selected(place, item) for place, item in enumerate(self._items() if items is None else items)
            ]
            self._run_children(inputs)
            output = self._output()
            self._fail_beyond_threshold(len(inputs))
        except FailureEventException as failed:
            record.set_stop(status=MapRunStatus.FAILED)
            error, cause = failed.extract_error_cause_pair() or (None, None)
            self._event("MapRunFailed", mapRunFailedEventDetails={"error": error, "cause": cause})
            raise
        if not env.is_running():
            record.set_stop(status=MapRunStatus.ABORTED)
            self._event("MapRunAborted")
            return
        record.set_stop(status=MapRunStatus.SUCCEEDED)
        self._event("MapRunSucceeded")
        env.stack.append(output)
        env.event_manager.add_event(
            context=env.event_history_context,
            event_type=HistoryEventType.MapStateSucceeded,
            update_source_event_id=False,
        )

    def _items(self) -> list[Any]:
        return read_items(self._declared, self._env, self._value, self._clients)

    def _run_children(self, inputs: list[Any]) -> None:
        """Runs each child as a slot comes free; stops them all once too many failed or the parent no longer runs."""
        for counter in self._counters:
            counter.total.count(len(inputs))
            counter.pending.count(len(inputs))
        slots = min(self._record.max_concurrency or MOST_AT_ONCE, MOST_AT_ONCE)
        pool = ThreadPoolExecutor(slots, thread_name_prefix="map-run")
        running = {pool.submit(self._run_child, place, child_input) for place, child_input in enumerate(inputs)}
        while running:
            ended, running = wait(running, timeout=_LOOK_EVERY_S, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()
            if self._threshold_exceeded(len(inputs)) or not self._env.is_running():
                break
        pool.shutdown(wait=False, cancel_futures=True)
        self._stop_children()

    def _run_child(self, place: int, child_input: Any) -> None:
        """One child from start to end, counted in the map run."""
        child = new_child(self._state, self._env, self._record, place, child_input)
        with self._lock:
            if self._stopped:
                return
            self._record.children.append(child)
            self._move("pending", "running")
        child.exec_worker.start()
        with self._lock:
            if not self._stopped:
                self._move("running", child.status.lower())

    def _stop_children(self) -> None:
        """Leaves no child pending or running; a task that one of them waits for is left to end unheeded."""
        with self._lock:
            self._stopped = True
            for child in self._record.children:
                stop(child)
            for counter in self._counters:
                left = counter.pending.get() + counter.running.get()
                counter.pending.offset(-counter.pending.get())
                counter.running.offset(-counter.running.get())
                counter.aborted.count(left)

    def _move(self, before: str, after: str) -> None:
        for counter in self._counters:
            getattr(counter, before).offset(-1)
            getattr(counter, after).count()

    def _fail_beyond_threshold(self, total: int) -> None:
        if self._threshold_exceeded(total):
            cause = "The specified tolerated failure threshold was exceeded"
            raise failure(self._env, "States.ExceedToleratedFailureThreshold", cause)

    def _threshold_exceeded(self, total: int) -> bool:
        """As AWS: over the count or over the percentage; without either, one failed child is too many."""
        record = self._record
        failed = record.item_counter.failed.get() + record.item_counter.timed_out.get()
        allowed_count, allowed_share = record.tolerated_failure_count, record.tolerated_failure_percentage
        over_count = failed > allowed_count and (allowed_count > 0 or allowed_share == 0)
        over_share = allowed_share > 0 and failed * 100 > allowed_share * total
        return bool(over_count or over_share)

    def _output(self) -> Any:
        children = self._record.children
        if "ResultWriter" in self._declared:
            for counter in self._counters:
                counter.results_written.count(len(children))
            try:
                return write_results(self._value("ResultWriter"), self._record, self._clients.of(self._env, "s3"))
            except ClientError as error:
                raise failure(self._env, "States.ResultWriterFailed", str(error)) from error
        succeeded = [child for child in sorted(children, key=lambda child: child.place) if child.status == "SUCCEEDED"]
        return [child.output for child in succeeded]

    def _selected(self, place: int, item: Any) -> Any:
        """The input of one child: the item itself, or what ItemSelector makes of it."""
        if "ItemSelector" not in self._declared:
            return item
        context = {
            **self._env.states.context_object.context_object_data,
            "Map": {"Item": {"Index": place, "Value": item}},
        }
        return self._value("ItemSelector", context=context)

    def _value(self, field: str, default: Any = None, context: dict[str, Any] | None = None) -> Any:
        def value_of(expression: str, place: str) -> Any:
            return evaluate(self._env, expression, place, context)

        return fill(self._declared[field], value_of, field) if field in self._declared else default

    def _event(self, kind: str, **details: Any) -> None:
        self._env.event_manager.add_event(
            context=self._env.event_history_context,
            event_type=HistoryEventType(kind),
            event_details=EventDetails(**details) if details else None,
        )
