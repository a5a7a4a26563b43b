"""Failures: an exception of a task in, the Error and Cause that Step Functions gives it out; and what catches them.

- lambda:invoke: the `errorType` of the function's own error, Lambda.Unknown where there is none; an API error by its
  modelled name, any other as Lambda.AWSLambdaException. batch:submitJob likewise (Batch.AWSBatchException).
- States.ALL catches neither States.Runtime nor States.DataLimitExceeded; States.TaskFailed all but States.Timeout.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import StatesErrorNameType
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.state.exec.state_task.lambda_eval_utils import LambdaFunctionErrorException
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_batch import (
    StateTaskServiceBatch,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_lambda import (
    StateTaskServiceLambda,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

if TYPE_CHECKING:
    from local.server import EmbeddedAws

_UNCATCHABLE = {"States.Runtime", "States.DataLimitExceeded"}
_task_error = StateTaskServiceCallback._from_error


def install(aws: EmbeddedAws) -> None:
    aws.replace(StateTaskServiceLambda, "_from_error", _lambda_error)
    aws.replace(StateTaskServiceBatch, "_from_error", _batch_error)
    aws.replace(CustomErrorName, "__init__", ErrorName.__init__)  # a Fail state may hand on a `States.…` name it caught
    aws.replace(ErrorEqualsDecl, "_eval_body", _match_error)
    # moto renders the whole program into its log for each failure at each level of nesting.
    for name in ("_log_failure_event_exception", "_log_exception"):
        aws.replace(EvalComponent, name, lambda *_, **__: None)


def failure(env: Any, error: str, cause: str, event_type: Any = HistoryEventType.ExecutionFailed) -> Exception:
    """A failure of the running state by one of the `States.…` names."""
    return FailureEventException(  # type: ignore[no-any-return]
        FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=StatesErrorNameType.from_name(error)),
            event_type=event_type,
            event_details=EventDetails(executionFailedEventDetails={"error": error, "cause": cause}),
        )
    )


def task_failure(task: Any, env: Any, error: str, cause: str) -> Any:
    """The failure event of a task, by whatever name its service gave."""
    details = {
        "error": error,
        "cause": cause,
        "resource": task._get_sfn_resource(),
        "resourceType": task._get_sfn_resource_type(),
    }
    return FailureEvent(
        env=env,
        error_name=CustomErrorName(error),
        event_type=HistoryEventType.TaskFailed,
        event_details=EventDetails(taskFailedEventDetails=details),
    )


def _lambda_error(self: Any, env: Any, ex: Exception) -> Any:
    if isinstance(ex, LambdaFunctionErrorException):
        return task_failure(self, env, *_function_error(ex.payload))
    if isinstance(ex, ClientError):
        return task_failure(self, env, *_api_error(ex, "Lambda", "AWSLambda"))
    if isinstance(ex, BotoCoreError):
        return task_failure(self, env, "Lambda.SdkClientException", str(ex))
    return _task_error(self, env=env, ex=ex)


def _batch_error(self: Any, env: Any, ex: Exception) -> Any:
    if isinstance(ex, ClientError):
        return task_failure(self, env, *_api_error(ex, "Batch", "AWSBatch"))
    if isinstance(ex, BotoCoreError):
        return task_failure(self, env, "Batch.SdkClientException", str(ex))
    return _task_error(self, env=env, ex=ex)


def _function_error(payload: str) -> tuple[str, str]:
    try:
        error = json.loads(payload)["errorType"]
    except (ValueError, TypeError, KeyError):
        unknown = "The cause could not be determined because Lambda did not return an error type. Returned payload: "
        return "Lambda.Unknown", unknown + payload
    return str(error), payload


def _api_error(error: ClientError, service: str, client: str) -> tuple[str, str]:
    code, details = error.response["Error"]["Code"], error.response["ResponseMetadata"]
    modelled = {
        "Lambda": {
            "ServiceException",
            "ResourceNotFoundException",
            "TooManyRequestsException",
            "ResourceConflictException",
        },
        "Batch": {"ClientException", "ServerException"},
    }[service]
    name = code if code in modelled else f"{client}Exception"
    said = error.response["Error"].get("Message", "")
    about = f"Service: {client}; Status Code: {details['HTTPStatusCode']}; Error Code: {code}"
    request = f"Request ID: {details.get('RequestId', '')}; Proxy: null"
    return f"{service}.{name}", f"{said} ({about}; {request})"


def _match_error(self: Any, env: Any) -> None:
    happened = env.stack.pop()
    name = happened.error_name if happened is not None else None
    wanted = {known.error_name for known in self.error_names}
    by_task_failed = "States.TaskFailed" in wanted and name != "States.Timeout"
    wildcard = (by_task_failed or "States.ALL" in wanted) and name not in _UNCATCHABLE
    env.stack.append(wildcard or name in wanted)
