"""Interactions in, the history of every (user, item) pair out: its days, and the user's visits. numpy only."""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from shortlist.contracts.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array

DAY_S: Final = 86_400
Number = TypeVar("Number", np.int64, np.float64)

VISIT: Final = 2**31  # a visit is user_row · VISIT + age in days


@dataclass(frozen=True, slots=True)
class Interactions:
    """Events, in any order. All arrays (n,).

    Attributes:
        user_row, item_row: int32.
        timestamp: int64, epoch seconds.
        weight: float32, > 0.
    """

    user_row: Int32Array
    item_row: Int32Array
    timestamp: Int64Array
    weight: Float32Array

    def __len__(self) -> int:
        return len(self.timestamp)

    def where(self, kept: BoolArray) -> "Interactions":
        return Interactions(self.user_row[kept], self.item_row[kept], self.timestamp[kept], self.weight[kept])

    def until(self, moment: int) -> "Interactions":
        """The same with what happened later put at `moment`."""
        return Interactions(self.user_row, self.item_row, np.minimum(self.timestamp, moment), self.weight)

    def joined(self, other: "Interactions") -> "Interactions":
        """Both."""
        return Interactions(
            np.concatenate([self.user_row, other.user_row]),
            np.concatenate([self.item_row, other.item_row]),
            np.concatenate([self.timestamp, other.timestamp]),
            np.concatenate([self.weight, other.weight]),
        )


@dataclass(frozen=True, slots=True)
class Aging:
    """What events weigh as they grow older.

    Attributes:
        half_life_days: None: weights do not fall with age.
        item_half_life_days: of `item_weight`; None: as `half_life_days`.
        saturation: a pair of summed weight d gets d (1 + s) / (d + s): many purchases are not many times the evidence
            of one. None: d itself.
    """

    half_life_days: float | None = None
    item_half_life_days: float | None = None
    saturation: float | None = None


AGELESS: Final = Aging()


@dataclass(frozen=True, slots=True)
class History:
    """Pairs are in the order of user_row, then item_row; days within a pair from the newest to the oldest.

    Attributes:
        indptr: int64 (n_users + 1,), the pairs of every user.
        item_rows: int32 (n_pairs,).
        weight: float32 (n_pairs,), confidence: sum of weights, each halved with every half-life of its age, saturated.
        item_weight: float32 (n_pairs,), the same with the half-life for items.
        last_seen: int64 (n_pairs,), epoch seconds.
        day_start: int64 (n_pairs + 1,), the days of every pair.
        age: float64 (n_days,), whole days before the reference time.
        strength: float64 (n_days,), the day's largest weight, at most 1.
        visits: int64 (n_visits,), distinct days of every user, as user_row · VISIT + age, ascending.
    """

    indptr: Int64Array
    item_rows: Int32Array
    weight: Float32Array
    item_weight: Float32Array
    last_seen: Int64Array
    day_start: Int64Array
    age: Float64Array
    strength: Float64Array
    visits: Int64Array

    @property
    def user_rows(self) -> Int64Array:
        """int64 (n_pairs,)."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    def decayed_days(self, half_life_days: float) -> Float64Array:
        """Days of every pair, each halved with every half-life of its age, float64 (n_pairs,)."""
        return self._sum(self.strength * 0.5 ** (self.age / half_life_days))

    def _sum(self, of_days: Float64Array) -> Float64Array:
        return np.add.reduceat(of_days, self.day_start[:-1]) if of_days.size else np.zeros(0)


def history(
    events: Interactions, *, n_users: int, n_items: int, reference_time: int, aging: Aging = AGELESS
) -> History:
    """Group events by pair and day.

    Args:
        events: none newer than `reference_time`.
        n_users, n_items: sizes of the shop.
        reference_time: ages count from here, epoch seconds.
        aging: of the confidences.
    """
    day = (reference_time - events.timestamp) // DAY_S
    key = events.user_row.astype(np.int64) * n_items + events.item_row
    order = np.lexsort((events.timestamp, day, key))
    key, day_of, timestamp = key[order], day[order], events.timestamp[order]
    weight = events.weight[order].astype(np.float64)
    starts = _changes(key)
    pairs, days = np.flatnonzero(starts), np.flatnonzero(starts | _changes(day_of))

    def confidence(half_life_days: float | None) -> Float32Array:
        age = (reference_time - timestamp) / DAY_S
        decayed = weight if half_life_days is None else weight * 0.5 ** (age / half_life_days)
        summed = _reduce(np.add, decayed, pairs)
        return _saturated(summed, aging.saturation).astype(np.float32)

    return History(
        indptr=np.searchsorted(key[pairs] // n_items, np.arange(n_users + 1)).astype(np.int64),
        item_rows=(key[pairs] % n_items).astype(np.int32),
        weight=confidence(aging.half_life_days),
        item_weight=confidence(aging.item_half_life_days or aging.half_life_days),
        last_seen=_reduce(np.maximum, timestamp, pairs),
        day_start=np.append(np.searchsorted(days, pairs), len(days)).astype(np.int64),
        age=day_of[days].astype(np.float64),
        strength=np.minimum(_reduce(np.maximum, weight, days), 1),
        visits=distinct(events.user_row.astype(np.int64) * VISIT + day),
    )


def distinct(keys: NDArray[np.int64]) -> Int64Array:
    """Ascending, each once: np.unique hashes row · n + column so badly that it takes 25 times as long (numpy 2.4)."""
    ordered = np.sort(keys)
    return ordered[_changes(ordered)]


def _saturated(summed: Float64Array, saturation: float | None) -> Float64Array:
    return summed if saturation is None else summed * (1 + saturation) / (summed + saturation)


def _changes(values: NDArray[np.int64]) -> BoolArray:
    """Where a value differs from the one before; the first always does."""
    return np.concatenate([np.ones(min(len(values), 1), np.bool_), values[1:] != values[:-1]])


def _reduce(ufunc: np.ufunc, values: NDArray[Number], starts: Int64Array) -> NDArray[Number]:
    reduced: NDArray[Number] = ufunc.reduceat(values, starts) if starts.size else values[:0]
    return reduced
