"""Pairs' histories and items' features in; what is known of all items that share a feature with theirs out. numpy only.

A kind is a feature: all products of a type, of a brand. Who bought another milk yesterday needs none today, and a
product that few have bought comes back as often as products like it. An item without features is a kind of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from shortlist.contracts.arrays import BoolArray, Float64Array, Int32Array, Int64Array
from shortlist.fm.history import History
from shortlist.fm.sparse import CsrLike

BLOCK_PAIRS: Final = 65_536


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds of every item: those of item i are `kind[start[i]:start[i + 1]]`, at least one.

    Attributes:
        start: int64 (n_items + 1,).
        kind: int64 (n,), below n_kinds.
        share: float64 (n,), what each counts among its item's, 1 in all: log (n_items + 1) / items of the kind.
        n_kinds: the features, and after them an own kind of every item.
    """

    start: Int64Array
    kind: Int64Array
    share: Float64Array
    n_kinds: int

    @classmethod
    def of(cls, features: CsrLike | None, n_items: int) -> "Kinds":
        """Which features a row has counts, not their values."""
        if features is None:
            return cls(np.arange(n_items + 1), np.arange(n_items), np.ones(n_items), n_items)
        counts, width = np.diff(features.indptr).astype(np.int64), features.shape[1]
        alone = np.flatnonzero(counts == 0)
        kind = np.insert(features.indices.astype(np.int64), features.indptr[alone], width + alone)
        counts = np.maximum(counts, 1)
        start = np.append(0, np.cumsum(counts))
        weight = np.log((n_items + 1) / np.bincount(kind)[kind])
        return cls(start, kind, weight / np.repeat(_sums(weight, start), counts), width + n_items)

    @property
    def n_items(self) -> int:
        return len(self.start) - 1

    def by_item(self, items: Int32Array, of_pairs: Float64Array | BoolArray) -> Float64Array:
        """Of a number of every pair the sum over each item's pairs, float64 (n_items,)."""
        return np.bincount(items, of_pairs, self.n_items).astype(np.float64, copy=False)

    def mean(self, of_kinds: Float64Array) -> Float64Array:
        """Of a number of every kind (n_kinds,) the mean over each item's kinds, float64 (n_items,)."""
        return _sums(of_kinds[self.kind] * self.share, self.start)

    def total(self, of_items: Float64Array) -> Float64Array:
        """Of a number of every item (n_items,) the sum over each kind's items, float64 (n_kinds,)."""
        of_kinds = np.bincount(self.kind, np.repeat(of_items, np.diff(self.start)), self.n_kinds)
        return of_kinds.astype(np.float64, copy=False)

    def of_items(self, items: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Where the kinds of these items stand in `kind` and `share` (m,), and where those of each begin (n + 1,)."""
        counts = self.start[items + 1] - self.start[items]
        start = np.append(0, np.cumsum(counts))
        return np.arange(start[-1]) + np.repeat(self.start[items] - start[:-1], counts), start


def log_days_of_kind(past: History, kinds: Kinds, *days: Float64Array) -> list[Float64Array]:
    """Log of the days that the user has with all items of a kind, the mean over the item's kinds.

    Args:
        past: of n_pairs.
        kinds: of its items.
        days: decayed days of every pair (n_pairs,); for each there is an answer of this shape, float64.
    """
    found = [np.empty(len(past.item_rows)) for _ in days]
    for pairs, users in _blocks(past):
        place, start = kinds.of_items(past.item_rows[pairs].astype(np.int64))
        counts = np.diff(start)
        key = np.repeat(users, counts) * kinds.n_kinds + kinds.kind[place]
        order = np.argsort(key, kind="stable")
        changes = np.flatnonzero(np.diff(key[order], prepend=-1))
        n_alike = np.diff(np.append(changes, len(key)))
        for mean, of_pairs in zip(found, days, strict=True):
            summed = np.add.reduceat(np.repeat(of_pairs[pairs], counts)[order], changes)
            of_kinds = np.empty(len(key))
            of_kinds[order] = np.repeat(np.log(summed + 0.01), n_alike)
            mean[pairs] = _sums(of_kinds * kinds.share[place], start)
    return found


def _blocks(past: History) -> Iterator[tuple[slice, Int64Array]]:
    """Runs of whole users with BLOCK_PAIRS pairs or more, the last with fewer; and the user row of each pair."""
    first, n_users = 0, len(past.indptr) - 1
    while past.indptr[first] < past.indptr[-1]:
        stop = min(int(np.searchsorted(past.indptr, past.indptr[first] + BLOCK_PAIRS)), n_users)
        owners = np.repeat(np.arange(first, stop), np.diff(past.indptr[first : stop + 1]))
        yield slice(int(past.indptr[first]), int(past.indptr[stop])), owners
        first = stop


def _sums(values: Float64Array, start: Int64Array) -> Float64Array:
    """Of every run `values[start[r]:start[r + 1]]`, none of which is empty."""
    summed: Float64Array = np.add.reduceat(values, start[:-1]) if len(values) else np.zeros(0)
    return summed
