"""Purchases of any size in; Recall@20 and NDCG@20 over all items and seconds per epoch out: our machine and its peers.

Contenders take turns, an epoch each, in processes of their own. `--settings auto` chooses every contender's settings
among five on a random tenth of each user's training pairs; the test file serves for the last figures only.
"""

import argparse
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from scipy.sparse import csr_array

from bench._contenders import CANDIDATES, CONTENDERS, PACKAGES
from bench._report import print_table, write_json
from bench._speed import plot_speed
from bench._turns import Result, Setting, Task, take_turns
from shortlist.contracts.arrays import Int64Array
from shortlist.errors import DatasetError

VALIDATION_SHARE: Final = 0.1
COLUMNS: Final = (
    *("name", "n_factors", "epochs", "recall_at_20", "ndcg_at_20"),
    *("seconds_per_epoch", "cpu_seconds_per_epoch", "seconds_total", "peak_rss_mib"),
)


def main(arguments: Sequence[str]) -> None:
    given = _parser().parse_args(arguments)
    train, test = read_adjacency(given.train, given.test)
    print(f"{train.shape[0]:,} users, {train.shape[1]:,} items, {train.nnz:,} training and {test.nnz:,} test pairs")
    names = ["shortlist", *filter(None, given.peers.split(","))]
    results = []
    for n_factors in given.n_factors:
        tasks = [Task(name, CONTENDERS[name], n_factors, given.epochs, {}) for name in names]
        if given.settings == "auto":
            tasks = choose(tasks, train)
        else:
            tasks = [replace(task, settings=given.settings.get(task.name, {})) for task in tasks]
        results += run(tasks, train, test, f"{n_factors} factors")
    rows = [result.as_json() for result in results]
    print_table(rows, COLUMNS)
    for result in results:
        print(f"{result.name}: {json.dumps(result.settings)}")
    if given.json:
        write_json(given.json, rows, ["numpy", "scipy", *(PACKAGES[name] for name in names)])
    if given.speed_plot:
        plot_speed(results, given.speed_plot)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench ranking", description=__doc__)
    parser.add_argument("--format", choices=["adjacency"], default="adjacency", help="a line: a user, then its items")
    parser.add_argument("--train", type=Path, required=True, help="plain or .gz")
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--n-factors", type=_sizes, default=[64], help="one number, or several with commas between")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument(
        "--settings",
        type=_settings,
        default="auto",
        help='auto, or JSON: our settings, or {"shortlist": {…}, "implicit": {…}}',
    )
    parser.add_argument("--peers", default="", help="implicit,lightfm")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--speed-plot", type=Path, help="PNG of the processor seconds an epoch by factors")
    return parser


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


def _settings(text: str) -> str | Mapping[str, Mapping[str, Setting]]:
    if text == "auto":
        return text
    given = json.loads(text)
    return given if given.keys() <= CONTENDERS.keys() else {"shortlist": given}


def read_adjacency(train: Path, test: Path) -> tuple[csr_array, csr_array]:
    """0/1 matrices of one shape, float32; a line is a user and then its items, all of them whole numbers.

    Raises:
        DatasetError: a line holds something else.
    """
    pairs = [_pairs(path) for path in (train, test)]
    shape = (1 + max(users.max(initial=0) for users, _ in pairs), 1 + max(items.max(initial=0) for _, items in pairs))
    first, second = (_matrix(users, items, shape) for users, items in pairs)
    return first, second


def _pairs(path: Path) -> tuple[Int64Array, Int64Array]:
    users, items = [], []
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = [int(word) for word in line.split()]
            except ValueError:
                raise DatasetError(f"{path}, line {number}: expected a user and its items, all numbers.") from None
            if any(value < 0 for value in row):
                raise DatasetError(f"{path}, line {number}: a user or an item is negative.")
            users += row[:1] * (len(row) - 1)
            items += row[1:]
    return np.array(users, np.int64), np.array(items, np.int64)


def _matrix(users: NDArray[np.integer], items: NDArray[np.integer], shape: tuple[int, int]) -> csr_array:
    matrix = csr_array((np.ones(len(users), np.float32), (users, items)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def hold_out(train: csr_array, share: float, seed: int = 0) -> tuple[csr_array, csr_array]:
    """Training pairs without a random share of every user's, at least one where there are two; and that share.

    By user and not by pair: a test file has something of everybody, and a split that favours those who buy much chooses
    settings that are good for them.
    """
    pairs = train.tocoo()
    counts = np.diff(train.indptr)
    wanted = np.where(counts > 1, np.maximum(np.round(share * counts), 1), 0)
    shuffled = np.lexsort((np.random.default_rng(seed).random(pairs.nnz), pairs.row))
    place = np.empty(pairs.nnz, np.int64)
    place[shuffled] = np.arange(pairs.nnz) - train.indptr[pairs.row[shuffled]]
    held = place < wanted[pairs.row]
    kept, out = (_matrix(pairs.row[chosen], pairs.col[chosen], train.shape) for chosen in (~held, held))
    return kept, out


def choose(tasks: Sequence[Task], train: csr_array) -> list[Task]:
    """Every task with the candidate settings of the best recall on held-out training pairs."""
    kept, out = hold_out(train, VALIDATION_SHARE)
    chosen = []
    for task in tasks:
        tried: list[tuple[float, Mapping[str, Setting]]] = []
        for settings in CANDIDATES[task.name]:
            (result,) = run([replace(task, settings=settings)], kept, out, "choose")
            print(f"validation: {task.name} {json.dumps(settings)} {result.recall_at_20:.4f} {result.ndcg_at_20:.4f}")
            tried.append((result.recall_at_20, settings))
        chosen.append(replace(task, settings=max(tried, key=lambda one: one[0])[1]))
    return chosen


def run(tasks: Sequence[Task], train: csr_array, held_out: csr_array, what: str) -> list[Result]:
    """`take_turns` with a progress bar on standard error."""
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(TextColumn(what), *columns, console=Console(stderr=True), transient=True) as progress:
        bars = [progress.add_task(task.name, total=task.epochs) for task in tasks]
        place = {id(task): bar for task, bar in zip(tasks, bars, strict=True)}
        return take_turns(tasks, train, held_out, lambda task: progress.advance(place[id(task)]))
