"""Ratings in; AUC, log-loss and reliability of "this one will be liked" out: ours beside myFM, on the same folds.

Liked is a rating of `--liked` or more. A probability is reliable if of all cases that are given 70 %, 70 % come true.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import rankdata

from bench._folds import Problem, Runs, load, packages, parser, settings_of, take_turns
from bench._report import write_json
from shortlist.contracts.arrays import BoolArray, Float64Array
from shortlist.errors import DatasetError

BINS: Final = 10


def main(arguments: Sequence[str]) -> None:
    options = parser("classify", __doc__)
    options.add_argument("--liked", type=float, default=4.0, help="the least rating that is a success")
    options.add_argument("--plot", type=Path, help="write the reliability plot there (PNG)")
    given = options.parse_args(arguments)
    settings = settings_of(given, "classification")
    names = [*given.contenders.split(","), *filter(None, given.peers.split(","))]
    try:
        problem = load(given)
        liked = problem.targets >= given.liked
        if liked.all() or not liked.any():
            cure = f"Cure: choose --liked between {problem.targets.min()} and {problem.targets.max()}."
            raise DatasetError(f"--liked {given.liked}: all ratings are on one side. {cure}")
        problem = replace(problem, targets=liked.astype(np.float32))
        runs = take_turns(problem, settings, names)
    except DatasetError as error:
        sys.exit(str(error))
    results: list[dict[str, object]] = []
    table = Table("name", "AUC", "log-loss", "calibration error", "ms an epoch", "CPU ms an epoch", "seconds", "MiB")
    for run in runs:
        row = figures(problem, run) | run.times()
        table.add_row(
            run.name,
            f"{row['auc']:.4f}",
            f"{row['log_loss']:.4f}",
            f"{row['calibration_error']:.4f}",
            f"{1e3 * row['seconds_per_epoch']:.1f}",
            f"{1e3 * row['cpu_seconds_per_epoch']:.1f}",
            f"{row['seconds_total']:.1f}",
            f"{row['peak_rss_mib']:.0f}",
        )
        epochs = len(run.outcomes[0].epoch_seconds)
        named = {"name": run.name, "n_factors": settings.n_factors, "epochs": epochs}
        results.append({**named, **row, "settings": asdict(settings)})
    Console(width=120).print(table)
    if given.plot:
        draw(problem, runs, given.plot)
    if given.json:
        write_json(given.json, results, packages(names))


def figures(problem: Problem, run: Runs) -> dict[str, float]:
    """Means over the folds; the calibration error is the mean distance from the diagonal, by cases."""
    folds = [
        (problem.targets[test] > 0, outcome.predicted.astype(np.float64))
        for outcome, test in zip(run.outcomes, problem.folds, strict=True)
    ]
    said, came, n = reliability(*(np.concatenate(part) for part in zip(*folds, strict=True)))
    return {
        "auc": round(float(np.mean([auc(*fold) for fold in folds])), 5),
        "log_loss": round(float(np.mean([log_loss(*fold) for fold in folds])), 5),
        "calibration_error": round(float((np.abs(said - came) * n).sum() / n.sum()), 5),
    }


def auc(liked: BoolArray, predicted: Float64Array) -> float:
    """The chance that a success is predicted above a failure, ties half; 0.5 where there is but one of them."""
    n, of = int(liked.sum()), len(liked)
    if n in (0, of):
        return 0.5
    return float((rankdata(predicted)[liked].sum() - n * (n + 1) / 2) / (n * (of - n)))


def log_loss(liked: BoolArray, predicted: Float64Array) -> float:
    p = np.clip(predicted, 1e-7, 1 - 1e-7)
    return float(-np.where(liked, np.log(p), np.log1p(-p)).mean())


def reliability(liked: BoolArray, predicted: Float64Array) -> tuple[Float64Array, Float64Array, Float64Array]:
    """What was said, what came and how many cases there were, in each of ten bins of probability that has any."""
    bins = np.minimum((predicted * BINS).astype(int), BINS - 1)
    n = np.bincount(bins, minlength=BINS).astype(np.float64)
    used = n > 0
    said, came = (np.bincount(bins, values, minlength=BINS)[used] / n[used] for values in (predicted, liked))
    return said, came, n[used]


def draw(problem: Problem, runs: Sequence[Runs], path: Path) -> None:
    """The reliability plot as PNG."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(5, 5), layout="constrained")
    axes = picture.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="as said, so it comes")
    for run, marker in zip(runs, "os^Dv", strict=False):
        liked = np.concatenate([problem.targets[test] > 0 for test in problem.folds])
        predicted = np.concatenate([outcome.predicted for outcome in run.outcomes]).astype(np.float64)
        said, came, _ = reliability(liked, predicted)
        axes.plot(said, came, marker=marker, markersize=5, linewidth=1, label=run.name)
    axes.set(xlabel="probability said", ylabel="share that came true", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(frameon=False)
    picture.savefig(path, dpi=120)
