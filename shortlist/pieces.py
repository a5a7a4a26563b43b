"""Items in pieces: more rows than should be packed at once in, what a search over all of them finds out."""

from itertools import pairwise
from typing import Final

import numpy as np

from shortlist.contracts.arrays import Float32Array
from shortlist.scan import ExactSearch
from shortlist.topx import Ranking, Seen, merged

ITEMS_PER_PIECE: Final = 16_000_000
"""Packed, they take 1.6 GB beside the rows themselves, which are mapped."""


class PiecewiseSearch:
    """As ExactSearch, a piece of the items after the other: packed for the users that come, and given back.

    The k best of all items are the k best among the best of each piece, and pieces have no item in common, so the lists
    are the same to the byte, ties by item row included. What is packed anew for every call wants many users at once.

    Attributes:
        vectors: float32 (n_items, d), finite.
    """

    def __init__(self, vectors: Float32Array, items_per_piece: int) -> None:
        self.vectors = vectors
        n_pieces = -(-len(vectors) // items_per_piece)
        self._ends = [len(vectors) * piece // n_pieces for piece in range(n_pieces + 1)] if n_pieces else []

    def rank_unseen(self, queries: Float32Array, seen: Seen, k: int, *, threads: int | None = None) -> Ranking:
        """Each user's k best items among those not seen, identical to sorting all of them."""
        best = Ranking.empty(len(queries), k)
        for start, stop in pairwise(self._ends):
            found = ExactSearch(self.vectors[start:stop]).rank_unseen(
                queries, _within(seen, start, stop), k, threads=threads
            )
            items = np.where(found.items >= 0, found.items + np.int32(start), np.int32(-1))
            best = merged(best, Ranking(items, found.scores), k)
        return best


def exact_search(vectors: Float32Array) -> ExactSearch | PiecewiseSearch:
    """The search that suits so many items: packed once for all users, while that is not too much."""
    if len(vectors) <= ITEMS_PER_PIECE:
        return ExactSearch(vectors)
    return PiecewiseSearch(vectors, ITEMS_PER_PIECE)


def _within(seen: Seen, start: int, stop: int) -> Seen:
    """The seen items of one piece, numbered within it."""
    here = (seen.items >= start) & (seen.items < stop)
    before = np.concatenate([[0], np.cumsum(here)])
    return Seen(before[seen.indptr].astype(np.int64), seen.items[here] - np.int32(start))
