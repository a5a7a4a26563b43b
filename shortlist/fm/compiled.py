"""Nothing in, kernels ready to run out: always read from numba's cache, which a process of its own fills once.

Code that numba compiles and runs in one process rounds differently, in the last bit, from the same code read from
its cache. If the first training after an installation compiled for itself, its bytes would not be the second's.
`python -m shortlist.fm.compiled [PART]` fills the cache, where a first training should start at once.
"""

import hashlib
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import llvmlite.binding as llvm
import numba
from numba import float32, float64, int32, int64, uint32

import shortlist
from shortlist.errors import ShortlistError
from shortlist.fm import (
    chance_kernels,
    feature_kernels,
    interweave_kernels,
    kernels,
    prefetch,
    row_kernels,
    score_kernels,
    sparse_kernels,
    vectors,
)

Part = Literal["ranking", "ratings"]
"""What is fitted: each part has kernels of its own, so that a process compiles and loads those that it calls."""

MODULES: Final[dict[Part, tuple[ModuleType, ...]]] = {
    "ranking": (kernels, prefetch, sparse_kernels),
    "ratings": (
        row_kernels,
        vectors,
        feature_kernels,
        interweave_kernels,
        prefetch,
        score_kernels,
        chance_kernels,
    ),
}

_VECTOR, _MATRIX = float32[::1], float32[:, ::1]
_ROWS: Final = (int64[::1], int32[::1], _VECTOR)

SIGNATURES: Final[dict[Part, dict[Any, tuple[Any, ...]]]] = {
    "ranking": {
        kernels.solve_rows: (
            *(*_ROWS, _VECTOR, int64[::1], _MATRIX, _VECTOR, _VECTOR, _VECTOR, float64),
            *(_VECTOR, _MATRIX, _MATRIX, _VECTOR, int64),
        ),
        kernels.observed_misses: (*_ROWS, _MATRIX, _MATRIX, _VECTOR),
        sparse_kernels.times: (*_ROWS, int64[::1], _MATRIX),
    },
    "ratings": {
        row_kernels.draw_rows: (
            *(int64[::1], int32[::1], int64[::1], *[_VECTOR] * 3, int64[::1], int64[::1], *[_MATRIX] * 3, _VECTOR),
            *(_MATRIX, _MATRIX, _VECTOR, int64[::1], *[_MATRIX] * 3, int64),
        ),
        feature_kernels.draw_features: (*_ROWS, _MATRIX, _MATRIX, _VECTOR, _VECTOR, *[_MATRIX] * 5),
        interweave_kernels.take_in: (
            *(int64[::1], int32[::1], int64[::1], *[_VECTOR] * 3, *[_MATRIX] * 4),
            *(int64, float32[:, :, ::1], int64),
        ),
        interweave_kernels.follow: (int64[::1], int32[::1], int64[::1], *[_MATRIX] * 3, _VECTOR),
        interweave_kernels.move_features: (*_ROWS, int64, int64, *[_MATRIX] * 7),
        interweave_kernels.weigh_scales: (int64, int64, _MATRIX, _MATRIX),
        interweave_kernels.draw_scales: (_MATRIX, _VECTOR, *[float64[::1]] * 4),
        score_kernels.score_users: (int64[::1], int32[::1], _MATRIX, _MATRIX, _MATRIX, _VECTOR),
        score_kernels.sum_misses: (int64[::1], _VECTOR, _VECTOR),
        score_kernels.feature_totals: (*_ROWS, _MATRIX),
        score_kernels.split_off: (int64[::1], _MATRIX, _VECTOR, _MATRIX, _VECTOR, _MATRIX, _VECTOR),
        score_kernels.sum_rows: (_MATRIX, _MATRIX, _VECTOR),
        chance_kernels.normals: (uint32[::1], _VECTOR),
        chance_kernels.hidden_scores: (_VECTOR, _VECTOR, uint32[::1], _VECTOR),
        chance_kernels.surprise: (_VECTOR, _VECTOR),
    },
}
"""Argument types of every kernel; another type is an error instead of another compilation."""


@lru_cache
def load_kernels(part: Part) -> None:
    """Make a part's kernels ready in this process.

    The first time on a machine takes ten seconds of a core for ranking, thirty for ratings.

    Raises:
        ShortlistError: the cache cannot be filled.
    """
    if not _marker(part).exists():
        packages = str(Path(shortlist.__file__).parent.parent)
        path = os.pathsep.join([packages, *filter(None, [os.environ.get("PYTHONPATH")])])
        command = [sys.executable, "-m", "shortlist.fm.compiled", part]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        if done.returncode:
            raise ShortlistError(
                f"the kernels cannot be compiled: {done.stderr[-2000:]} "
                "Cure: set NUMBA_CACHE_DIR to a folder that can be written."
            )
    _compile(part)


def fill_cache(part: Part) -> None:
    """Compile a part's kernels and say so beside numba's cache, unless they are there.

    Code of other sources goes first: numba looks at a kernel's own file alone, not at those it calls.
    """
    marker = _marker(part)
    if marker.exists():
        return
    for module in MODULES[part]:
        for stale in marker.parent.glob(f"{module.__name__.rpartition('.')[2]}.*.nb[ci]"):
            stale.unlink(missing_ok=True)
    _compile(part)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()


def _compile(part: Part) -> None:
    for kernel, signature in SIGNATURES[part].items():
        kernel.compile(signature)
        kernel.disable_compile()


def _marker(part: Part) -> Path:
    """A file that is there once the cache holds this source, for this numba, interpreter and processor."""
    dispatcher: Any = kernels.solve_rows
    source = b"".join(Path(str(module.__file__)).read_bytes() for module in MODULES[part])
    processor = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    made_from = hashlib.sha256(source + f"{numba.__version__} {sys.version} {processor}".encode())
    return Path(dispatcher.stats.cache_path) / f"{part}-{made_from.hexdigest()[:16]}.filled"


if __name__ == "__main__":
    for chosen in MODULES:
        if chosen in (sys.argv[1:] or MODULES):
            fill_cache(chosen)
