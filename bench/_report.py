"""Results in; the table that is printed and the JSON that is written out, with machine, versions and commit."""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def write_json(path: Path, results: Sequence[Mapping[str, object]], packages: Iterable[str], **more: object) -> None:
    """`{"results": […], "machine": {…}, "versions": {…}, "commit": "…"}` and whatever else is given."""
    report = {
        "results": list(results),
        "machine": machine(),
        "versions": {name: importlib.metadata.version(name) for name in sorted(set(packages))},
        "commit": commit(),
        **more,
    }
    path.write_text(json.dumps(report, indent=1) + "\n")


def machine() -> dict[str, str | int | None]:
    """Processor, cores and Python."""
    return {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()}


def commit() -> str | None:
    """The commit that is checked out, with `+` after it where files have changed since; None outside a repository."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, check=True, capture_output=True, text=True)
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=here, check=False)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed.returncode else "")


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None:
    """Right-aligned columns, each as wide as its widest cell."""
    cells = [list(columns)] + [[_shown(row[name]) for name in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def _shown(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
