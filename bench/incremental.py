"""Real grocery purchases in; recall and time of a model trained from scratch and of one that goes on from the past out.

Protocol: completejourney as `python -m bench purchases` has it. Some weeks before the cutoff a model is trained on the
households and products known by then. Each week after it goes on from the week before: ids are matched, new ones begin
where their features put them, and the repeat term is taken over while it knew three quarters of the purchases. At the
cutoff it is compared with a model from scratch, on the four weeks after. Both train in turn in one process; CPU seconds
count on a machine that is busy.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import numpy as np

from bench._report import print_table, write_json
from bench.purchases import KINDS, Split, X, read
from shortlist.config import Model
from shortlist.contracts.arrays import Int64Array
from shortlist.evaluate import make_lists, measure, rank
from shortlist.fm.align import align
from shortlist.fm.history import DAY_S, Interactions
from shortlist.fm.model import FactorModel
from shortlist.recommender import MORE_EPOCHS, Recommender, Shop, aging_of, fit_history, latent, learn, past_of

WARM: Final = "last week's model"
SCRATCH: Final = "from scratch"
COLUMNS: Final = ("name", *(f"{kind}_{figure}_at_20" for kind in KINDS for figure in ("recall", "ndcg")))
TIMES: Final = ("seconds_total", "cpu_seconds_total", "fit_cpu_seconds")


@dataclass(frozen=True, slots=True)
class Known:
    """The rows of a full shop that have purchases by some moment, and the purchases in rows of their own."""

    users: Int64Array
    items: Int64Array
    shop: Shop
    events: Interactions

    @classmethod
    def by(cls, moment: int, split: Split) -> "Known":
        events = split.train.where(split.train.timestamp <= moment)
        users, user_row = np.unique(events.user_row, return_inverse=True)
        items, item_row = np.unique(events.item_row, return_inverse=True)
        shop = Shop(len(users), len(items), split.shop.user_features[users], split.shop.item_features[items])
        events = Interactions(user_row.astype(np.int32), item_row.astype(np.int32), events.timestamp, events.weight)
        return cls(users.astype(np.int64), items.astype(np.int64), shop, events)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench incremental", description=__doc__)
    parser.add_argument(
        "--weeks", type=int, default=1, help="how many weeks lie between the model from scratch and now"
    )
    parser.add_argument("--weeks-back", type=int, default=0, help="end the data so many weeks earlier; 4 is validation")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is trained, in turn")
    parser.add_argument("--json", type=Path, help="write the figures there")
    given = parser.parse_args(arguments)
    split, settings = read(given.weeks_back), Model()
    before, rows = follow(split, settings, given.weeks)
    start = aligned(before.model, rows, (split.shop.n_users, split.shop.n_items))
    trainings: dict[str, Callable[[], Recommender]] = {
        SCRATCH: lambda: learn(split.train, split.shop, settings),
        WARM: lambda: learn(split.train, split.shop, settings, repeat=before.repeat, start_from=start),
    }
    past = past_of(split.train, split.shop, aging_of(settings), int(split.train.timestamp.max()))
    one_more = msgspec.structs.replace(settings, epochs=MORE_EPOCHS)
    fits: dict[str, Callable[[], object]] = {
        SCRATCH: lambda: fit_history(past, split.shop, settings),
        WARM: lambda: fit_history(past, split.shop, one_more, start_from=start),
    }
    found = measured(split, trainings, fits, given.rounds)
    results = [{"name": name, **row} for name, row in found.items()]
    print_table(results, (*COLUMNS, *TIMES))
    shares = {name: found[WARM][name] / found[SCRATCH][name] for name in TIMES}
    print("share of the time from scratch:", ", ".join(f"{name} {share:.2f}" for name, share in shares.items()))
    if given.json:
        write_json(given.json, results, ("numpy", "numba", "scipy"), arguments=list(arguments), share_of_time=shares)


def follow(split: Split, settings: Model, weeks: int) -> tuple[Recommender, Known]:
    """The recommender of the week before the cutoff, and the rows it is about."""
    newest = int(split.train.timestamp.max())
    known = Known.by(newest - weeks * 7 * DAY_S, split)
    recommender = learn(known.events, known.shop, settings)
    for left in range(weeks - 1, 0, -1):
        now = Known.by(newest - left * 7 * DAY_S, split)
        start = aligned(recommender.model, known, (now.users, now.items))
        recommender = learn(now.events, now.shop, settings, repeat=recommender.repeat, start_from=start)
        known = now
    return recommender, known


def aligned(model: FactorModel, known: Known, rows: tuple[Int64Array | int, Int64Array | int]) -> FactorModel:
    """The model for other rows of the full shop, or for all of a side's rows where their number is given."""
    users, items = (
        _places(there, np.arange(wanted) if isinstance(wanted, int) else wanted)
        for there, wanted in zip((known.users, known.items), rows, strict=True)
    )
    user_features, item_features = (np.arange(len(side.feature_factors)) for side in (model.users, model.items))
    return align(model, users=users, items=items, user_features=user_features, item_features=item_features)


def _places(there: Int64Array, wanted: Int64Array) -> Int64Array:
    """For each of `wanted` its place in the ascending `there`, −1 where it is not."""
    places = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    return np.where(there[places] == wanted, places, -1)


def measured(
    split: Split,
    trainings: dict[str, Callable[[], Recommender]],
    fits: dict[str, Callable[[], object]],
    rounds: int,
) -> dict[str, dict[str, float]]:
    """Recall, NDCG and times, which are medians, by name."""
    seconds: dict[str, list[tuple[float, float, float]]] = {name: [] for name in trainings}
    recommenders = {}
    for turn in range(rounds):
        for name, training in trainings.items():
            started, cpu_started = time.perf_counter(), time.process_time()
            recommenders[name] = training()
            total, cpu = time.perf_counter() - started, time.process_time() - cpu_started
            cpu_started = time.process_time()
            fits[name]()
            seconds[name].append((total, cpu, time.process_time() - cpu_started))
            print(f"{turn + 1}/{rounds} {name}: {total:.1f} s, {cpu:.1f} CPU s", flush=True)
    found = {}
    for name, recommender in recommenders.items():
        times = (median(column) for column in zip(*seconds[name], strict=True))
        rounded = {key: round(value, 3) for key, value in zip(TIMES, times, strict=True)}
        found[name] = figures(recommender, split) | rounded
    return found


def figures(recommender: Recommender, split: Split) -> dict[str, float]:
    """Recall and NDCG over all products and over new ones."""
    users, items = latent(recommender.model, split.shop)
    past = recommender.past(split.train, split.shop)
    ranked = rank(users, items, recommender.pair_repeat(past, split.shop, users, items), split.seen, split.users, X)
    found: dict[str, float] = {}
    for kind, relevant in zip(KINDS, (split.held_out, split.new), strict=True):
        metrics = measure(make_lists(ranked, split.seen, kind, X), split.users, relevant, X)
        found |= {f"{kind}_recall_at_20": metrics.recall, f"{kind}_ndcg_at_20": metrics.ndcg}
    return found
