"""Pairs' histories in, r(u, i) out: how likely a user buys again within the horizon what they bought before.

r is a logistic regression on what the history says of a pair (FACTS), with all products of two facts: in itself a
second-order polynomial. `shortlist.fm.repeat_fit` learns it from the newest horizon. For seen pairs only. numpy only.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shortlist.contracts.arrays import Float32Array, Float64Array, Int64Array
from shortlist.errors import ContractError
from shortlist.fm.history import VISIT, History
from shortlist.fm.kinds import Kinds, log_days_of_kind
from shortlist.fm.storage import load_folder, save_folder

KIND: Final = "repeat-model"
ARRAYS: Final = ("mean", "scale", "lowest", "highest", "linear", "products")
MOST_DEVIATIONS: Final = 5.0  # of a fact from its mean
BLOCK_ROWS: Final = 8192
FACTS: Final = (
    "own_short",  # log of the pair's days, decayed with half a horizon,
    "own_long",  # with three horizons,
    "own_ever",  # with thirteen
    "since_last",  # log days since the newest
    "several",  # 1 where there is more than one day
    "gap",  # log mean days between them
    "due",  # log days that since_last is away from the gap
    "per_visit",  # log share of the user's visits since the first day that had the item
    "visits_since",  # log visits since the newest day
    "user_visits",  # log visits of the user in the last horizon
    "user_volume",  # log of all the user's pairs and days, decayed with a horizon
    "item_volume",  # log of all the item's pairs and days, decayed with half a horizon
    "item_trend",  # log of that over the same with three horizons
    "item_rate",  # log of repeats of the item a day since its first days, over all users, drawn to that of its kinds
    "item_return",  # log share of the item's pairs known a horizon ago that came back since, drawn likewise
    "kinds_short",  # log of the user's days with the item's kinds, decayed with half a horizon,
    "kinds_long",  # with three horizons
    "affinity",  # log of the score without r
)
SIMPLE: Final = {"own_long": 1.0, "affinity": 0.1}
"""Coefficients of facts where nothing is learned; the learned are drawn to them."""


@dataclass(frozen=True, slots=True)
class RepeatModel:
    """r = σ(intercept + z·linear + zᵀ products z), z = (facts − mean) / scale.

    Facts are clipped to what was learned from: products say nothing of what lies beyond, such as the longer ages of a
    later day.

    Attributes:
        gamma: γ, what r is multiplied by to compare with scores of the factorization machine; 0: r is not used.
        horizon_days: what "buys again" looks ahead.
        intercept: of the log-odds.
        mean, scale, lowest, highest: of the facts learned from, float64 (p,).
        linear: float64 (p,).
        products: float64 (p, p), upper triangle.
        n_events: interactions known when it was learned; 0: nobody said.
    """

    gamma: float
    horizon_days: float
    intercept: float
    mean: Float64Array
    scale: Float64Array
    lowest: Float64Array
    highest: Float64Array
    linear: Float64Array
    products: Float64Array
    n_events: int = 0

    @classmethod
    def simple(cls, gamma: float, horizon_days: float) -> "RepeatModel":
        """Where nothing can be learned (few repeats, a short history): r = w / (1 + w).

        w = d s^.1 (SIMPLE), d the pair's decayed days and s its score without r, which parts those of equal days.
        """
        p = len(FACTS)
        no_limit, linear = np.full(p, np.inf), np.array([SIMPLE.get(fact, 0.0) for fact in FACTS])
        return cls(gamma, horizon_days, 0.0, np.zeros(p), np.ones(p), -no_limit, no_limit, linear, np.zeros((p, p)))

    def chance(self, facts: Float32Array) -> Float32Array:
        """r of every pair, float32 (n_pairs,), in (0, 1)."""
        odds = np.empty(len(facts), np.float32)
        linear, products = self.linear.astype(np.float32), self.products.astype(np.float32)
        for start in range(0, len(facts), BLOCK_ROWS):
            z = self.standardized(facts[start : start + BLOCK_ROWS])
            odds[start : start + BLOCK_ROWS] = z @ linear + np.einsum("np,np->n", z @ products, z)
        chance: Float32Array = 1 / (1 + np.exp(-(odds + np.float32(self.intercept))))
        return chance

    def standardized(self, facts: Float32Array) -> Float32Array:
        """z, float32 (n, p)."""
        z = np.clip(facts, self.lowest.astype(np.float32), self.highest.astype(np.float32))
        z -= self.mean.astype(np.float32)
        z *= (1 / self.scale).astype(np.float32)
        return z

    def save(self, folder: Path) -> None:
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in ARRAYS}
        settings = {name: getattr(self, name) for name in ("gamma", "horizon_days", "intercept", "n_events")}
        save_folder(folder, KIND, arrays, settings)

    @classmethod
    def load(cls, folder: Path) -> "RepeatModel":
        """Raises ContractError where something is missing or altered, or it was learned from other facts."""
        arrays, settings = load_folder(folder, KIND)
        if len(arrays["mean"]) != len(FACTS):
            raise ContractError(
                f"{folder} holds a repeat model of {len(arrays['mean'])} facts, expected {len(FACTS)}. "
                "Train again with this version."
            )
        far = MOST_DEVIATIONS * arrays["scale"]
        limits = {"lowest": arrays["mean"] - far, "highest": arrays["mean"] + far}  # where an earlier version saved it
        return cls(**(settings | limits | arrays))


def repeat_facts(past: History, affinity: Float32Array, kinds: Kinds, *, horizon_days: float) -> Float32Array:
    """FACTS of every pair, float32 (n_pairs, p). `affinity` (n_pairs,) is the score of the pair without r."""
    users, items, n_items = past.user_rows, past.item_rows, kinds.n_items
    first, stop = past.day_start[:-1], past.day_start[1:]
    n_days = (stop - first).astype(np.float64)
    last, oldest = (past.age[first], past.age[stop - 1]) if len(items) else (past.age, past.age)
    several = n_days > 1
    gap = np.where(several, (oldest - last) / np.maximum(n_days - 1, 1), 0)
    short, long = past.decayed_days(horizon_days / 2), past.decayed_days(3 * horizon_days)
    seen_visits = _visits_before(past, users, oldest + 1)
    volume = np.bincount(items, short, n_items)
    rate = _item_rate(items, n_days, oldest, kinds, horizon_days)
    returned = _item_return(items, last, oldest, kinds, horizon_days)
    kinds_short, kinds_long = log_days_of_kind(past, kinds, short, long)
    columns: dict[str, NDArray[Any]] = {
        "own_short": np.log(short + 0.01),
        "own_long": np.log(long + 0.01),
        "own_ever": np.log(past.decayed_days(13 * horizon_days) + 0.01),
        "since_last": np.log1p(last),
        "several": several,
        "gap": np.log1p(gap),
        "due": np.where(several, np.log1p(np.abs(last - gap)), 0),
        "per_visit": np.log((n_days + 0.3) / (seen_visits + 5)),
        "visits_since": np.log1p(_visits_before(past, users, last)),
        "user_visits": np.log1p(_visits_before(past, users, np.full(len(users), horizon_days))),
        "user_volume": np.log1p(np.bincount(users, past.decayed_days(horizon_days), len(past.indptr) - 1))[users],
        "item_volume": np.log1p(volume)[items],
        "item_trend": np.log((volume + 0.5) / (np.bincount(items, long, n_items) + 1))[items],
        "item_rate": rate[items],
        "item_return": returned[items],
        "kinds_short": kinds_short,
        "kinds_long": kinds_long,
        "affinity": np.log(np.maximum(affinity, 1e-3)),
    }
    facts = np.empty((len(items), len(FACTS)), np.float32)
    for place, name in enumerate(FACTS):
        facts[:, place] = columns[name]
    return facts


def _visits_before(past: History, users: Int64Array, age: Float64Array) -> Float64Array:
    """How many visits of each pair's user are younger than `age` days."""
    starts = np.searchsorted(past.visits, np.arange(len(past.indptr) - 1) * VISIT)
    found = np.searchsorted(past.visits, users * VISIT + np.ceil(age).astype(np.int64))
    return (found - starts[users]).astype(np.float64)


def _item_rate(
    items: NDArray[np.int32], n_days: Float64Array, oldest: Float64Array, kinds: Kinds, horizon_days: float
) -> Float64Array:
    """Log repeats per horizon since the first days, drawn as by seven horizons of a pair's exposure."""
    repeats, exposure = kinds.by_item(items, n_days - 1), kinds.by_item(items, oldest)
    average = (repeats.sum() + 1) / (exposure.sum() + horizon_days)
    return _drawn(repeats * horizon_days, exposure, kinds, average * horizon_days, 7 * horizon_days)


def _item_return(
    items: NDArray[np.int32], last: Float64Array, oldest: Float64Array, kinds: Kinds, horizon_days: float
) -> Float64Array:
    """Log share of the item's pairs older than a horizon that came back within it, drawn as by ten pairs."""
    known = oldest >= horizon_days
    n_known, n_back = kinds.by_item(items, known), kinds.by_item(items, known & (last < horizon_days))
    average = (n_back.sum() + 1) / (n_known.sum() + 10)
    return _drawn(n_back, n_known, kinds, average, 10)


def _drawn(part: Float64Array, whole: Float64Array, kinds: Kinds, average: float, weight: float) -> Float64Array:
    """Log of part / whole of every item, drawn to that of its kinds, which is drawn to the average, by `weight`."""
    of_kinds = np.log((kinds.total(part) + average * weight) / (kinds.total(whole) + weight))
    ratio: Float64Array = np.log((part + np.exp(kinds.mean(of_kinds)) * weight) / (whole + weight))
    return ratio
