"""Ratings in; RMSE, seconds and memory out: our machine for regression beside myFM, on the same folds.

Both sample with the same number of factors, features, groups, epochs and draws kept. `dimensions` is what an
inner product needs that gives the same scores.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from rich.console import Console
from rich.table import Table

from bench._folds import Problem, Runs, load, packages, parser, settings_of, take_turns
from bench._report import write_json
from shortlist.errors import DatasetError


def main(arguments: Sequence[str]) -> None:
    given = parser("rating", __doc__).parse_args(arguments)
    settings = settings_of(given, "regression")
    names = [*given.contenders.split(","), *filter(None, given.peers.split(","))]
    try:
        problem = load(given)
        runs = take_turns(problem, settings, names)
    except DatasetError as error:
        sys.exit(str(error))
    results: list[dict[str, object]] = []
    table = Table("name", "RMSE", "± over folds", "ms an epoch", "CPU ms an epoch", "seconds", "MiB", "dimensions")
    for run in runs:
        of_folds, times = rmse(problem, run), run.times()
        mean = round(float(np.mean(of_folds)), 5)
        table.add_row(
            run.name,
            f"{mean:.4f}",
            f"{np.std(of_folds):.4f}",
            f"{1e3 * times['seconds_per_epoch']:.1f}",
            f"{1e3 * times['cpu_seconds_per_epoch']:.1f}",
            f"{times['seconds_total']:.1f}",
            f"{times['peak_rss_mib']:.0f}",
            str(times["dimensions"]),
        )
        results.append(
            {
                "name": run.name,
                "n_factors": settings.n_factors,
                "epochs": len(run.outcomes[0].epoch_seconds),
                "rmse": mean,
                "rmse_of_folds": [round(value, 5) for value in of_folds],
                **times,
                "settings": asdict(settings),
            }
        )
    Console(width=120).print(table)
    if given.json:
        write_json(given.json, results, packages(names))


def rmse(problem: Problem, run: Runs) -> list[float]:
    """Of every fold."""
    return [
        float(np.sqrt(np.square(outcome.predicted - problem.targets[test], dtype=np.float64).mean()))
        for outcome, test in zip(run.outcomes, problem.folds, strict=True)
    ]
