"""Latent rows, seen and held-out pairs in; Recall@20 and NDCG@20 over all items out."""

from typing import Final

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array
from shortlist.topx import Seen, rank_unseen

X: Final = 20


def recall_and_ndcg(
    users: Float32Array, items: Float32Array, train: csr_array, held_out: csr_array
) -> tuple[float, float]:
    """Averages over the users with something held out; every item they have not in `train` is a candidate.

    Recall divides the hits by *all* of a user's held-out items (so do LightGCN and those who compare with it; the
    product's own reports divide by at most 20). The ideal of NDCG has as many hits as fit on the list.
    """
    tested = np.flatnonzero(np.diff(held_out.indptr))
    seen = train[tested]
    seen.sort_indices()
    known = Seen(seen.indptr.astype(np.int64), seen.indices.astype(np.int32))
    lists = rank_unseen(np.ascontiguousarray(users[tested]), np.ascontiguousarray(items), known, X).items
    wanted = _keys(held_out)
    keys = tested[:, None] * held_out.shape[1] + lists
    hits = wanted[np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)] == keys
    relevant = np.diff(held_out.indptr)[tested]
    gains = 1 / np.log2(np.arange(2, X + 2))
    ideal = np.cumsum(gains)[np.minimum(relevant, X) - 1]
    return float((hits.sum(1) / relevant).mean()), float((hits @ gains / ideal).mean())


def _keys(pairs: csr_array) -> np.ndarray:
    """user_row · n_items + item_row of every pair, ascending."""
    users = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    return np.sort(users * pairs.shape[1] + pairs.indices)
