"""Purchases in; what share of the machine's float32 product the parts of an epoch of least squares reach, and why.

One thread, processor seconds, medians of rounds in turns, on random factors: their values do not matter. `rows` is the
work of both halves on the observed pairs. `rows, cached` is the same with all pairs in a few rows of the other side,
which stay in the nearest caches: what it takes less is what waiting for memory costs. Operations of rows are counted as
4 k a pair for each step and for the residual, of rotations as 2 k² a row and half, of Gramians as k² a row.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from bench._report import print_table, write_json
from bench.ranking import read_adjacency
from shortlist.contracts.arrays import Float32Array
from shortlist.fm.kernels import solve_rows
from shortlist.fm.threads import aligned, threads

NEAR: Final = 32
"""Rows of the other side that stay in the nearest caches."""
SQUARE: Final = 2048
STEPS: Final = 2
COLUMNS: Final = ("n_factors", "part", "cpu_seconds", "gflop_per_s", "share_of_sgemm")

Work = Callable[[], object]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench kernel", description=__doc__)
    parser.add_argument("--train", type=Path, required=True, help="adjacency: a line is a user and then its items")
    parser.add_argument("--n-factors", default="64,128,256", help="one number, or several with commas between")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args(arguments)
    train, _ = read_adjacency(given.train, given.train)
    rows = [row for k in given.n_factors.split(",") for row in measure(train, int(k), given.rounds)]
    print_table(rows, COLUMNS)
    if given.json:
        write_json(given.json, rows, ("numpy", "numba"))


def measure(train: csr_array, k: int, rounds: int) -> list[dict[str, float | str]]:
    """A line for each part of an epoch with k factors."""
    rng = np.random.default_rng(0)
    users, items, square = (aligned(rng.standard_normal((n, k), np.float32)) for n in (*train.shape, k))
    product = rng.standard_normal((SQUARE, SQUARE), np.float32)
    rotation = np.linalg.qr(square.astype(np.float64))[0].astype(np.float32)
    sides = [(train, users, items), (csr_array(train.T), items, users)]
    pairs, numbers = 2.0 * train.nnz * k, float(users.size + items.size)
    with threads(1) as crew:

        def rotate() -> None:
            for side in (users, items) * 2:
                crew.rotate(side, rotation)

        def both_halves(*, near: bool = False) -> None:
            for side in sides:
                solve(*side, near=near)

        parts: dict[str, tuple[Work, float]] = {
            "sgemm": (lambda: product @ product, 2.0 * SQUARE**3),
            "rotations": (rotate, 4 * numbers * k),
            "Gramians": (lambda: [crew.gram(side) for side in (users, items)], numbers * k),
            "rows": (both_halves, 4 * (STEPS + 1) * pairs),
            "rows, cached": (lambda: both_halves(near=True), 4 * (STEPS + 1) * pairs),
        }
        seconds = take_turns(parts, rounds)
    peak = parts["sgemm"][1] / seconds["sgemm"]
    return [
        {
            "name": "shortlist",
            "n_factors": k,
            "part": name,
            "cpu_seconds": round(seconds[name], 4),
            "gflop_per_s": round(operations / seconds[name] / 1e9, 1),
            "share_of_sgemm": round(operations / seconds[name] / peak, 2),
        }
        for name, (_, operations) in parts.items()
    ]


def solve(pairs: csr_array, rows: Float32Array, fixed: Float32Array, *, near: bool = False) -> None:
    """One half-step's work on `rows`, in place; `near` takes all pairs to be in the first rows of `fixed`."""
    n, k = rows.shape
    nothing = np.zeros(k, np.float32)
    solve_rows(
        pairs.indptr.astype(np.int64),
        (pairs.indices % NEAR if near else pairs.indices).astype(np.int32),
        pairs.data,
        np.ones(len(fixed), np.float32),
        np.array([0, n]),
        fixed,
        np.ones(k, np.float32),
        nothing,
        nothing,
        0.0,
        np.ones(n, np.float32),
        np.empty((0, k), np.float32),
        rows,
        np.empty(0, np.float32),
        STEPS,
    )


def take_turns(parts: dict[str, tuple[Work, float]], rounds: int) -> dict[str, float]:
    """Median of the processor seconds of every part."""
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(rounds + 1):
        for name, (work, _) in parts.items():
            started = time.process_time()
            work()
            if turn:  # the first one warms up
                seconds[name].append(time.process_time() - started)
    return {name: median(times) for name, times in seconds.items()}
