"""Numba kernel: compressed rows and a dense matrix in, their product out; each row is summed in order by one thread."""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from shortlist.fm.prefetch import AHEAD, announce

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def times(indptr: Int64, indices: Int32, values: Float32, lanes: Int64, dense: Float32) -> Float32:
    """float32 (n_rows, d) from dense (n_columns, d); the rows from lanes[t] to lanes[t + 1] are one thread's."""
    product = np.zeros((indptr.size - 1, dense.shape[1]), np.float32)
    for lane in prange(lanes.size - 1):
        for row in range(lanes[lane], lanes[lane + 1]):
            for place in range(indptr[row], indptr[row + 1]):
                announce(dense, indices[min(place + AHEAD, indices.size - 1)])
                column, value = indices[place], values[place]
                for c in range(dense.shape[1]):
                    product[row, c] += value * dense[column, c]
    return product
