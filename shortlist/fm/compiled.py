"""Nothing in, kernels ready to run out: always read from numba's cache, which a process of its own fills once.

Code that numba compiles and runs in one process rounds differently, in the last bit, from the same code read from
its cache. If the first training after an installation compiled for itself, its bytes would not be the second's.
`python -m shortlist.fm.compiled` fills the cache, for an image that should start at once.
"""

import hashlib
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import llvmlite.binding as llvm
import numba
from numba import float32, float64, int32, int64

import shortlist
from shortlist.errors import ShortlistError
from shortlist.fm import block_kernels, kernels, prefetch

_VECTOR, _MATRIX = float32[::1], float32[:, ::1]
_ROWS: Final = (int64[::1], int32[::1], _VECTOR)

SIGNATURES: Final = {
    kernels.solve_rows: (
        *(*_ROWS, _VECTOR, int64[::1], _MATRIX, _VECTOR, _VECTOR, _VECTOR, float64),
        *(_VECTOR, _MATRIX, _MATRIX, _VECTOR, int64),
    ),
    kernels.observed_misses: (*_ROWS, _MATRIX, _MATRIX, _VECTOR),
    block_kernels.draw_rows: (
        *(int64[::1], int32[::1], int64[::1], _VECTOR, _VECTOR, int64[::1], _MATRIX, _MATRIX, _MATRIX, _VECTOR),
        *(_MATRIX, _MATRIX, _VECTOR, int64[::1], _MATRIX, _MATRIX, int64),
    ),
    block_kernels.draw_features: (*_ROWS, _MATRIX, _MATRIX, *[_VECTOR] * 3, *[_MATRIX] * 5),
    block_kernels.score_examples: (int32[::1], int32[::1], _MATRIX, _MATRIX),
}
"""Argument types of every kernel; another type is an error instead of another compilation."""


@lru_cache
def load_kernels() -> None:
    """Make the kernels ready in this process; the first time on a machine takes some seconds.

    Raises:
        ShortlistError: the cache cannot be filled.
    """
    marker = _marker()
    if not marker.exists():
        packages = str(Path(shortlist.__file__).parent.parent)
        path = os.pathsep.join([packages, *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "shortlist.fm.compiled"]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        if done.returncode:
            raise ShortlistError(
                f"the kernels cannot be compiled: {done.stderr[-2000:]} "
                "Cure: set NUMBA_CACHE_DIR to a folder that can be written."
            )
    _compile()


def fill_cache() -> None:
    """Compile every kernel and say so beside numba's cache."""
    _compile()
    marker = _marker()
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _compile() -> None:
    for kernel, signature in SIGNATURES.items():
        dispatcher: Any = kernel
        dispatcher.compile(signature)
        dispatcher.disable_compile()


def _marker() -> Path:
    """A file that is there once the cache holds this source, for this numba, interpreter and processor."""
    dispatcher: Any = kernels.solve_rows
    source = b"".join(Path(file).read_bytes() for file in (kernels.__file__, block_kernels.__file__, prefetch.__file__))
    processor = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    made_from = hashlib.sha256(source + f"{numba.__version__} {sys.version} {processor}".encode())
    return Path(dispatcher.stats.cache_path) / f"kernels-{made_from.hexdigest()[:16]}.filled"


if __name__ == "__main__":
    fill_cache()
