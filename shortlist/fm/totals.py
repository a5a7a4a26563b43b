"""What ids and features give together in, each one's own part out: the Side whose FM has exactly these totals."""

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array
from shortlist.fm.model import Side


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
        return Side(totals.copy(), offset.copy(), empty.feature_factors, empty.feature_weights)
    factors = np.ascontiguousarray(weights[:, :k])
    linear = weights[:, k].copy() if weights.shape[1] > k else np.zeros(len(weights), np.float32)
    from_features: Float32Array = features @ factors
    squared = csr_array((features.data**2, features.indices, features.indptr), shape=features.shape)
    alone = squared @ np.einsum("fk,fk->f", factors, factors)
    own = totals - from_features
    # what features do to each other and to the id: (f·f − alone) / 2 + own·f
    crossed = np.einsum("rk,rk->r", own + np.float32(0.5) * from_features, from_features) - np.float32(0.5) * alone
    return Side(own, offset - features @ linear - crossed, factors, linear)
