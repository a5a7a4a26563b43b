"""A sparse matrix in, its products with dense ones out, on all threads: the same bytes whatever their number."""

from dataclasses import dataclass

import numba
import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Int32Array, Int64Array
from shortlist.fm import sparse_kernels
from shortlist.fm.threads import shares


@dataclass(frozen=True, slots=True)
class SparseProduct:
    """Compressed rows, shared out among the threads by how many values they hold. Use within `threads(n)`.

    Attributes:
        indptr: int64 (n_rows + 1,).
        indices: int32 (nnz,).
        values: float32 (nnz,).
        lanes: int64 (n_threads + 1,), where each thread's rows begin.
    """

    indptr: Int64Array
    indices: Int32Array
    values: Float32Array
    lanes: Int64Array

    @classmethod
    def of(cls, matrix: csr_array) -> "SparseProduct":
        lanes = shares(np.diff(matrix.indptr), numba.get_num_threads())
        indices, values = matrix.indices.astype(np.int32), np.ascontiguousarray(matrix.data, np.float32)
        return cls(matrix.indptr.astype(np.int64), indices, values, lanes)

    def times(self, dense: Float32Array) -> Float32Array:
        """float32 (n_rows, d) from dense (n_columns, d)."""
        rows = np.ascontiguousarray(dense)
        product: Float32Array = sparse_kernels.times(self.indptr, self.indices, self.values, self.lanes, rows)
        return product
