"""scan.c in, its machine code out: `python -m shortlist.compiled_scan` compiles it for any target, `library` loads it.

The compiler is Zig's clang, a wheel: one version on every computer, for every target, no system headers or libraries.
Nothing is compiled while Shortlist runs; without a library search is slower and its results are the same.
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

SOURCE: Final = Path(__file__).with_name("scan.c")
SUFFIX: Final = ".so"
FLAGS: Final = ("-O3", "-mcpu=baseline", "-shared", "-fPIC", "-s", "-ffreestanding", "-nostdlib", "-Wall", "-Wextra")

Machine = Literal["arm64", "x86_64"]

logger = logging.getLogger(__name__)


def this_machine() -> Machine:
    """The processor of this computer; what is neither runs without the library."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def library_name(system: str, machine: Machine) -> str:
    """File name for a system (`linux`, `darwin`): with the source's digest, so that no other version is ever loaded."""
    return f"scan-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}-{system}-{machine}{SUFFIX}"


@cache
def library() -> ctypes.CDLL | None:
    """The machine code for this computer; None, and a line in the log, where there is none."""
    path = SOURCE.with_name(library_name(sys.platform, this_machine()))
    if not path.exists():
        logger.warning("search takes several times as long as it could: %s was not compiled", path.name)
        return None
    compiled = ctypes.CDLL(str(path))
    compiled.has_tile.restype = compiled.workspace_bytes.restype = ctypes.c_int64
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
        command = [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-target", target, "-o", str(fresh), str(SOURCE)]
        caches = dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), scratch)
        done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **caches})
        if done.returncode:
            raise ShortlistError(f"scan.c cannot be compiled for {target}: {done.stderr[-2000:]}")
        fresh.rename(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shortlist.compiled_scan", description=__doc__)
    parser.add_argument("--into", type=Path, default=SOURCE.parent, help="folder; beside the source")
    parser.add_argument("--system", choices=["linux", "darwin"], default=sys.platform)
    parser.add_argument("--machine", choices=["arm64", "x86_64"], default=this_machine())
    given = parser.parse_args()
    print(compile_scan(given.into, given.system, given.machine))


if __name__ == "__main__":
    main()
