"""Exact top-x by inner product: latent rows of users and items and the seen items in, ranked items and scores out.

The scan goes tile by tile: one float32 matrix product, seen items struck out, and a floor under each user's k-th best
score from the maxima of strided groups of columns, so that only a handful of scores is looked at one by one. Those are
scored again in float64 and sorted. The float32 product rounds, so the floor is lowered by twice the bound of its error
(Higham, Accuracy and Stability of Numerical Algorithms, §3.1: γ_d·‖a_u‖·‖a_i‖): nothing that belongs on a list falls
below it, and the result is that of sorting all float64 scores, whatever the tile size and the number of threads.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from shortlist.contracts.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array

USERS_PER_TILE: Final = 256
ITEMS_PER_TILE: Final = 65_536
"""64 MiB of scores a thread. 3,000 × 41,000 × 65 took 0.32 s of one core's time, of which the matrix products 0.22 s;
0.31 to 0.55 s in other shapes (`python -m bench retrieval`)."""
GROUP: Final = 64
"""Columns that share one maximum."""
GROUPS_AT_ONCE: Final = 32_768
PAIRS_AT_ONCE: Final = 2_048
"""Bounds on memory where scores tie by the thousand."""
SCORE_LANES: Final = 8
"""A score is added up in so many sums, which are then added pairwise."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Each user's seen items, as CSR: user u has `items[indptr[u]:indptr[u + 1]]`, ascending.

    Attributes:
        indptr: int64 (n_users + 1,).
        items: int32 (nnz,), positions in the matrix that is searched.
    """

    indptr: Int64Array
    items: Int32Array

    @classmethod
    def among(cls, indptr: Int64Array, item_rows: Int32Array, position: Int32Array) -> tuple["Seen", BoolArray]:
        """What is left of a CSR over all items where only some are searched.

        Args:
            position: int32 (n_all_items,), position of each item row in the matrix that is searched, ascending; −1 for
                those that are not in it.

        Returns:
            The rest, and bool (nnz,), which entries it holds.
        """
        items = position[item_rows]
        kept: BoolArray = items >= 0
        before = np.concatenate([[0], np.cumsum(kept)])
        return cls(before[indptr].astype(np.int64), items[kept]), kept

    def users(self) -> Int64Array:
        """int64 (nnz,): the user of every entry."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))

    def contains(self, users: Int64Array, items: Int32Array) -> BoolArray:
        """Whether each pair is a seen one."""
        stride = 1 + max(self.items.max(initial=0), items.max(initial=0))
        keys = self.users() * stride + self.items
        wanted = users * stride + items
        if not len(keys):
            return np.zeros(len(wanted), np.bool_)
        found: BoolArray = keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
        return found

    def take(self, users: Int64Array) -> "Seen":
        """The rows of some users, in their order."""
        counts = np.diff(self.indptr)[users]
        indptr = np.zeros(len(users) + 1, np.int64)
        np.cumsum(counts, out=indptr[1:])
        entries = np.arange(indptr[-1]) + np.repeat(self.indptr[users] - indptr[:-1], counts)
        return Seen(indptr, self.items[entries])


def positions(item_rows: Int32Array, n_all_items: int) -> Int32Array:
    """int32 (n_all_items,): where each item row stands in `item_rows` (ascending), −1 where it does not."""
    position = np.full(n_all_items, -1, np.int32)
    position[item_rows] = np.arange(len(item_rows))
    return position


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best items of each user, best first; equal scores are ordered by item, ascending.

    Attributes:
        items: int32 (n_users, k), −1 where a user has fewer than k.
        scores: float64 (n_users, k), −inf there.
    """

    items: Int32Array
    scores: Float64Array

    @classmethod
    def empty(cls, n_users: int, k: int) -> "Ranking":
        return cls(np.full((n_users, k), -1, np.int32), np.full((n_users, k), -np.inf))

    def put(self, users: Int64Array, other: "Ranking") -> None:
        """Replace the rows of some users."""
        self.items[users], self.scores[users] = other.items, other.scores


def ranked(users: Int64Array, items: Int32Array, scores: Float64Array, n_users: int, k: int) -> Ranking:
    """The k best of each user among pairs given in any order, each pair once."""
    order = np.lexsort((items, -scores, users))
    users = users[order]
    place = np.arange(len(users)) - np.searchsorted(users, np.arange(n_users))[users]
    kept = place < k
    ranking = Ranking.empty(n_users, k)
    ranking.items[users[kept], place[kept]] = items[order[kept]]
    ranking.scores[users[kept], place[kept]] = scores[order[kept]]
    return ranking


def merged(first: Ranking, second: Ranking, k: int) -> Ranking:
    """The k best of two rankings of the same users that have no item in common."""
    items = np.concatenate([first.items, second.items], axis=1)
    scores = np.concatenate([first.scores, second.scores], axis=1)
    users, places = np.nonzero(items >= 0)
    return ranked(users, items[users, places], scores[users, places], len(items), k)


def score_pairs(queries: Float32Array, vectors: Float32Array, users: Int64Array, items: Int32Array) -> Float64Array:
    """a_u · a_i in float64 for pairs of rows; a pair's score has the same bits whatever it is computed with, and where.

    A product of two float32 is exact in float64, so only the order of the sum matters: as scan.c has it.
    """
    scores = np.empty(len(users), np.float64)
    n_dims = queries.shape[1]
    for start in range(0, len(users), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        products = queries[users[part]].astype(np.float64)
        products *= vectors[items[part]]
        lanes = np.zeros((len(products), SCORE_LANES))
        for first in range(0, n_dims, SCORE_LANES):
            lanes[:, : n_dims - first] += products[:, first : first + SCORE_LANES]
        while lanes.shape[1] > 1:
            half = lanes.shape[1] // 2
            lanes = lanes[:, :half] + lanes[:, half:]
        scores[part] = lanes[:, 0]
    return scores


def rank_unseen(
    queries: Float32Array, vectors: Float32Array, seen: Seen, k: int, *, threads: int | None = None
) -> Ranking:
    """Each user's k best items among those not seen, by a_u · a_i; identical to sorting all of them.

    Args:
        queries: float32 (n_users, d), finite.
        vectors: float32 (n_items, d), finite.
        seen: left out.
        threads: blocks of users at work at the same time; as many as there are cores where None.
    """
    ranking = Ranking.empty(len(queries), k)
    largest = float(np.sqrt(np.einsum("nd,nd->n", vectors, vectors).max(initial=0.0)))

    workers = threads or available_cores()

    def scan(worker: int) -> None:
        buffer = np.empty(USERS_PER_TILE * min(ITEMS_PER_TILE, len(vectors)), np.float32)
        for start in range(worker * USERS_PER_TILE, len(queries), workers * USERS_PER_TILE):
            users = np.arange(start, min(start + USERS_PER_TILE, len(queries)))
            ranking.put(users, _scan_block(queries[users], vectors, largest, seen.take(users), k, buffer))

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        list(pool.map(scan, range(workers)))
    return ranking


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _scan_block(
    queries: Float32Array, vectors: Float32Array, largest: float, seen: Seen, k: int, buffer: Float32Array
) -> Ranking:
    """One block of users against all items, whose longest row has the norm `largest`; tiles are laid into `buffer`."""
    n_users = len(queries)
    best = Ranking.empty(n_users, k)
    error = _product_error(queries, largest)
    seen_users = seen.users()
    for start, stop in _tiles(len(vectors)):
        tile = buffer[: n_users * (stop - start)].reshape(n_users, stop - start)
        np.matmul(queries, vectors[start:stop].T, out=tile)
        here = (seen.items >= start) & (seen.items < stop)
        tile[seen_users[here], seen.items[here] - start] = -np.inf
        for users, columns in _candidates(tile, best.scores[:, -1], error, k):
            items = (columns + start).astype(np.int32)
            best = _joined(best, users, items, score_pairs(queries, vectors, users, items))
    return best


def _tiles(n_items: int) -> list[tuple[int, int]]:
    """`(start, stop)` of the tiles, of nearly equal width."""
    count = -(-n_items // ITEMS_PER_TILE)
    ends = [n_items * tile // count for tile in range(count + 1)] if count else []
    return list(pairwise(ends))


def _product_error(queries: Float32Array, largest: float) -> Float64Array:
    """Bound of |float32 score − score| for each query; the hundredth covers the norms' own rounding."""
    n_terms = queries.shape[1]
    unit = n_terms * 2.0**-24
    gamma = unit / (1 - unit)
    norms = np.linalg.norm(queries.astype(np.float64), axis=1)
    bound: Float64Array = 1.01 * gamma * norms * largest + n_terms * float(np.finfo(np.float32).tiny)
    return bound


def _candidates(
    tile: Float32Array, kth_best: Float64Array, error: Float64Array, k: int
) -> Iterator[tuple[Int64Array, Int64Array]]:
    """`(users, columns)` of all scores of a tile that may be among their user's k best."""
    n_groups = tile.shape[1] // GROUP
    strided = tile[:, : n_groups * GROUP].reshape(len(tile), GROUP, n_groups)
    maxima = np.concatenate([strided.max(axis=1), tile[:, n_groups * GROUP :]], axis=1)
    kth_here = np.partition(maxima, -k, axis=1)[:, -k] if maxima.shape[1] >= k else np.float32(-np.inf)
    wanted = np.maximum(kth_best, kth_here - error) - error
    floor = np.nextafter(wanted.astype(np.float32), np.float32(-np.inf))
    hit_users, hit_groups = np.nonzero(maxima >= floor[:, None])
    for start in range(0, len(hit_users), GROUPS_AT_ONCE):
        users, groups = hit_users[start : start + GROUPS_AT_ONCE], hit_groups[start : start + GROUPS_AT_ONCE]
        whole = groups < n_groups
        columns = groups[whole, None] + n_groups * np.arange(GROUP)
        scores = tile[users[whole, None], columns]
        row, place = np.nonzero((scores >= floor[users[whole], None]) & (scores > -np.inf))
        single_users, single_columns = users[~whole], groups[~whole] + n_groups * (GROUP - 1)
        struck = tile[single_users, single_columns] == -np.inf
        yield (
            np.concatenate([users[whole][row], single_users[~struck]]),
            np.concatenate([columns[row, place], single_columns[~struck]]),
        )


def _joined(best: Ranking, users: Int64Array, items: Int32Array, scores: Float64Array) -> Ranking:
    """`best` after more pairs of the same users have been looked at."""
    n_users, k = best.items.shape
    held, places = np.nonzero(best.items >= 0)
    return ranked(
        np.concatenate([held, users]),
        np.concatenate([best.items[held, places], items]),
        np.concatenate([best.scores[held, places], scores]),
        n_users,
        k,
    )
