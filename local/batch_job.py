"""A SubmitJob request comes in, the job as DescribeJobs shows it goes out: its states, attempts and retries."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.batch_process import Attempt

WAITING = ("SUBMITTED", "PENDING", "RUNNABLE")
ENDED = ("SUCCEEDED", "FAILED")
STATES = (*WAITING, "STARTING", "RUNNING", *ENDED)


def now_ms() -> int:
    return int(time.time() * 1000)


@dataclass(slots=True, eq=False)
class Job:
    """One job, one child of an array job, or the parent of one."""

    id: str
    name: str
    arn: str
    definition: Any  # moto's JobDefinition
    queue: Any  # moto's JobQueue
    request: Mapping[str, Any]
    index: int | None = None
    children: list[Job] = field(default_factory=list)
    status: str = "SUBMITTED"
    status_reason: str = ""
    created_ms: int = field(default_factory=now_ms)
    started_ms: int | None = None
    stopped_ms: int | None = None
    log_stream: str = ""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    termination: str | None = None  # the reason given to TerminateJob or CancelJob

    def property_of_container(self, name: str, default: Any = None) -> Any:
        """A property of the container: the request's, else the definition's."""
        overrides = self.request.get("containerOverrides") or {}
        return overrides.get(name, self.definition.container_properties.get(name, default))

    def resource(self, kind: str) -> float:
        """VCPU or MEMORY (MiB), as the request or the definition asks for."""
        merged: dict[str, str] = {}
        for source in (self.definition.container_properties, self.request.get("containerOverrides") or {}):
            for name, old in (("VCPU", "vcpus"), ("MEMORY", "memory")):
                if old in source:
                    merged[name] = str(source[old])
            merged |= {item["type"]: item["value"] for item in source.get("resourceRequirements", ())}
        return float(merged.get(kind, 0))

    def variables(self) -> dict[str, str]:
        """The environment of the definition with that of the request over it."""
        own = {item["name"]: item["value"] for item in self.definition.container_properties.get("environment", ())}
        overrides = self.request.get("containerOverrides") or {}
        return own | {item["name"]: item.get("value", "") for item in overrides.get("environment", ())}

    def command(self) -> list[str]:
        """The container's command, its `Ref::name` parts replaced by the parameters."""
        parameters = {**self.definition.parameters, **(self.request.get("parameters") or {})}
        command = self.property_of_container("command", [])
        return [parameters.get(part.removeprefix("Ref::"), part) if "Ref::" in part else part for part in command]

    def timeout_s(self) -> float | None:
        chosen = self.request.get("timeout") or self.definition.timeout or {}
        return chosen.get("attemptDurationSeconds")

    def retry_strategy(self) -> Mapping[str, Any]:
        return self.request.get("retryStrategy") or self.definition.retry_strategy or {}

    def log_group(self) -> str:
        return str(self._log_options().get("awslogs-group", "/aws/batch/job"))

    def log_prefix(self) -> str:
        return str(self._log_options().get("awslogs-stream-prefix", self.definition.name))

    def _log_options(self) -> Mapping[str, str]:
        return (self.definition.container_properties.get("logConfiguration") or {}).get("options") or {}

    def array_size(self) -> int:
        return int((self.request.get("arrayProperties") or {}).get("size", 0))

    def summary(self) -> dict[str, Any]:
        """An entry of ListJobs."""
        shown = {
            "jobId": self.id,
            "jobArn": self.arn,
            "jobName": self.name,
            "jobDefinition": self.definition.arn,
            "createdAt": self.created_ms,
            "status": self.status,
            "statusReason": self.status_reason or None,
            "startedAt": self.started_ms,
            "stoppedAt": self.stopped_ms,
            "container": self._last_exit(),
            "arrayProperties": self._array_properties(),
        }
        return {name: value for name, value in shown.items() if value is not None}

    def description(self) -> dict[str, Any]:
        """An entry of DescribeJobs."""
        container = {
            "image": self.definition.container_properties.get("image"),
            "command": self.property_of_container("command", []),
            "jobRoleArn": self.definition.container_properties.get("jobRoleArn"),
            "executionRoleArn": self.definition.container_properties.get("executionRoleArn"),
            "environment": [{"name": name, "value": value} for name, value in self.variables().items()],
            "resourceRequirements": [
                {"type": kind, "value": f"{self.resource(kind):g}"} for kind in ("VCPU", "MEMORY")
            ],
            "logStreamName": self.log_stream or None,
            **(self._last_exit() or {}),
        }
        timeout_s = self.timeout_s()
        return {
            **self.summary(),
            "jobQueue": self.queue.arn,
            "attempts": self.attempts,
            "dependsOn": self.request.get("dependsOn") or [],
            "parameters": {**self.definition.parameters, **(self.request.get("parameters") or {})},
            "retryStrategy": self.retry_strategy(),
            "container": {name: value for name, value in container.items() if value is not None},
            "platformCapabilities": self.definition.platform_capabilities or [],
            "tags": self.request.get("tags") or {},
            "isTerminated": self.termination is not None,
            **({} if timeout_s is None else {"timeout": {"attemptDurationSeconds": int(timeout_s)}}),
        }

    def _last_exit(self) -> dict[str, Any] | None:
        if not self.attempts:
            return None
        last = self.attempts[-1]["container"]
        return {key: last[key] for key in ("exitCode", "reason") if key in last} or None

    def _array_properties(self) -> dict[str, Any] | None:
        if self.index is not None:
            return {"index": self.index}
        if not self.children:
            return None
        counts = {state: sum(child.status == state for child in self.children) for state in STATES}
        return {"size": len(self.children), "statusSummary": counts}

    def record(self, attempt: Attempt, started_ms: int) -> None:
        """Adds an attempt that has ended."""
        container: dict[str, Any] = {"logStreamName": self.log_stream, "networkInterfaces": []}
        if attempt.exit_code is not None:
            container["exitCode"] = attempt.exit_code
        if attempt.reason:
            container["reason"] = attempt.reason
        self.attempts.append(
            {
                "container": container,
                "startedAt": started_ms,
                "stoppedAt": now_ms(),
                "statusReason": attempt.status_reason,
            }
        )


def wants_retry(strategy: Mapping[str, Any], attempt: Attempt, attempts_made: int) -> bool:
    """Whether Batch tries again: attempts are left, and the first entry of evaluateOnExit that fits does not say EXIT.

    An entry fits when all of its conditions do; when none fits, the job is retried
    (https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html).
    """
    if attempt.final or attempts_made >= int(strategy.get("attempts", 1)):
        return False
    for entry in strategy.get("evaluateOnExit", ()):
        if _fits(entry, attempt):
            return str(entry["action"]).lower() == "retry"
    return True


def _fits(entry: Mapping[str, str], attempt: Attempt) -> bool:
    told: Sequence[tuple[str, str]] = (
        ("onExitCode", "" if attempt.exit_code is None else str(attempt.exit_code)),
        ("onReason", attempt.reason),
        ("onStatusReason", attempt.status_reason),
    )
    return all(_glob(entry[name], value) for name, value in told if name in entry)


def _glob(pattern: str, value: str) -> bool:
    """Batch knows one wildcard, an asterisk at the end."""
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern
