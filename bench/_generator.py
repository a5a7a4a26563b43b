"""Sizes and a seed in; purchases of a made-up shop, features of both sides and the truth behind them out.

Every item belongs to one of TASTES and has a popularity; every user likes a few tastes, most of all the first. A
purchase is of a taste drawn from the user's, then of one of its items by popularity, or now and then of anything; what
the user has already is drawn again. Users and items say in features what they are, not always truly. The matrix is
written block by block into its final arrays, so the generator needs hardly more memory than the matrix.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Float64Array, Int32Array, Int64Array

TASTES: Final = 50
LIKED: Final = np.array([0.5, 0.25, 0.15, 0.1])
"""Shares of a user's first, second, … taste."""
ANYTHING: Final = 0.1
"""Share of purchases that follow popularity alone."""
TRUTHFUL: Final = 0.8
"""Chance that a feature names the true taste."""
MOST_OF_TASTE: Final = 0.5
"""A user has at most this share of the catalogue."""
BLOCK_DRAWS: Final = 1_000_000
ROUNDS: Final = 5
"""Of redraws; after them a user who buys much has somewhat fewer purchases than wanted."""


@dataclass(frozen=True, slots=True)
class World:
    """A made-up shop, and what is true of it.

    Attributes:
        purchases: CSR float32 (n_users, n_items) of ones, distinct, columns ascending.
        user_features, item_features: CSR of ones, a taste and a field that means nothing for every row.
        tastes: int32 (n_users, len(LIKED)), each user's tastes, the best liked first.
        taste_of: int32 (n_items,), the taste of each item.
        popularity: float64 (n_items,), sums to 1.
        share_of_taste: float64 (TASTES,), the popularity of all its items.
    """

    purchases: csr_array
    user_features: csr_array
    item_features: csr_array
    tastes: Int32Array
    taste_of: Int32Array
    popularity: Float64Array
    share_of_taste: Float64Array

    def chance(self, users: Int64Array) -> Float32Array:
        """How likely the next purchase of each user is each item, float32 (len(users), n_items)."""
        liking = np.zeros((len(users), TASTES))
        for place, share in enumerate(LIKED):
            np.add.at(liking, (np.arange(len(users)), self.tastes[users, place]), share)
        liking *= (1 - ANYTHING) / np.maximum(self.share_of_taste, np.finfo(np.float64).tiny)
        return ((liking[:, self.taste_of] + ANYTHING) * self.popularity).astype(np.float32)


def make_world(n_interactions: int, n_users: int, n_items: int, seed: int = 42) -> World:
    """The same arguments give the same world. A few users end with fewer purchases, so `purchases.nnz` counts."""
    rng = np.random.default_rng(seed)
    taste_of = rng.integers(0, TASTES, n_items, dtype=np.int32)
    popularity = 1 / (10 + rng.permutation(n_items)) ** 0.8
    popularity /= popularity.sum()
    tastes = rng.integers(0, TASTES, (n_users, len(LIKED)), dtype=np.int32)
    counts = _counts(n_interactions, n_users, int(n_items * MOST_OF_TASTE), rng)
    return World(
        _purchases(counts, tastes, _Draw.of(taste_of, popularity), n_items, seed),
        _features(tastes[:, 0], rng),
        _features(taste_of, rng),
        tastes,
        taste_of,
        popularity,
        np.bincount(taste_of, popularity, TASTES).astype(np.float64),
    )


@dataclass(frozen=True, slots=True)
class _Draw:
    """Items in the order of their tastes, and the running sum of their popularity."""

    order: Int32Array
    running: Float64Array
    starts: Float64Array

    @classmethod
    def of(cls, taste_of: Int32Array, popularity: Float64Array) -> "_Draw":
        order = np.argsort(taste_of, kind="stable").astype(np.int32)
        running = np.cumsum(popularity[order])
        first = np.searchsorted(taste_of[order], np.arange(TASTES + 1))
        return cls(order, running, np.concatenate([[0.0], running])[first])

    def items(self, tastes: Int32Array, rng: np.random.Generator) -> Int32Array:
        """An item for each taste."""
        low, high = self.starts[tastes], self.starts[tastes + 1]
        anything = (rng.random(len(tastes)) < ANYTHING) | (high <= low)
        low, high = np.where(anything, 0, low), np.where(anything, self.running[-1], high)
        places = np.searchsorted(self.running, low + rng.random(len(tastes)) * (high - low), side="right")
        return self.order[np.minimum(places, len(self.order) - 1)]


def _counts(n_interactions: int, n_users: int, most: int, rng: np.random.Generator) -> Int64Array:
    """Purchases of every user: many buy little, few buy much; they sum to about `n_interactions`."""
    activity = rng.lognormal(0, 1, n_users)
    wanted: Float64Array = np.round(activity * (n_interactions / activity.sum()))
    return np.clip(wanted, 1, most).astype(np.int64)


def _purchases(counts: Int64Array, tastes: Int32Array, draw: _Draw, n_items: int, seed: int) -> csr_array:
    indices = np.empty(int(counts.sum()), np.int32)
    indptr = np.zeros(len(counts) + 1, np.int64)
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = ends[start - 1] if start else 0
        stop = max(int(np.searchsorted(ends, before + BLOCK_DRAWS)), start + 1)
        rng = np.random.default_rng((seed, start))
        keys = _distinct(counts[start:stop], tastes[start:stop], draw, n_items, rng)
        at = indptr[start]
        indices[at : at + len(keys)] = keys % n_items
        indptr[start + 1 : stop + 1] = at + np.searchsorted(keys, np.arange(1, stop - start + 1) * n_items)
        start = stop
    data = np.ones(indptr[-1], np.float32)
    return csr_array((data, indices[: indptr[-1]], indptr.astype(np.int32)), shape=(len(counts), n_items))


def _distinct(
    counts: Int64Array, tastes: Int32Array, draw: _Draw, n_items: int, rng: np.random.Generator
) -> Int64Array:
    """user · n_items + item of the purchases of some users, ascending; what a user has already is drawn again."""
    keys = np.empty(0, np.int64)
    users = np.arange(len(counts))
    for _ in range(ROUNDS):
        missing = counts - np.bincount(keys // n_items, minlength=len(counts))
        who = np.repeat(users, missing)
        if not len(who):
            break
        liked = tastes[who, np.searchsorted(np.cumsum(LIKED[:-1]), rng.random(len(who)))]
        keys = np.sort(np.concatenate([keys, who * n_items + draw.items(liked, rng)]))
        keys = keys[
            np.concatenate([[True], keys[1:] != keys[:-1]])
        ]  # np.unique hashes such keys badly: 30 times slower
    return keys


def _features(true: Int32Array, rng: np.random.Generator) -> csr_array:
    """Two columns with a 1 in every row: the taste, as it is or at random, and one of TASTES that say nothing."""
    n = len(true)
    named = np.where(rng.random(n) < TRUTHFUL, true, rng.integers(0, TASTES, n))
    columns = np.column_stack([named, TASTES + rng.integers(0, TASTES, n)]).astype(np.int32)
    return csr_array(
        (np.ones(2 * n, np.float32), columns.ravel(), np.arange(0, 2 * n + 1, 2, dtype=np.int32)), shape=(n, 2 * TASTES)
    )
