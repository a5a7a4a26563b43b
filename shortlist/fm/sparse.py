"""Compressed sparse rows in numpy alone: feature rows and a dense matrix in, their product out, without SciPy."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shortlist.contracts.arrays import Float32Array, Int32Array, Int64Array

BLOCK_ROWS = 16_384  # the gathered factors of a block stay near 100 MB at 256 factors and six features a row


class CsrLike(Protocol):
    """A matrix in compressed rows: scipy.sparse.csr_array and csr_matrix, or SparseRows."""

    @property
    def indptr(self) -> NDArray[np.integer]: ...
    @property
    def indices(self) -> NDArray[np.integer]: ...
    @property
    def data(self) -> NDArray[np.floating]: ...
    @property
    def shape(self) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True)
class SparseRows:
    """Row r holds `data[indptr[r]:indptr[r+1]]` in the columns `indices[...]`.

    Attributes:
        indptr: int64 (n_rows + 1,).
        indices: int32 (nnz,).
        data: float32 (nnz,).
        n_columns: width of the matrix.
    """

    indptr: Int64Array
    indices: Int32Array
    data: Float32Array
    n_columns: int

    @classmethod
    def of(cls, matrix: CsrLike) -> "SparseRows":
        return cls(
            np.asarray(matrix.indptr, np.int64),
            np.asarray(matrix.indices, np.int32),
            np.asarray(matrix.data, np.float32),
            matrix.shape[1],
        )

    @classmethod
    def empty(cls, n_rows: int, n_columns: int = 0) -> "SparseRows":
        """A matrix of zeros: rows of which no feature is known."""
        return cls(np.zeros(n_rows + 1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), n_columns)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.indptr) - 1, self.n_columns

    def rows(self, start: int, stop: int) -> "SparseRows":
        a, b = self.indptr[start], self.indptr[stop]
        return SparseRows(self.indptr[start : stop + 1] - a, self.indices[a:b], self.data[a:b], self.n_columns)

    def squared(self) -> "SparseRows":
        """The same places, each value squared."""
        return SparseRows(self.indptr, self.indices, self.data * self.data, self.n_columns)

    def times(self, dense: Float32Array) -> Float32Array:
        """The product with a dense (n_columns, d) or (n_columns,) array, as float32."""
        columns = dense.reshape(self.n_columns, -1)
        product = np.zeros((self.shape[0], columns.shape[1]), np.float32)
        for start in range(0, self.shape[0], BLOCK_ROWS):
            block = self.rows(start, min(start + BLOCK_ROWS, self.shape[0]))
            filled = np.flatnonzero(np.diff(block.indptr))
            if filled.size:
                terms = columns[block.indices] * block.data[:, None]
                product[start + filled] = np.add.reduceat(terms, block.indptr[filled], axis=0)
        return product.reshape((self.shape[0], *dense.shape[1:]))
