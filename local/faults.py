"""Rules come in, and at the request that a rule waits for, a process dies, a request fails or hangs.

So a test kills the real function or job in the middle of its work, with nothing of the test in the product:

    fault = aws.faults.add("function:Rank", after_requests=3, action="kill", operation="PutObject")
    ...
    assert fault.fired == 1
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

from local.wire import AwsRequest, ErrorAnswer

Action = Literal["kill", "error", "hang", "reclaim"]
POLL_S = 0.1


@dataclass(slots=True, eq=False)
class Fault:
    """A rule, and how far it has come: `seen` requests that fit, `fired` times."""

    principal: str
    after_requests: int
    action: Action
    times: int
    service: str | None
    operation: str | None
    key: str | None
    code: str
    status: int
    seen: int = 0
    fired: int = 0

    def fits(self, request: AwsRequest) -> bool:
        label = "" if request.principal is None else request.principal.label
        kind, _, name = label.partition(":")
        wanted_kind, _, fragment = self.principal.partition(":")
        if kind != wanted_kind or fragment not in name:
            return False
        if self.service not in (None, request.service) or self.operation not in (None, request.operation):
            return False
        return self.key is None or any(self.key in str(value) for value in request.parameters.values())


class Faults:
    """The rules of one embedded AWS; a guard of its gateway."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def add(
        self,
        principal: str,
        *,
        action: Action,
        after_requests: int = 1,
        times: int = 1,
        service: str | None = None,
        operation: str | None = None,
        key: str | None = None,
        code: str = "InternalError",
        status: int = 500,
    ) -> Fault:
        """A new rule; it fires at the request number `after_requests` that fits, and at the next `times` - 1 that fit.

        Args:
            principal: the kind of caller and a part of its name, as `function:Rank` or `job:Train`.
            action: `kill` ends the caller's process at once, `error` answers with `code` and `status`, `hang` does not
                answer until the caller is gone, `reclaim` takes a job off its Spot machine (SIGTERM, then SIGKILL).
            service: the name of its SDK model, as `s3` or `sesv2`.
            operation: as `PutObject`.
            key: a part of any of the request's parameters, as of an object's key.
        """
        fault = Fault(principal, after_requests, action, times, service, operation, key, code, status)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forgets every rule; those of the caller keep what they counted."""
        with self._lock:
            self._faults.clear()

    def stop(self) -> None:
        """Lets go of the requests that hang."""
        self._stopping.set()

    def __call__(self, request: AwsRequest) -> ErrorAnswer | None:
        if not self._faults or request.principal is None:
            return None
        fault = self._due(request)
        if fault is None:
            return None
        if fault.action == "kill" and request.principal.kill is not None:
            request.principal.kill()
        if fault.action == "reclaim" and request.principal.reclaim is not None:
            request.principal.reclaim()
        if fault.action != "error":
            while not self._stopping.wait(POLL_S) and not request.abandoned():
                pass
        return ErrorAnswer(fault.status, fault.code, f"Injected into {request.operation}")

    def _due(self, request: AwsRequest) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.fired < fault.times and fault.fits(request):
                    fault.seen += 1
                    if fault.seen >= fault.after_requests:
                        fault.fired += 1
                        return fault
        return None
