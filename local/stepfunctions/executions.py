"""Executions: the requests of StartExecution and its neighbours in, answers as AWS words them out.

moto names an execution without a name `None`, reports a stopped one only when its task comes back, loses the error and
cause of StopExecution, and knows nothing of the executions of a map run.
"""

from __future__ import annotations

import datetime
import json
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.stepfunctions.exceptions import (
    ExecutionDoesNotExist,
    InvalidExecutionInput,
    ResourceNotFound,
    ValidationException,
)
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.models import StepFunctionsParserBackend, stepfunctions_parser_backends
from moto.stepfunctions.parser.utils import TMP_THREADS
from moto.stepfunctions.responses import StepFunctionResponse

if TYPE_CHECKING:
    from local.server import EmbeddedAws

_MAX_INPUT_BYTES = 262_144
_TIME_TO_BEGIN_S = 5.0
_TIME_TO_END_S = 2.0


def install(aws: EmbeddedAws) -> None:
    backend = StepFunctionsParserBackend
    start = backend.start_execution

    def start_execution(self: Any, state_machine_arn: str, name: str | None, execution_input: str) -> Any:
        if name is not None:
            self._validate_name(name)
        if len(execution_input.encode()) > _MAX_INPUT_BYTES:
            raise ValidationException(f"Value at 'input' must have length less than or equal to {_MAX_INPUT_BYTES}")
        try:
            json.loads(execution_input)
        except ValueError as error:
            raise InvalidExecutionInput(f"Invalid State Machine Execution Input: '{error}'") from error
        execution = start(self, state_machine_arn, name or str(uuid.uuid4()), execution_input)
        _await_environment(execution)
        return execution

    reflect = BaseExecutionWorkerCommunication._reflect_execution_status

    def reflect_status(self: Any) -> None:
        if self.execution.exec_status == ExecutionStatus.RUNNING:  # a stopped execution stays as it was stopped
            reflect(self)

    aws.replace(backend, "start_execution", start_execution)
    aws.replace(backend, "describe_execution", find_execution)
    aws.replace(BaseExecutionWorkerCommunication, "_reflect_execution_status", reflect_status)
    aws.replace(Execution, "stop", stop)
    aws.on_stop(lambda: _stop_all(aws))
    aws.replace(StepFunctionResponse, "stop_execution", _stop_execution)
    aws.replace(StepFunctionResponse, "list_executions", _list_executions)
    aws.replace(StepFunctionResponse, "describe_execution", _describe_execution)
    aws.replace(StepFunctionResponse, "get_execution_history", _get_execution_history)
    aws.replace(StepFunctionResponse, "describe_state_machine_for_execution", _describe_machine)


def _await_environment(execution: Any) -> None:
    """moto's thread reads the definition first; until it has, moto's code for map runs and task tokens would fail."""
    until = time.monotonic() + _TIME_TO_BEGIN_S
    while execution.exec_worker.env is None and time.monotonic() < until:
        time.sleep(0.001)


def find_execution(backend: Any, execution_arn: str) -> Any:
    """The execution, started by StartExecution or by a map run."""
    backend._validate_execution_arn(execution_arn)
    for machine in backend.state_machines:
        for execution in machine.executions:
            if execution.execution_arn == execution_arn:
                return execution
            for run in map_runs(execution):
                for child in run.children:
                    if child.execution_arn == execution_arn:
                        return child
    raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{execution_arn}'")


def map_runs(execution: Any) -> Iterator[Any]:
    """moto's records of the execution's map runs."""
    environment = execution.exec_worker.env
    if environment is not None:
        yield from environment.map_run_record_pool_manager.get_all()


def stop(
    execution: Any, stop_date: datetime.datetime | None = None, error: str | None = None, cause: str | None = None
) -> None:
    """The execution is ABORTED at once; a task that runs is left to end unheeded, a Batch job is terminated."""
    if execution.exec_status != ExecutionStatus.RUNNING:
        return
    execution.exec_status = ExecutionStatus.ABORTED
    execution.stop_date = stop_date or datetime.datetime.now(tz=datetime.UTC)
    execution.error, execution.cause = error, cause
    if execution.exec_worker.env is not None:
        execution.exec_worker.stop(stop_date=execution.stop_date, error=error, cause=cause)


def _stop_all(aws: EmbeddedAws) -> None:
    """Stops what runs and gives its threads time to see it, while what they call is still there."""
    for machine in stepfunctions_parser_backends[aws.account][aws.region].state_machines:
        for execution in machine.executions:
            stop(execution)
            for run in map_runs(execution):
                for child in run.children:
                    stop(child)
    until = time.monotonic() + _TIME_TO_END_S
    for thread in [*TMP_THREADS]:
        thread.join(timeout=max(0.0, until - time.monotonic()))
    TMP_THREADS.clear()


def _stop_execution(self: Any) -> Any:
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    stop(execution, error=self._get_param("error"), cause=self._get_param("cause"))
    return ActionResult({"stopDate": execution.stop_date})


def _list_executions(self: Any) -> Any:
    backend = self.stepfunction_backend
    map_run_arn = self._get_param("mapRunArn")
    if map_run_arn:
        found = _children(backend, map_run_arn)
    else:
        found = backend.describe_state_machine(self._get_param("stateMachineArn")).executions
    wanted = self._get_param("statusFilter")
    listed = [_listed(execution) for execution in found if wanted in (None, execution.status)]
    listed.sort(key=lambda item: item["startDate"], reverse=True)
    return ActionResult(_page(self, "executions", listed))


def _get_execution_history(self: Any) -> Any:
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    events = execution.to_history_output()["events"]
    if self._get_param("includeExecutionData") is False:
        events = [_without_data(event) for event in events]
    return ActionResult(_page(self, "events", events[::-1] if self._get_param("reverseOrder") else events))


def _page(self: Any, name: str, found: list[Any]) -> dict[str, Any]:
    """What the request's `nextToken` and `maxResults` ask for."""
    start, size = int(self._get_param("nextToken") or 0), self._get_int_param("maxResults") or 100
    more = {"nextToken": str(start + size)} if start + size < len(found) else {}
    return {name: found[start : start + size], **more}


def _children(backend: Any, map_run_arn: str) -> list[Any]:
    for machine in backend.state_machines:
        for execution in machine.executions:
            for run in map_runs(execution):
                if run.map_run_arn == map_run_arn:
                    return [*run.children]
    raise ResourceNotFound(map_run_arn)


def _listed(execution: Any) -> dict[str, Any]:
    ended = {"stopDate": execution.stop_date} if execution.stop_date else {}
    run = {"mapRunArn": execution.map_run_arn, "itemCount": 1} if hasattr(execution, "map_run_arn") else {}
    return {
        "executionArn": execution.execution_arn,
        "name": execution.name,
        "startDate": execution.start_date,
        "stateMachineArn": execution.state_machine_arn,
        "status": execution.status,
        "redriveCount": 0,
        **ended,
        **run,
    }


def _describe_execution(self: Any) -> Any:
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    described = {key: value for key, value in execution.to_describe_output().items() if value is not None}
    described |= _listed(execution)
    described.pop("itemCount", None)
    described["input"] = execution.execution_input
    return ActionResult(described | {"redriveStatus": "NOT_REDRIVABLE"})


def _without_data(event: dict[str, Any]) -> dict[str, Any]:
    return {
        key: {name: told for name, told in value.items() if name not in ("input", "output", "parameters")}
        if isinstance(value, dict)
        else value
        for key, value in event.items()
    }


def _describe_machine(self: Any) -> Any:
    """The machine as it was when the execution began; of a child execution, the workflow inside the map."""
    execution = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
    machine = execution.state_machine
    return ActionResult(
        {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "definition": machine.definition,
            "roleArn": execution.role_arn,
            "updateDate": execution.start_date,
        }
    )
