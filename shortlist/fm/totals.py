"""What ids and features give together in, each one's own part out: the Side whose FM has exactly these totals."""

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array
from shortlist.fm.model import Side
from shortlist.fm.sparse import SparseRows
from shortlist.latent import feature_totals


def split(totals: Float32Array, offset: Float32Array, weights: Float32Array, features: csr_array | None) -> Side:
    """An id's part is what its features leave.

    Args:
        totals: float32 (n, k), Vᵀx of each row.
        offset: float32 (n,), w·x with the interactions within the side.
        weights: float32 (f, k + 1), the features' factors and linear weights; (f, k) where these are zero.
        features: CSR (n, f); None: there are none.
    """
    k = totals.shape[1]
    if features is None or features.shape[1] == 0:
        empty = Side.zeros(0, 0, k)
        return Side(np.ascontiguousarray(totals), offset.copy(), empty.feature_factors, empty.feature_weights)
    linear = weights[:, k].copy() if weights.shape[1] > k else np.zeros(len(weights), np.float32)
    known = Side(totals[:0], offset[:0], np.ascontiguousarray(weights[:, :k]), linear)
    from_features, from_linear = feature_totals(known, SparseRows.of(features))
    own = totals - from_features
    crossed = np.einsum("rk,rk->r", own, from_features)
    return Side(own, offset - from_linear - crossed, known.feature_factors, known.feature_weights)
