"""Compressed sparse rows in numpy alone: feature rows and a dense matrix in, their product out, without SciPy."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shortlist.contracts.arrays import Float32Array, Int32Array, Int64Array

BLOCK_NUMBERS: Final = 1 << 18  # of a product that are made at a time: they stay in the cache until they are whole
PLACES: Final = 64  # of a row whose terms are added together with those of other rows; longer rows go on by themselves


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
        n_rows, width = self.shape[0], columns.shape[1]
        product = np.zeros((n_rows, width), np.float32)
        step = BLOCK_NUMBERS // (width + 1) + 1
        for start in range(0, n_rows, step):
            stop = min(start + step, n_rows)
            self.rows(start, stop)._add_to(product[start:stop], columns)
        return product.reshape((n_rows, *dense.shape[1:]))

    def _add_to(self, sums: Float32Array, columns: Float32Array) -> None:
        """All rows' first terms, then all second ones: numpy sums runs of unequal length ten times slower."""
        counts = np.diff(self.indptr)
        for place in range(min(int(counts.max(initial=0)), PLACES)):
            rows = np.flatnonzero(counts > place)
            at = self.indptr[rows] + place
            sums[rows] += columns[self.indices[at]] * self.data[at, None]
        for row in np.flatnonzero(counts > PLACES):
            rest = slice(self.indptr[row] + PLACES, self.indptr[row + 1])
            sums[row] += np.einsum("n,nd->d", self.data[rest], columns[self.indices[rest]])
