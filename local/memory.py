"""A process id comes in, how much memory the process and its children took at the most goes out."""

from __future__ import annotations

from pathlib import Path

import psutil

MIB = 1024 * 1024


class PeakMemory:
    """Samples the resident set of a process tree; reads the system's own high-water mark where it keeps one."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._status = Path(f"/proc/{pid}/status")
        self.peak_bytes = 0

    def sample(self) -> int:
        """The peak so far, in bytes; what ended between two samples of children may be missed."""
        try:
            children = self._process.children(recursive=True)
            total = self._process.memory_info().rss + sum(_resident(child) for child in children)
            self.peak_bytes = max(self.peak_bytes, total, self._high_water_mark() if not children else 0)
        except psutil.Error:  # it has just ended
            return self.peak_bytes
        return self.peak_bytes

    def _high_water_mark(self) -> int:
        try:
            lines = self._status.read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
