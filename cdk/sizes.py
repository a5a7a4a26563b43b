"""How large the functions get: a target in, a line per function with its unzipped size out. `python -m cdk.sizes`."""

import sys
import tempfile
from pathlib import Path
from typing import Final

from cdk.bundling import write_function
from cdk.functions import FUNCTIONS
from cdk.settings import AWS, ROOT, Target, this_computer
from shortlist.contracts.stages import snake

LIMIT_BYTES: Final = 250 * 1024 * 1024
"""Of a function's code, unzipped."""


def unzipped_bytes(word: str, group: str, target: Target) -> int:
    """Size of what the function's zip holds."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".local") as scratch:
        write_function(ROOT / "lambdas" / snake(word), group, target, Path(scratch))
        return sum(path.stat().st_size for path in Path(scratch).rglob("*") if path.is_file())


def main() -> None:
    target = this_computer() if sys.argv[1:] == ["local"] else AWS
    for spec in FUNCTIONS:
        size = unzipped_bytes(spec.word, spec.group, target)
        print(f"{spec.word:15} {spec.group:8} {size / 2**20:6.1f} MiB of {LIMIT_BYTES / 2**20:.0f}")


if __name__ == "__main__":
    main()
