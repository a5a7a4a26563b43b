"""Lists for users without any signal: buyers per item and segment in, popular items in order out.

Exact search never runs short, so the list of a user with a signal is shorter than x only where the rules leave no
further item. A user without purchases and without features that the model knows has no vector to search with, and gets
what most customers of the same segment buy, then what most customers buy. Buy-again lists are not filled: a product
that was never bought cannot be bought again, and a short list is the true answer there.
"""

from typing import Final

import numpy as np

from shortlist.contracts.arrays import BoolArray, Float32Array, Int32Array, Int64Array, Popular, StringTable
from shortlist.topx import Ranking

SEGMENT_DEPTH: Final = 1_000
"""Items kept for each segment: several times the longest list, for those that the rules leave out."""
MIN_SEGMENT_USERS: Final = 25
"""In a smaller segment a handful of customers would decide what is popular."""


def without_signal(prior: Float32Array, indptr: Int64Array) -> BoolArray:
    """Users of whom nothing is known: bool (n_users,).

    Args:
        prior: float32 (n_users, d), latent rows from features alone, the last column constant.
        indptr: int64 (n_users + 1,), of their seen items.
    """
    known: BoolArray = (np.diff(indptr) > 0) | prior[:, :-1].any(axis=1)
    return ~known


def segments(
    indptr: Int64Array, indices: Int32Array, names: StringTable, column: str | None
) -> tuple[Int32Array, StringTable]:
    """Tell users apart by the values of one categorical feature.

    Args:
        indptr, indices: CSR of user features.
        names: of their columns, `column=value`.
        column: the feature; None: there is none.

    Returns:
        int32 (n_users,), number of the user's segment, −1 for none; the values.
    """
    n_users = len(indptr) - 1
    prefix = f"{column}="
    of_feature = {i: name for i, name in enumerate(names.to_list()) if column is not None and name.startswith(prefix)}
    segment_of_feature = np.full(len(names), -1, np.int32)
    segment_of_feature[list(of_feature)] = np.arange(len(of_feature))
    found = segment_of_feature[indices]
    users = np.repeat(np.arange(n_users), np.diff(indptr))[found >= 0]
    segment = np.full(n_users, -1, np.int32)
    segment[users] = found[found >= 0]
    small = np.bincount(segment + 1, minlength=len(of_feature) + 1) < MIN_SEGMENT_USERS
    segment[small[segment + 1]] = -1
    return segment, StringTable.of(name.removeprefix(prefix) for name in of_feature.values())


def count_buyers(
    indptr: Int64Array, item_rows: Int32Array, n_items: int, segment: Int32Array, names: StringTable
) -> Popular:
    """Order items by their number of buyers, equal ones by row.

    Args:
        indptr, item_rows: CSR of seen items over all users, each pair once.
        segment: int32 (n_users,), −1 for none.
        names: of the segments.
    """
    buyers = np.bincount(item_rows, minlength=n_items)
    of_pair = np.repeat(segment, np.diff(indptr)).astype(np.int64)
    keys, counts = np.unique(of_pair[of_pair >= 0] * n_items + item_rows[of_pair >= 0], return_counts=True)
    segment_of_key, items = np.divmod(keys, max(n_items, 1))
    order = np.lexsort((items, -counts, segment_of_key))
    sizes = np.bincount(segment_of_key, minlength=len(names))
    starts = np.cumsum(sizes) - sizes
    kept = np.arange(len(order)) - starts[segment_of_key[order]] < SEGMENT_DEPTH
    return Popular(
        everybody=np.argsort(-buyers, kind="stable").astype(np.int32),
        names=names,
        indptr=np.concatenate([[0], np.cumsum(np.minimum(sizes, SEGMENT_DEPTH))]).astype(np.int64),
        items=items[order][kept].astype(np.int32),
    )


def rank_popular(popular: Popular, segment: Int32Array, position: Int32Array, k: int) -> Ranking:
    """The popular items of each user: the segment's own, then everybody's. Place p (from 0) has the score −p.

    Places count items that may not be listed too, so that an item's score does not depend on what else may be.

    Args:
        segment: int32 (n_users,).
        position: int32 (n_items,), position of an item row in the ranking's matrix, −1 where it may not be listed.
    """
    ranking = Ranking.empty(len(segment), k)
    for number in np.unique(segment).tolist():
        first = popular.of_segment(number)
        items = position[np.concatenate([first, popular.everybody[~np.isin(popular.everybody, first)]])]
        places = np.flatnonzero(items >= 0)[:k]
        users = np.flatnonzero(segment == number)
        ranking.items[users, : len(places)] = items[places]
        ranking.scores[users, : len(places)] = -places
    return ranking
