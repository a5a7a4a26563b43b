"""How large the functions get: a target in, a line per function with its unzipped size out. `python -m cdk.sizes`."""

import sys
import tempfile
from pathlib import Path
from typing import Final

from cdk.archives import unzipped_bytes
from cdk.bundling import layer_archive, write_function
from cdk.functions import FUNCTIONS
from cdk.settings import AWS, Target, this_computer
from shortlist.contracts.stages import snake

LIMIT_BYTES: Final = 250 * 1024 * 1024
"""Of a function's code and its layers together, unzipped."""


def function_bytes(word: str, target: Target) -> int:
    """Unzipped size of a function's own code."""
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "code.zip"
        write_function(snake(word), target, archive)
        return unzipped_bytes(archive)


def layer_bytes(group: str, target: Target) -> int:
    """Unzipped size of a layer."""
    return unzipped_bytes(layer_archive(group, target))


def main() -> None:
    target = this_computer() if sys.argv[1:] == ["local"] else AWS
    for spec in FUNCTIONS:
        own, layer = function_bytes(spec.word, target), layer_bytes(spec.group, target)
        sizes = f"{_mib(own)} + {_mib(layer)} = {_mib(own + layer)} MiB of {LIMIT_BYTES / 2**20:.0f}"
        print(f"{spec.word:15} {spec.group:6} {sizes}")


def _mib(size: int) -> str:
    return f"{size / 2**20:5.1f}"


if __name__ == "__main__":
    main()
