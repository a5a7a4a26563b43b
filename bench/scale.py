"""Sizes in; seconds an epoch, memory and speed-up of training on made-up shops of these sizes out, with a plot.

Each size is a process of its own, so that its peak of memory is its own. It makes the shop (bench/_generator.py) and
fits it; sizes up to `--one-core-up-to` in turn on all cores and on one, which makes the speed-up fair on a machine that
is busy. Memory is held against
what there is to hold: the purchases by user and by item, 8 bytes a pair each, and the factors. The lists of a sample of
users are compared with what they truly like: the chance that their next new purchase is among the 20 listed.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from scipy.sparse import csr_array

from bench._generator import World, make_world
from bench._report import print_table, write_json
from shortlist.contracts.arrays import Float32Array, Float64Array
from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.model import FactorModel
from shortlist.fm.progress import EpochReport
from shortlist.fm.threads import threads
from shortlist.latent import item_latent, user_latent
from shortlist.stages.resume import peak_rss_mib
from shortlist.topx import available_cores

X: Final = 20
SAMPLE: Final = 500
"""Users whose lists are compared with the truth."""
MIB: Final = 2**20
COLUMNS: Final = (
    "interactions",
    "users",
    "items",
    "seconds_per_epoch",
    "cpu_seconds_per_epoch",
    "seconds_per_epoch_1_core",
    "speed_up",
    "peak_rss_mib",
    "memory_ratio",
    "hit_chance",
    "hit_chance_truth",
    "hit_chance_popularity",
)

Line = dict[str, float | str | None]
"""A line of the table; None for what is not measured at its size."""


def main(arguments: Sequence[str]) -> None:
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.epochs < 2:
        parser.error("--epochs is at least 2: processor time is not taken in the first.")
    sizes = sorted(int(float(size)) for size in given.interactions.split(","))
    if given.alone:
        print(json.dumps(measure(sizes[0], int(given.users), int(given.items), given)))
        return
    results = []
    for place, size in enumerate(sizes):
        share = size / sizes[-1]
        users, items = (max(int(float(n) * share), X + 1) for n in (given.users, given.items))
        print(f"{place + 1}/{len(sizes)}: {size:,} purchases, {users:,} users, {items:,} items", file=sys.stderr)
        results.append(_alone(size, users, items, given))
        print_table(results, COLUMNS)
    if given.json:
        cores = available_cores()
        write_json(given.json, results, ("numpy", "numba", "scipy"), cores=cores, arguments=list(arguments))
        plot(results, cores).savefig(given.json.with_suffix(".png"), dpi=150)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench scale", description=__doc__)
    parser.add_argument("--interactions", default="1e6,3e6", help="sizes, with commas between")
    parser.add_argument("--users", default="3e4", help="of the largest size; smaller ones have their share")
    parser.add_argument("--items", default="6e3", help="likewise")
    parser.add_argument("--n-factors", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3, help="at least 2")
    parser.add_argument("--rounds", type=int, default=2, help="fits on all cores and on one, in turn")
    parser.add_argument("--one-core-up-to", default="1e7", help="larger sizes are fitted once, on all cores")
    parser.add_argument("--features", action="store_true", help="train with the features of both sides")
    parser.add_argument("--json", type=Path, help="file for the results; the plot goes beside it")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    return parser


def _alone(size: int, users: int, items: int, given: argparse.Namespace) -> Line:
    """The result of one size, from a process of its own."""
    command = [sys.executable, "-m", "bench", "scale", "--alone", "--interactions", str(size)]
    command += ["--users", str(users), "--items", str(items), "--n-factors", str(given.n_factors)]
    command += ["--epochs", str(given.epochs), "--rounds", str(given.rounds)]
    command += ["--one-core-up-to", given.one_core_up_to]
    command += ["--features"] if given.features else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: Line = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(size: int, n_users: int, n_items: int, given: argparse.Namespace) -> Line:
    cores = available_cores()
    with threads(cores):
        at_start = peak_rss_mib()  # Python, its libraries and the kernels
    started = time.perf_counter()
    world = make_world(size, n_users, n_items)
    seconds_to_make = time.perf_counter() - started
    seconds: dict[int, list[float]] = {cores: [], 1: []}
    cpu_seconds: dict[int, list[float]] = {cores: [], 1: []}
    machine = _fit(world, cores, given, seconds[cores], cpu_seconds[cores])
    peak = peak_rss_mib()
    for turn in range(1, 2 * given.rounds if size <= float(given.one_core_up_to) else 1):
        n_threads = 1 if turn % 2 else cores
        _fit(world, n_threads, given, seconds[n_threads], cpu_seconds[n_threads])
    all_cores, one_core = median(seconds[cores]), median(seconds[1]) if seconds[1] else None
    held = 2 * 8 * world.purchases.nnz + 4 * (n_users * given.n_factors + n_items * (given.n_factors + 1))
    return {
        "name": "shortlist",
        "interactions": world.purchases.nnz,
        "users": n_users,
        "items": n_items,
        "n_factors": given.n_factors,
        "epochs": given.epochs,
        "seconds_to_make": round(seconds_to_make, 1),
        "seconds_per_epoch": round(all_cores, 3),
        "cpu_seconds_per_epoch": round(median(cpu_seconds[cores]), 3),
        "seconds_per_epoch_1_core": one_core and round(one_core, 3),
        "speed_up": one_core and round(one_core / all_cores, 2),
        "peak_rss_mib": round(peak, 1),
        "rss_at_start_mib": round(at_start, 1),
        "matrices_and_factors_mib": round(held / MIB, 1),
        "memory_ratio": round((peak - at_start) * MIB / held, 2),
        **_against_truth(world, machine, given),
    }


def _fit(
    world: World, n_threads: int, given: argparse.Namespace, seconds: list[float], cpu_seconds: list[float]
) -> FactorizationMachine:
    """Adds to `seconds` those of every epoch, to `cpu_seconds` those of every epoch but the first."""
    marks: list[
        float
    ] = []  # of processor time: end of an epoch, end of its report, which looks at every pair once more

    def validate(model: FactorModel) -> float:
        marks.append(time.process_time())
        return 0.0

    def told(report: EpochReport) -> None:
        seconds.append(report.seconds)
        if len(marks) > 2:
            cpu_seconds.append(marks[-1] - marks[-2])
        marks.append(time.process_time())
        print(
            f"  {n_threads} threads, epoch {report.epoch}: {report.seconds:.2f} s, loss {report.loss:.4f}",
            file=sys.stderr,
        )

    machine = FactorizationMachine(n_factors=given.n_factors, epochs=given.epochs, n_threads=n_threads)
    return machine.fit(world.purchases, *_features(world, given), validate=validate, on_epoch=told)


def _features(world: World, given: argparse.Namespace) -> tuple[csr_array | None, csr_array | None]:
    return (world.user_features, world.item_features) if given.features else (None, None)


def _against_truth(world: World, machine: FactorizationMachine, given: argparse.Namespace) -> dict[str, float]:
    """Chance that the next new purchase of a user is listed, by the model, by the truth itself and by popularity."""
    users = np.linspace(0, world.purchases.shape[0] - 1, SAMPLE).astype(np.int64)
    of_users, of_items = _features(world, given)
    scores = user_latent(machine.model, of_users)[users] @ item_latent(machine.model, of_items).T
    truth, bought = world.chance(users), world.purchases[users].toarray() > 0
    truth[bought] = 0
    truth /= truth.sum(1, keepdims=True)
    buyers = np.bincount(world.purchases.indices, minlength=world.purchases.shape[1]).astype(np.float32)

    def chance(wanted: Float32Array) -> float:
        best = np.argpartition(np.where(bought, -np.inf, wanted), -X, axis=1)[:, -X:]
        return round(float(np.take_along_axis(truth, best, axis=1).sum(1).mean()), 4)

    return {
        "hit_chance": chance(scores),
        "hit_chance_truth": chance(truth),
        "hit_chance_popularity": chance(np.broadcast_to(buyers, scores.shape)),
    }


def plot(results: Sequence[Line], cores: int) -> Figure:
    """Seconds an epoch and memory by the number of purchases, both axes logarithmic, beside what is proportional."""

    def column(name: str) -> Float64Array:
        """NaN, of which nothing is drawn, where there is None."""
        return np.array([result[name] for result in results], np.float64)

    sizes = column("interactions")
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    lines = {
        "seconds_per_epoch": f"{cores} cores",
        "seconds_per_epoch_1_core": "1 core",
        "cpu_seconds_per_epoch": f"{cores} cores, of processor time",
    }
    for name, label in lines.items():
        time_axes.plot(sizes, column(name), "o-", label=label)
    last = column("cpu_seconds_per_epoch")[-1]
    time_axes.plot(sizes, last * sizes / sizes[-1], ":", color="grey", label="proportional")
    time_axes.set_ylabel("seconds an epoch")
    held = column("matrices_and_factors_mib")
    peak = column("peak_rss_mib") - column("rss_at_start_mib")
    memory_axes.plot(sizes, peak, "o-", label="peak above the start")
    memory_axes.plot(sizes, 2.5 * held, ":", color="grey", label="2.5 × matrices and factors")
    memory_axes.plot(sizes, held, "--", color="grey", label="matrices and factors")
    memory_axes.set_ylabel("MiB")
    for axes in (time_axes, memory_axes):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("purchases")
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    return figure
