"""A container's command comes in, its exit code, log lines and peak memory go out: one attempt of a Batch job."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.memory import MIB, PeakMemory

MEMORY_SAMPLE_S = 0.2
STOP_GRACE_S = 5.0  # between SIGTERM and SIGKILL; Fargate waits 30
NOT_STARTED = "Task failed to start"
EXITED = "Essential container in task exited"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
TIMED_OUT = "Job attempt duration exceeded timeout"
RECLAIMED = "Your Spot Task was interrupted."


@dataclass(frozen=True, slots=True)
class Container:
    """What the container of one attempt is made of."""

    command: Sequence[str]
    cwd: Path
    environment: Mapping[str, str]
    memory_mib: int
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended, in the words of Batch; `final` when no retry strategy may follow it."""

    exit_code: int | None
    status_reason: str
    reason: str = ""
    seconds: float = 0.0
    peak_rss_mib: float = 0.0
    final: bool = False

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0 and self.status_reason == EXITED


class ContainerProcess:
    """The running container of one attempt. Its lines go to `write_lines` as they come."""

    def __init__(self, container: Container, write_lines: Callable[[list[str]], None]) -> None:
        """
        Raises:
            OSError: the command cannot be started.
        """
        self._container = container
        self._write_lines = write_lines
        self._stop_reason: str | None = None
        self._stop_final = False
        self._begun = time.monotonic()
        self._partial = b""
        self._process = subprocess.Popen(
            list(container.command),
            cwd=container.cwd,
            env=dict(container.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._memory = PeakMemory(self._process.pid)

    def kill(self) -> None:
        """Ends the container at once, as a crash of its host would."""
        self._signal(signal.SIGKILL)

    def stop(self, status_reason: str, *, final: bool) -> None:
        """Asks the container to end and sees to it; the attempt is then told by this reason."""
        if self._stop_reason is None:
            self._stop_reason = status_reason
            self._stop_final = final

    def wait(self) -> Attempt:
        """Follows the container to its end."""
        output = self._process.stdout
        if output is None:
            raise RuntimeError("the container was started without a pipe for its output")
        killed_for = self._follow(output.fileno())
        code = self._process.wait()
        self._signal(signal.SIGKILL)  # what it left running
        output.close()
        if self._partial:
            self._write_lines([self._partial.decode(errors="replace")])
        code = 128 - code if code < 0 else code  # as a shell and Docker tell a signal
        seconds, peak = time.monotonic() - self._begun, self._memory.peak_bytes / MIB
        if killed_for == OUT_OF_MEMORY:
            return Attempt(code, EXITED, OUT_OF_MEMORY, seconds, peak)
        if killed_for is not None:
            return Attempt(code, killed_for, "", seconds, peak, final=killed_for == TIMED_OUT or self._stop_final)
        return Attempt(code, EXITED, "", seconds, peak)

    def _follow(self, log: int) -> str | None:
        """Reads the log until the process ends; returns why it was ended from here, None when it ended by itself."""
        killed_for: str | None = None
        kill_at = float("inf")
        next_sample = 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(log, selectors.EVENT_READ)
            while self._process.poll() is None or selector.get_map():
                for _ in selector.select(0.05):
                    chunk = os.read(log, 1 << 20)
                    self._pass_on(chunk)
                    if not chunk:
                        selector.unregister(log)
                if not selector.get_map() and self._process.poll() is None:
                    time.sleep(0.02)
                elif self._process.poll() is not None and not selector.select(0):
                    break  # a grandchild may still hold the pipe; the container has ended
                now = time.monotonic()
                if now >= next_sample:
                    next_sample = now + MEMORY_SAMPLE_S
                    self._memory.sample()
                if killed_for is None:
                    killed_for = self._reason_to_end(now)
                    if killed_for is not None:
                        abrupt = killed_for == OUT_OF_MEMORY
                        self._signal(signal.SIGKILL if abrupt else signal.SIGTERM)
                        kill_at = now + STOP_GRACE_S
                elif now >= kill_at:
                    self._signal(signal.SIGKILL)
        return killed_for

    def _reason_to_end(self, now: float) -> str | None:
        if self._stop_reason is not None:
            return self._stop_reason
        if self._memory.peak_bytes > self._container.memory_mib * MIB:
            return OUT_OF_MEMORY
        timeout_s = self._container.timeout_s
        return TIMED_OUT if timeout_s is not None and now - self._begun >= timeout_s else None

    def _pass_on(self, chunk: bytes) -> None:
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        if lines:
            self._write_lines([line.decode(errors="replace") for line in lines])

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return
