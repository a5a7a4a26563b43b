"""A function's configuration comes in, a process that runs its handler goes out: one environment of Lambda."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

WORKER = Path(__file__).with_name("lambda_worker.py")
END_OF_LOG = b"\x1e"
RSS_SAMPLE_S = 0.05
MIB = 1024 * 1024
_SIGNALS = {6: "aborted", 9: "killed", 11: "segmentation fault", 15: "terminated"}


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """What an execution environment is made of; another spec needs another environment."""

    name: str
    arn: str
    code_dir: Path
    layers: tuple[Path, ...]
    runtime_dir: Path  # the packages that the Lambda runtime brings, behind all others
    role_arn: str
    memory_mib: int
    timeout_s: float
    log_group: str
    environment: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Answer:
    """How one invocation ended: the payload, or the error as a dictionary of Lambda's, and what was printed."""

    payload: str = ""
    error: dict[str, object] | None = None
    log: bytes = b""
    peak_rss_mib: float = 0.0
    lost: bool = False  # the process is gone


class _StoppedError(Exception):
    """The environment is gone: the error type and message that the caller gets."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message


class LambdaProcess:
    """One execution environment; serves one request at a time. Call `close()` when it is not needed any more."""

    def __init__(self, spec: FunctionSpec, environment: Mapping[str, str], log_stream: str) -> None:
        self.spec = spec
        self.log_stream = log_stream
        self.init_seconds = 0.0
        self._started = False
        self._pending = bytearray()
        self._printed = bytearray()
        self._peak_rss = 0
        request_end, self._requests = os.pipe()
        self._answers, answer_end = os.pipe()
        self._log, log_end = os.pipe()
        # -I -S: neither this project's packages nor the user's are in sight; a dependency missing in the zip is missed.
        path = os.pathsep.join(map(str, (self.spec.code_dir, *self.spec.layers)))
        command = [
            sys.executable,
            "-I",
            "-S",
            "-X",
            "utf8",
            str(WORKER),
            str(request_end),
            str(answer_end),
            path,
            str(self.spec.runtime_dir),
        ]
        try:
            self.process = subprocess.Popen(
                command,
                cwd=self.spec.code_dir,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log_end,
                stderr=log_end,
                pass_fds=(request_end, answer_end),
                start_new_session=True,
            )
        finally:
            for end in (request_end, answer_end, log_end):
                os.close(end)
        self._resident = psutil.Process(self.process.pid)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._answers, selectors.EVENT_READ)
        self._selector.register(self._log, selectors.EVENT_READ)

    def invoke(self, event: bytes, request_id: str) -> Answer:
        """Initialises on the first call; the time that takes does not count against the function's timeout."""
        try:
            if not self._started:
                begun = time.monotonic()
                failure = self._receive("init", time.monotonic() + 10 + self.spec.timeout_s, request_id)
                self.init_seconds = time.monotonic() - begun
                self._started = True
                if "error" in failure:
                    return self._answer(failure, lost=True)
            deadline = time.time() + self.spec.timeout_s
            head = json.dumps({"id": request_id, "arn": self.spec.arn, "deadline": deadline})
            self._send(head[:-1].encode() + b', "event": ' + event.replace(b"\n", b" ") + b"}\n")
            return self._answer(self._receive(request_id, time.monotonic() + self.spec.timeout_s, request_id))
        except _StoppedError as stopped:
            error = {"errorType": stopped.kind, "errorMessage": f"RequestId: {request_id} Error: {stopped.message}"}
            return self._answer({"error": error}, lost=True)

    def kill(self) -> None:
        """Ends the process and all that it started, at once."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def close(self) -> None:
        """Ends the process and frees its pipes."""
        self.kill()
        self.process.wait()
        self._selector.close()
        for end in (self._requests, self._answers, self._log):
            os.close(end)

    def _answer(self, message: Mapping[str, object], *, lost: bool = False) -> Answer:
        log, self._printed = bytes(self._printed), bytearray()
        error = message.get("error")
        return Answer(
            payload=str(message.get("result", "null")),
            error=error if isinstance(error, dict) else None,
            log=log,
            peak_rss_mib=self._peak_rss / MIB,
            lost=lost,
        )

    def _send(self, line: bytes) -> None:
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._requests, view) :]
        except BrokenPipeError:
            raise self._exited() from None

    def _receive(self, mark: str, until: float, request_id: str) -> dict[str, object]:
        """The next line of the process, once its log for this request is complete; samples its memory meanwhile.

        Raises:
            _StoppedError: it took too long, used too much memory, or ended.
        """
        end_of_log = END_OF_LOG + mark.encode() + b"\n"
        line: bytes | None = None
        while line is None or end_of_log not in self._printed:
            left = until - time.monotonic()
            if left <= 0:
                self.kill()
                self._drain()
                raise _StoppedError("Sandbox.Timedout", f"Task timed out after {self.spec.timeout_s:.2f} seconds")
            for key, _ in self._selector.select(min(left, RSS_SAMPLE_S)):
                chunk = os.read(key.fd, 1 << 20)
                if key.fd == self._log:
                    self._printed += chunk
                    if not chunk:
                        self._selector.unregister(self._log)
                elif not chunk:
                    raise self._exited()
                else:
                    self._pending += chunk
            self._check_memory()
            if line is None and b"\n" in self._pending:
                line, _, rest = bytes(self._pending).partition(b"\n")
                self._pending = bytearray(rest)
        self._printed = self._printed.replace(end_of_log, b"")
        message: dict[str, object] = json.loads(line)
        self._peak_rss = max(self._peak_rss, int(str(message["peak_rss_kib"])) * 1024)
        return message

    def _check_memory(self) -> None:
        """AWS kills an environment that outgrows its memory; here the resident set is sampled instead of limited,
        because a limit on the address space would refuse what numerical libraries only reserve."""
        try:
            self._peak_rss = max(self._peak_rss, self._resident.memory_info().rss)
        except psutil.Error:
            return
        if self._peak_rss > self.spec.memory_mib * MIB:
            self.kill()
            raise _StoppedError("Runtime.OutOfMemory", "Runtime exited with error: signal: killed")

    def _exited(self) -> _StoppedError:
        code = self.process.wait()
        self._drain()
        if code < 0:
            name = _SIGNALS.get(-code, f"signal {-code}")
            return _StoppedError("Runtime.ExitError", f"Runtime exited with error: signal: {name}")
        if code == 0:
            return _StoppedError("Runtime.ExitError", "Runtime exited without providing a reason")
        return _StoppedError("Runtime.ExitError", f"Runtime exited with error: exit status {code}")

    def _drain(self) -> None:
        os.set_blocking(self._log, False)
        try:
            while chunk := os.read(self._log, 1 << 20):
                self._printed += chunk
        except BlockingIOError:  # a child of the function still holds its end
            return
