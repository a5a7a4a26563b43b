"""C in, its machine code out: `python -m shortlist.compiled_scan` compiles it for any target, `library` loads it.

scan.c searches, fm/explain.c takes scores apart. The compiler is Zig's clang, a wheel: one version on every computer,
for every target, no system headers or libraries. Nothing is compiled while Shortlist runs; without a library both take
longer and give the same.
"""

import argparse
import ctypes
import hashlib
import logging
import os
import platform
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Final, Literal

from shortlist.errors import ShortlistError

FOLDER: Final = Path(__file__).parent
SOURCES: Final = (FOLDER / "scan.c", FOLDER / "fm" / "explain.c")
SUFFIX: Final = ".so"
FLAGS: Final = (
    *("-O3", "-mcpu=baseline", "-ffp-contract=off", "-fno-math-errno"),
    *("-shared", "-fPIC", "-s", "-ffreestanding", "-nostdlib", "-Wall", "-Wextra"),
)

Machine = Literal["arm64", "x86_64"]

logger = logging.getLogger(__name__)


def this_machine() -> Machine:
    """The processor of this computer; what is neither runs without the library."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def library_name(system: str, machine: Machine) -> str:
    """File name for a system (`linux`, `darwin`): with the sources' digest, so that no other version is ever loaded."""
    source = b"\0".join(path.read_bytes() for path in SOURCES)
    return f"scan-{hashlib.sha256(source).hexdigest()[:16]}-{system}-{machine}{SUFFIX}"


@cache
def library() -> ctypes.CDLL | None:
    """The machine code for this computer; None, and a line in the log, where there is none."""
    path = FOLDER / library_name(sys.platform, this_machine())
    if not path.exists():
        logger.warning("search and reasons take several times as long as they could: %s was not compiled", path.name)
        return None
    compiled = ctypes.CDLL(str(path))
    compiled.has_tile.restype = compiled.workspace_bytes.restype = compiled.explain_bytes.restype = ctypes.c_int64
    return compiled


def compile_scan(folder: Path, system: str, machine: Machine) -> Path:
    """Leave the library for a system and processor in `folder` unless it is there; the same source, the same bytes.

    Raises:
        ShortlistError: the compiler could not; the message is the compiler's.
    """
    path = folder / library_name(system, machine)
    if path.exists():
        return path
    processor = "aarch64" if machine == "arm64" else "x86_64"
    target = f"{processor}-macos" if system == "darwin" else f"{processor}-{system}-gnu"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".scan-") as scratch:
        fresh = Path(scratch) / path.name
        command = [
            sys.executable,
            "-m",
            "ziglang",
            "cc",
            *FLAGS,
            "-target",
            target,
            "-o",
            str(fresh),
            *map(str, SOURCES),
        ]
        caches = dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), scratch)
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **caches})
        if done.returncode:
            raise ShortlistError(f"the search cannot be compiled for {target}: {done.stderr[-2000:]}")
        fresh.rename(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shortlist.compiled_scan", description=__doc__)
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder; the package's own")
    parser.add_argument("--system", choices=["linux", "darwin"], default=sys.platform)
    parser.add_argument("--machine", choices=["arm64", "x86_64"], default=this_machine())
    given = parser.parse_args()
    print(compile_scan(given.into, given.system, given.machine))


if __name__ == "__main__":
    main()
