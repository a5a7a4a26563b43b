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
from numba import float32, float64, int32, int64, uint32

import shortlist
from shortlist.errors import ShortlistError
from shortlist.fm import chance_kernels, feature_kernels, kernels, prefetch, row_kernels, score_kernels

MODULES: Final = (kernels, prefetch, row_kernels, feature_kernels, score_kernels, chance_kernels)

_VECTOR, _MATRIX = float32[::1], float32[:, ::1]
_ROWS: Final = (int64[::1], int32[::1], _VECTOR)

SIGNATURES: Final = {
    kernels.solve_rows: (
        *(*_ROWS, _VECTOR, int64[::1], _MATRIX, _VECTOR, _VECTOR, _VECTOR, float64),
        *(_VECTOR, _MATRIX, _MATRIX, _VECTOR, int64),
    ),
    kernels.observed_misses: (*_ROWS, _MATRIX, _MATRIX, _VECTOR),
    row_kernels.draw_rows: (
        *(int64[::1], int32[::1], int64[::1], *[_VECTOR] * 3, int64[::1], int64[::1], *[_MATRIX] * 3, _VECTOR),
        *(_MATRIX, _MATRIX, _VECTOR, int64[::1], _MATRIX, _MATRIX, int64),
    ),
    feature_kernels.draw_features: (*_ROWS, _MATRIX, _MATRIX, _VECTOR, _VECTOR, *[_MATRIX] * 5),
    score_kernels.score_users: (int64[::1], int32[::1], _MATRIX, _MATRIX, _MATRIX, _VECTOR),
    score_kernels.sum_misses: (int64[::1], _VECTOR, _VECTOR),
    score_kernels.feature_totals: (*_ROWS, _MATRIX),
    score_kernels.sum_rows: (_MATRIX, _MATRIX, _VECTOR),
    chance_kernels.normals: (uint32[::1], _VECTOR),
    chance_kernels.hidden_scores: (_VECTOR, _VECTOR, uint32[::1], _VECTOR),
    chance_kernels.surprise: (_VECTOR, _VECTOR),
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
    """Compile every kernel and say so beside numba's cache.

    Code of other sources goes first: numba looks at a kernel's own file alone, not at those it calls.
    """
    marker = _marker()
    for stale in marker.parent.glob("*.nb[ci]"):
        stale.unlink(missing_ok=True)
    _compile()
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
    source = b"".join(Path(str(module.__file__)).read_bytes() for module in MODULES)
    processor = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    made_from = hashlib.sha256(source + f"{numba.__version__} {sys.version} {processor}".encode())
    return Path(dispatcher.stats.cache_path) / f"kernels-{made_from.hexdigest()[:16]}.filled"


if __name__ == "__main__":
    fill_cache()
