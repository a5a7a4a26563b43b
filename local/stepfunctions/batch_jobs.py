"""batch:submitJob.sync: a submitted job in, its description out, or States.TaskFailed with the description as Cause.

moto leaves the job running when its state stops or times out; Step Functions terminates it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_batch import (
    StateTaskServiceBatch,
)
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from local.stepfunctions.clients import StateClients
from local.stepfunctions.failures import task_failure

if TYPE_CHECKING:
    from local.server import EmbeddedAws

_ASK_EVERY_S = 0.1


def install(aws: EmbeddedAws, clients: StateClients) -> None:
    def resolver(self: Any, env: Any, **_: Any) -> Callable[[], Any]:
        batch = clients.of(env, "batch")
        job_id = env.stack.pop()["JobId"]
        return lambda: _await(self, env, batch, job_id)

    def follow(self: Any, *, sync_resolver: Callable[[], Any], **_: Any) -> Any:
        return sync_resolver()  # moto's own loop never asks it when the state stopped since TaskSubmitted

    aws.replace(StateTaskServiceBatch, "_build_sync_resolver", resolver)
    aws.replace(StateTaskServiceBatch, "_eval_sync", follow)
    aws.replace(StateTaskServiceBatch, "_attach_aws_environment_variables", staticmethod(_mark_as_managed))


def _await(self: Any, env: Any, batch: Any, job_id: str) -> Any:
    while env.is_running():
        answer = batch.describe_jobs(jobs=[job_id])
        status = answer["jobs"][0]["status"]
        if status in ("SUCCEEDED", "FAILED"):
            self._normalise_response(response=answer, service_action_name="describe_jobs")
            job = answer["Jobs"][0]
            if status == "FAILED":
                raise FailureEventException(task_failure(self, env, "States.TaskFailed", to_json_str(job, (",", ":"))))
            return job
        time.sleep(_ASK_EVERY_S)
    batch.terminate_job(jobId=job_id, reason="The Step Functions execution that submitted this job stopped.")
    return None


def _mark_as_managed(parameters: dict[str, Any]) -> None:
    overrides = parameters.setdefault("ContainerOverrides", {})
    environment = overrides.setdefault("Environment", [])
    environment.append({"Name": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"})
