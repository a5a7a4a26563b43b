"""Waits: the seconds a Retry or a Wait state asks for come in, times `aws.time_scale` they pass, less if stopped.

moto's retries sleep through StopExecution and cannot be shortened in tests.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from moto.stepfunctions.parser.asl.component.common.retry.max_attempts_decl import MaxAttemptsOutcome
from moto.stepfunctions.parser.asl.component.common.retry.retrier_decl import RetrierDecl
from moto.stepfunctions.parser.asl.component.common.retry.retrier_outcome import RetrierOutcome
from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction

if TYPE_CHECKING:
    from local.server import EmbeddedAws

_LOOK_EVERY_S = 0.1


def install(aws: EmbeddedAws) -> None:
    def retry(self: Any, env: Any) -> None:
        seconds = _seconds_before_retry(self, env)
        if isinstance(seconds, float):
            _wait(env, seconds * aws.time_scale)
            env.stack.append(RetrierOutcome.Executed)
        else:
            env.stack.append(seconds)

    def wait_interval(self: Any, env: Any, wait_seconds: float) -> None:
        _wait(env, wait_seconds * aws.time_scale)

    aws.replace(RetrierDecl, "_eval_body", retry)
    aws.replace(WaitFunction, "_wait_interval", wait_interval)


def _seconds_before_retry(retrier: Any, env: Any) -> Any:
    """The delay in seconds (float), or the outcome of a retrier that does not match or has no attempts left."""
    retrier.error_equals.eval(env)
    if not env.stack.pop():
        return RetrierOutcome.Skipped
    retrier.max_attempts.eval(env=env)
    if env.stack.pop() == MaxAttemptsOutcome.EXHAUSTED:
        return RetrierOutcome.Failed
    for part in (retrier.interval_seconds, retrier.backoff_rate, retrier.max_delay_seconds, retrier.jitter_strategy):
        part.eval(env=env)
    return float(env.stack.pop())


def _wait(env: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while env.is_running() and (left := end - time.monotonic()) > 0:
        env.program_state_event.wait(min(left, _LOOK_EVERY_S))
