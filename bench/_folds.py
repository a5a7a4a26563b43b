"""Options in, folds of ratings out; and contenders, each fold in a process of its own, with their times.

Contenders take turns fold by fold, the order turning with the fold, so that a busy machine is busy for all of them. The
clock runs in the fit alone: neither reading, nor starting processes, nor loading compiled code.
"""

import argparse
import contextlib
import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Final, Literal

import numpy as np
from rich.progress import Progress
from scipy.sparse import csr_array, csr_matrix, eye_array, hstack

from bench._movielens import FORMATS, Features, Ratings, read_items, read_ratings, read_users
from shortlist.contracts.arrays import BoolArray, Float32Array, Int32Array
from shortlist.errors import DatasetError
from shortlist.fm.bayes_state import Solver
from shortlist.fm.inputs import Examples, FeatureGroups
from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.progress import EpochReport
from shortlist.fm.threads import threads
from shortlist.stages.resume import peak_rss_mib

Task = Literal["regression", "classification"]
OURS: Final[dict[str, Solver]] = {
    "shortlist": "gibbs",
    "shortlist-variational": "variational",
    "shortlist-als": "als",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """All ratings, in rows, and the features of both sides; `folds` holds a mask of the test part for each fold."""

    users: Int32Array
    items: Int32Array
    targets: Float32Array
    user_features: Features | None
    item_features: Features | None
    n_users: int
    n_items: int
    folds: list[BoolArray]


@dataclass(frozen=True, slots=True)
class Settings:
    """What all contenders are given alike."""

    task: Task
    n_factors: int
    epochs: int
    warm_up: int
    samples: int
    regularization: float
    seed: int


@dataclass(slots=True)
class Outcome:
    """A contender on one fold."""

    predicted: Float32Array
    seconds: float
    cpu_seconds: float
    epoch_seconds: list[float]
    epoch_cpu_seconds: list[float]
    peak_rss_mib: float
    dimensions: int


@dataclass(slots=True)
class Runs:
    """A contender on all folds."""

    name: str
    outcomes: list[Outcome] = field(default_factory=list)

    def times(self) -> dict[str, float]:
        """Medians over epochs; a fit's seconds as the median over folds."""
        done = self.outcomes
        return {
            "seconds_per_epoch": round(median(s for o in done for s in o.epoch_seconds), 5),
            "cpu_seconds_per_epoch": round(median(s for o in done for s in o.epoch_cpu_seconds), 5),
            "seconds_total": round(median(o.seconds for o in done), 3),
            "cpu_seconds_total": round(median(o.cpu_seconds for o in done), 3),
            "peak_rss_mib": round(max(o.peak_rss_mib for o in done), 1),
            "dimensions": done[0].dimensions,
        }


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The options of both measurements."""
    options = argparse.ArgumentParser(prog=f"python -m bench {name}", description=description)
    options.add_argument("--ratings", type=Path, help="file with all ratings, for --folds")
    options.add_argument("--format", choices=FORMATS, required=True)
    cut = options.add_mutually_exclusive_group(required=True)
    cut.add_argument("--split", help="TRAINFILE:TESTFILE")
    cut.add_argument("--folds", type=int, help="cut the ratings at random into so many test parts")
    options.add_argument("--items", type=Path, help="file of items with genres")
    options.add_argument("--users", type=Path, help="file of users")
    options.add_argument("--n-factors", type=int, default=8)
    options.add_argument("--epochs", type=int, default=150, help="of the samplers")
    options.add_argument("--warm-up", type=int, default=20, help="epochs of which no draw is kept")
    options.add_argument("--samples", type=int, help="draws kept; all after the warm-up if not given")
    options.add_argument("--regularization", type=float, default=10.0, help="of shortlist-als, which learns none")
    options.add_argument("--contenders", default="shortlist,shortlist-variational", help=f"of {', '.join(OURS)}")
    options.add_argument("--peers", default="", help="myfm")
    options.add_argument("--seed", type=int, default=42)
    options.add_argument("--json", type=Path, help="write the figures there")
    return options


def settings_of(given: argparse.Namespace, task: Task) -> Settings:
    samples = given.samples or max(given.epochs - given.warm_up, 1)
    return Settings(task, given.n_factors, given.epochs, given.warm_up, samples, given.regularization, given.seed)


def load(given: argparse.Namespace) -> Problem:
    """Raises DatasetError with file, line and cure."""
    if given.split:
        names = given.split.split(":")
        if len(names) != 2:
            raise DatasetError(f"--split {given.split}: expected TRAINFILE:TESTFILE, two names with a colon between.")
        train, test = (read_ratings(Path(name), given.format) for name in names)
        everything = Ratings(
            train.user_ids + test.user_ids,
            train.item_ids + test.item_ids,
            np.concatenate([train.values, test.values]),
        )
        folds = [np.arange(len(everything.values)) >= len(train.values)]
    elif given.ratings is None:
        raise DatasetError("--folds cuts the file given by --ratings. Cure: add --ratings FILE.")
    else:
        everything = read_ratings(given.ratings, given.format)
        n = len(everything.values)
        if not 2 <= given.folds <= n:
            raise DatasetError(f"--folds {given.folds}: expected 2 to {n}, the number of ratings in {given.ratings}.")
        part = np.random.default_rng(given.seed).permutation(n) % given.folds
        folds = [part == fold for fold in range(given.folds)]
    user_ids, users = np.unique(everything.user_ids, return_inverse=True)
    item_ids, items = np.unique(everything.item_ids, return_inverse=True)
    return Problem(
        users.astype(np.int32),
        items.astype(np.int32),
        everything.values,
        read_users(given.users, given.format, user_ids.tolist()) if given.users else None,
        read_items(given.items, given.format, item_ids.tolist()) if given.items else None,
        len(user_ids),
        len(item_ids),
        folds,
    )


def take_turns(problem: Problem, settings: Settings, names: Sequence[str]) -> list[Runs]:
    """Every contender on every fold. Raises DatasetError for a name that nobody has."""
    unknown = [name for name in names if name not in OURS and name != "myfm"]
    if unknown:
        raise DatasetError(
            f"No contender is called {unknown[0]!r}. Cure: choose of {', '.join(OURS)}; as a peer, myfm."
        )
    runs = {name: Runs(name) for name in names}
    with Progress() as progress:
        bar = progress.add_task("folds", total=len(problem.folds) * len(names))
        for fold in range(len(problem.folds)):
            for name in [*names[fold % len(names) :], *names[: fold % len(names)]]:
                progress.update(bar, description=f"fold {fold + 1}: {name}")
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
                    runs[name].outcomes.append(alone.submit(run, name, problem, settings, fold).result())
                progress.advance(bar)
    return list(runs.values())


def run(name: str, problem: Problem, settings: Settings, fold: int) -> Outcome:
    """One contender on one fold, in this process."""
    test = problem.folds[fold]
    if name in OURS:
        return _shortlist(OURS[name], problem, settings, test)
    return _myfm(problem, settings, test)


class _Clock:
    """Wall and CPU seconds since the start, and between ticks."""

    def __init__(self) -> None:
        self._started = self._last = (time.perf_counter(), time.process_time())
        self.epoch_seconds: list[float] = []
        self.epoch_cpu_seconds: list[float] = []

    def tick(self) -> None:
        now = (time.perf_counter(), time.process_time())
        self.epoch_seconds.append(now[0] - self._last[0])
        self.epoch_cpu_seconds.append(now[1] - self._last[1])
        self._last = now

    def outcome(self, predict: Callable[[], Float32Array], dimensions: int) -> Outcome:
        seconds, cpu = time.perf_counter() - self._started[0], time.process_time() - self._started[1]
        return Outcome(predict(), seconds, cpu, self.epoch_seconds, self.epoch_cpu_seconds, peak_rss_mib(), dimensions)


def _shortlist(solver: Solver, problem: Problem, settings: Settings, test: BoolArray) -> Outcome:
    users = problem.user_features.rows if problem.user_features else None
    items = problem.item_features.rows if problem.item_features else None
    groups = FeatureGroups(
        problem.user_features.groups if problem.user_features else None,
        problem.item_features.groups if problem.item_features else None,
    )
    train = ~test
    examples = Examples(
        problem.users[train], problem.items[train], problem.targets[train], problem.n_users, problem.n_items
    )
    machine = FactorizationMachine(
        settings.task,
        n_factors=settings.n_factors,
        solver=solver,
        epochs=settings.epochs if solver == "gibbs" else None,
        warm_up=settings.warm_up,
        n_samples=settings.samples,
        regularization=settings.regularization,
        seed=settings.seed,
    )
    with threads(None, "ratings"):  # the kernels are loaded before the clock starts
        clock = _Clock()

    def tick(report: EpochReport) -> None:
        clock.tick()

    machine.fit(examples, users, items, feature_groups=groups, on_epoch=tick)
    return clock.outcome(
        lambda: machine.predict(problem.users[test], problem.items[test], users, items), machine.model.n_factors + 1
    )


def _myfm(problem: Problem, settings: Settings, test: BoolArray) -> Outcome:
    """As its documentation asks: users and items as relation blocks, a group for each kind of feature."""
    import myfm

    sides = [
        (problem.users, problem.n_users, problem.user_features),
        (problem.items, problem.n_items, problem.item_features),
    ]
    blocks, shapes = [], []
    for _, n, features in sides:
        parts: list[csr_array] = [csr_array(eye_array(n))]
        shapes.append(n)
        if features is not None:
            parts.append(features.rows[:, np.argsort(features.groups, kind="stable")])
            shapes += np.bincount(features.groups).tolist()
        blocks.append(csr_matrix(hstack(parts), dtype=np.float64))

    def relations(chosen: BoolArray) -> list[object]:
        return [
            myfm.RelationBlock(rows[chosen].tolist(), block) for (rows, _, _), block in zip(sides, blocks, strict=True)
        ]

    kind = myfm.MyFMRegressor if settings.task == "regression" else myfm.MyFMGibbsClassifier
    machine = kind(rank=settings.n_factors, random_seed=settings.seed)
    train = ~test
    targets = problem.targets[train].astype(np.float64)
    given, asked = relations(train), relations(test)
    clock = _Clock()

    def tick(*_: object) -> tuple[bool, None]:
        clock.tick()
        return False, None

    with contextlib.redirect_stderr(io.StringIO()):  # its own progress bar
        machine.fit(
            None,
            targets if settings.task == "regression" else targets > 0,
            X_rel=given,
            n_iter=settings.epochs,
            n_kept_samples=settings.samples,
            group_shapes=shapes,
            callback=tick,
        )
    predict = machine.predict if settings.task == "regression" else machine.predict_proba
    return clock.outcome(
        lambda: np.asarray(predict(None, asked), np.float32), settings.samples * settings.n_factors + 1
    )


def packages(names: Sequence[str]) -> list[str]:
    """Whose versions matter for these contenders."""
    return ["numpy", "numba", "scipy", *(["myfm"] if "myfm" in names else [])]
