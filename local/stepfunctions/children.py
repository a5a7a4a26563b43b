"""Child executions: a Distributed Map and one item in, an execution with its own name, history and variables out."""

from __future__ import annotations

import datetime
import json
import uuid
from types import SimpleNamespace
from typing import Any

from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.eval.evaluation_details import EvaluationDetails
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.backend.execution_worker import SyncExecutionWorker


def new_child(state: Any, env: Any, record: Any, place: int, child_input: Any) -> Any:
    """An execution that `exec_worker.start()` runs to its end in the calling thread; `place` is its item's index."""
    details = env.aws_execution_details
    name, machine_arn = str(uuid.uuid4()), record.map_state_machine_arn
    child = Execution(
        name=name,
        sm_type="STANDARD",
        role_arn=details.role_arn,
        exec_arn=f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}",
        account_id=details.account,
        region_name=details.region,
        state_machine=SimpleNamespace(
            arn=machine_arn,
            name=machine_arn.rpartition(":")[2],
            sm_type="STANDARD",
            definition=json.dumps(state.declaration["ItemProcessor"]),
        ),
        start_date=datetime.datetime.now(tz=datetime.UTC),
        cloud_watch_logging_session=None,
        activity_store={},
        input_data=json.dumps(child_input),
    )
    child.place, child.map_run_arn = place, record.map_run_arn
    child.exec_status = ExecutionStatus.RUNNING
    child.exec_worker = _worker(child, state.iteration_component._get_iteration_program())
    return child


def _worker(child: Any, program: Any) -> Any:
    worker = SyncExecutionWorker(
        evaluation_details=EvaluationDetails(
            aws_execution_details=child._get_start_aws_execution_details(),
            execution_details=child.get_start_execution_details(),
            state_machine_details=child.get_start_state_machine_details(),
        ),
        exec_comm=BaseExecutionWorkerCommunication(child),
        cloud_watch_logging_session=None,
        activity_store={},
    )
    worker._get_evaluation_entrypoint = lambda: program
    return worker
