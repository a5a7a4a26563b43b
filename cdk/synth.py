"""Synthesis for callers without jsii: a target in, the assembly's folder out, made when sources changed."""

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = (
    "app.py",
    "cdk.json",
    ".dockerignore",
    "campaigns",
    "cdk",
    "jobs",
    "lambdas",
    "requirements",
    "shortlist",
    "statemachine",
)


def synthesise(target: str) -> Path:
    """Run `app.py` for `target` unless `.local/assembly/<target>` holds what it would write.

    Args:
        target: `aws` or `local`.

    Returns:
        The folder with manifest.json.

    Raises:
        RuntimeError: the app could not be synthesised; the message is the app's.
    """
    outdir = ROOT / ".local" / "assembly" / target
    stamp = outdir / ".sources"
    outdir.parent.mkdir(parents=True, exist_ok=True)
    with _alone(outdir.with_name(f"{outdir.name}.lock")):
        wanted = sources_digest(target)
        if stamp.is_file() and stamp.read_text() == wanted:
            return outdir
        shutil.rmtree(outdir, ignore_errors=True)  # assets that nothing names any more, and what a broken run left
        command = [sys.executable, str(ROOT / "app.py"), "--output", str(outdir), "--context", f"target={target}"]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"app.py could not be synthesised for {target}:\n{done.stderr or done.stdout}")
        stamp.write_text(wanted)
    return outdir


def sources_digest(target: str) -> str:
    """SHA-256 (hex) of everything the assembly is made from."""
    digest = hashlib.sha256(f"{target} {sys.version} {sys.executable}".encode())
    for name in SOURCES:
        root = ROOT / name
        for path in [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file()):
            if "__pycache__" not in path.parts:
                digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time; the others wait."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    print(synthesise(sys.argv[1] if sys.argv[1:] else "aws"))
