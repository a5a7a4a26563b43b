"""Invocations of Lambda functions come in through moto's API; results of their real code, run under their role, go out.

What AWS words and this repeats: the error types of the service, START, END and REPORT lines, the limits of a payload.
What differs: an invocation waits when `aws.parallel` of the same function run (AWS would start another environment),
and an asynchronous one that fails is tried again at once, not after minutes.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import tempfile
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moto.awslambda.models import LambdaBackend, LambdaFunction
from moto.core.exceptions import JsonRESTError

from local.iam.guard import may, may_assume
from local.lambda_environment import link_runtime_packages, spec_of, variables_of
from local.lambda_process import Answer, FunctionSpec, LambdaProcess
from local.logs import put_lines
from local.records import Invocation
from local.server import EmbeddedAws

MAX_REQUEST_BYTES = 6 * 1024 * 1024
MAX_ASYNCHRONOUS_BYTES = 1024 * 1024
MAX_RESPONSE_BYTES = MAX_REQUEST_BYTES + 100  # as the service words it
MOST_IDLE = 16  # environments kept warm: one of every function of the stack, and some more
ASYNCHRONOUS_ATTEMPTS = 3
_log = logging.getLogger(__name__)


def _refusal(status: int, kind: str, message: str) -> Exception:
    error: Exception = JsonRESTError(kind, message)
    error.code = status  # type: ignore[attr-defined]
    return error


def install(aws: EmbeddedAws) -> None:
    """Makes moto run functions, and keep the settings of theirs that it forgets."""
    runtime = LambdaRuntime(aws)
    aws.on_stop(runtime.stop)
    before_init = LambdaFunction.__init__
    before_configuration = LambdaFunction.get_configuration
    before_update = LambdaFunction.update_configuration

    def init(self: Any, account_id: str, spec: dict[str, Any], region: str, version: str | int = 1) -> None:
        before_init(self, account_id, spec, region, version)
        self.logging_config = spec.get("LoggingConfig", {})

    def configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
        defaults = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.function_name}"}
        return {**before_configuration(self, on_create), "LoggingConfig": {**defaults, **self.logging_config}}

    def update(self: Any, changes: dict[str, Any]) -> dict[str, Any]:
        self.logging_config = changes.get("LoggingConfig", self.logging_config)
        self.tracing_config = changes.get("TracingConfig", self.tracing_config)
        if "EphemeralStorage" in changes:
            self.ephemeral_storage = changes["EphemeralStorage"]["Size"]
        before_update(self, changes)
        return configuration(self)

    before_create = LambdaBackend.create_function

    def create(self: Any, spec: dict[str, Any]) -> Any:
        if not may_assume(aws, spec["Role"], "lambda.amazonaws.com"):
            message = "The role defined for the function cannot be assumed by Lambda."
            raise _refusal(400, "InvalidParameterValueException", message)
        return before_create(self, spec)

    aws.replace(LambdaBackend, "create_function", create)
    aws.replace(LambdaFunction, "__init__", init)
    aws.replace(LambdaFunction, "get_configuration", configuration)
    aws.replace(LambdaFunction, "update_configuration", update)
    aws.replace(LambdaFunction, "invoke", lambda self, *given: runtime.answer(self, *given))


class LambdaRuntime:
    """The warm environments of all functions of one embedded AWS."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._runtime_dir = link_runtime_packages(aws.data_dir / "runtime")
        self._lock = threading.Lock()
        self._idle: OrderedDict[LambdaProcess, None] = OrderedDict()  # least recently used first
        self._busy: set[LambdaProcess] = set()
        self._slots: dict[str, threading.BoundedSemaphore] = {}
        self._asynchronous: set[threading.Thread] = set()
        self._stopped = False

    def answer(self, function: Any, body: str | bytes, request: Mapping[str, str], response: dict[str, str]) -> bytes:
        """What the Invoke operation answers; sets its headers."""
        event = (body.encode() if isinstance(body, str) else body) or b"{}"
        kind = request.get("X-Amz-Invocation-Type", "RequestResponse")
        _check_event(event, MAX_ASYNCHRONOUS_BYTES if kind == "Event" else MAX_REQUEST_BYTES)
        response["x-amz-executed-version"] = str(function.version)
        if kind == "DryRun":
            return b""
        if kind == "Event":
            self._start_asynchronous(function, event)
            return b""
        answer = self.invoke(function, event)
        response["x-amz-log-result"] = base64.b64encode(answer.log[-4096:]).decode()
        if answer.error is not None:
            response["x-amz-function-error"] = "Unhandled"
            return json.dumps(answer.error).encode()
        return answer.payload.encode()

    def invoke(self, function: Any, event: bytes) -> Answer:
        """Runs the function once, in a warm environment where there is one; waits while too many of it run."""
        self._check_reserved_concurrency(function)
        with self._slot(function.function_arn):
            environment = self._environment(function)
            request_id, begun_at, begun = str(uuid.uuid4()), time.time(), time.monotonic()
            cold = environment.init_seconds == 0.0
            answer = environment.invoke(event, request_id)
            seconds = time.monotonic() - begun - (environment.init_seconds if cold else 0.0)
            self._release(environment, lost=answer.lost)
        if answer.error is None and len(answer.payload) > MAX_RESPONSE_BYTES:
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
            answer.error = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}
        self._record(environment, answer, request_id, begun_at, seconds, cold)
        return answer

    def stop(self) -> None:
        """Ends every environment; what runs in them is cut off."""
        with self._lock:
            self._stopped = True
            idle, busy = list(self._idle), list(self._busy)
            self._idle.clear()
        for environment in busy:
            environment.kill()  # its own thread closes it
        for environment in idle:
            environment.close()
        for thread in list(self._asynchronous):
            thread.join(timeout=10)

    def _slot(self, arn: str) -> threading.BoundedSemaphore:
        with self._lock:
            return self._slots.setdefault(arn, threading.BoundedSemaphore(self._aws.parallel))

    def _check_reserved_concurrency(self, function: Any) -> None:
        if function.reserved_concurrency is None:
            return
        with self._lock:
            running = sum(environment.spec.arn == function.function_arn for environment in self._busy)
        if running >= int(function.reserved_concurrency):
            raise _refusal(429, "TooManyRequestsException", "Rate Exceeded.")

    def _environment(self, function: Any) -> LambdaProcess:
        spec = spec_of(function, self._runtime_dir)
        with self._lock:
            if self._stopped:
                raise _refusal(503, "ServiceException", "The embedded AWS is stopping.")
            stale = [e for e in self._idle if e.spec.arn == spec.arn and e.spec != spec]
            warm = next((e for e in reversed(self._idle) if e.spec == spec), None)
            for environment in (*stale, *((warm,) if warm else ())):
                del self._idle[environment]
            if warm is not None:
                self._busy.add(warm)
        for environment in stale:
            environment.close()
        return warm or self._start(spec, function)

    def _start(self, spec: FunctionSpec, function: Any) -> LambdaProcess:
        principal = self._aws.assume(spec.role_arn, f"function:{spec.name}")
        stream = f"{time.strftime('%Y/%m/%d')}/[{function.version}]{uuid.uuid4().hex}"
        own = {**self._aws.environment(principal.credentials), "AWS_LAMBDA_LOG_STREAM_NAME": stream}
        scratch = Path(tempfile.mkdtemp(prefix=f"{spec.name[:40]}-", dir=self._aws.scratch_dir))
        environment = LambdaProcess(spec, {**own, **variables_of(spec, function, scratch)}, stream)
        principal.kill = environment.kill
        with self._lock:
            self._busy.add(environment)
        return environment

    def _release(self, environment: LambdaProcess, *, lost: bool) -> None:
        """Keeps the environment warm, unless it is lost; ends the one that was idle longest when there are many."""
        surplus = [environment] if lost else []
        with self._lock:
            self._busy.discard(environment)
            if not lost and not self._stopped:
                self._idle[environment] = None
            elif not lost:
                surplus.append(environment)
            if len(self._idle) > MOST_IDLE:
                surplus.append(self._idle.popitem(last=False)[0])
        for one in surplus:
            one.close()

    def _start_asynchronous(self, function: Any, event: bytes) -> None:
        def attempts() -> None:
            for _ in range(ASYNCHRONOUS_ATTEMPTS):
                if self._stopped or self.invoke(function, event).error is None:
                    break
            self._asynchronous.discard(thread)

        thread = threading.Thread(target=attempts, name=f"asynchronous-{function.function_name}", daemon=True)
        self._asynchronous.add(thread)
        thread.start()

    def _record(
        self,
        environment: LambdaProcess,
        answer: Answer,
        request_id: str,
        begun_at: float,
        seconds: float,
        cold: bool,
    ) -> None:
        spec = environment.spec
        error = None if answer.error is None else str(answer.error["errorType"])
        duration_ms = seconds * 1000
        report = (
            f"REPORT RequestId: {request_id}\tDuration: {duration_ms:.2f} ms\t"
            f"Billed Duration: {math.ceil(duration_ms)} ms\tMemory Size: {spec.memory_mib} MB\t"
            f"Max Memory Used: {answer.peak_rss_mib:.0f} MB"
        )
        if cold:
            report += f"\tInit Duration: {environment.init_seconds * 1000:.2f} ms"
        lines = [f"START RequestId: {request_id} Version: $LATEST", *answer.log.decode(errors="replace").splitlines()]
        if answer.lost and answer.error is not None:
            lines.append(str(answer.error["errorMessage"]))
        lines += [f"END RequestId: {request_id}", report]
        answer.log = "\n".join(lines).encode()
        stream = f"log-group:{spec.log_group}:log-stream:{environment.log_stream}"
        arn = f"arn:aws:logs:{self._aws.region}:{self._aws.account}:{stream}"
        if may(self._aws, spec.role_arn, "logs:PutLogEvents", arn):
            put_lines(self._aws, spec.log_group, environment.log_stream, lines)
        else:  # AWS says nothing either, and the log stays empty
            _log.warning("log_not_written function=%s its role may not logs:PutLogEvents", spec.name)
        self._aws.invocations.append(
            Invocation("function", spec.name, request_id, begun_at, seconds, answer.peak_rss_mib, error, cold)
        )


def _check_event(event: bytes, limit: int) -> None:
    if len(event) > limit:
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        raise _refusal(413, "RequestTooLargeException", message)
    try:
        json.loads(event)
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise _refusal(400, "InvalidRequestContentException", message) from None
