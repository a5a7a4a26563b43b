"""Feature matrix and target rows in, the feature's factors out: the share of every row that its features explain."""

from typing import Final

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array
from shortlist.fm.sparse_product import SparseProduct

STEPS: Final = 3  # from the previous epoch's solution; more did not change any metric


class FeatureRidge:
    """min_W  Σ_r λ_r ‖t_r − x_r W‖² + Σ_f Σ_d μ_fd W_fd², improved from the last W by a few conjugate gradient steps.

    λ_r says how good a witness row r is. In training it is the row's regularisation, which grows with its purchases.
    """

    def __init__(
        self,
        features: csr_array,
        row_weights: Float32Array,
        strength: float,
        columns: Float32Array | None = None,
        pulls: Float32Array | None = None,
    ) -> None:
        """μ_fd = strength · mean(λ_r) · pulls_f · columns_d.

        `columns` (d,), None: all 1. `pulls` (f,), None: √(rows that have the feature).
        """
        self.features = features
        transposed = csr_array(features.T)
        if pulls is None:
            pulls = np.sqrt(np.maximum(np.diff(transposed.indptr), 1))
        mean = float(row_weights.mean()) if len(row_weights) else 0.0
        self._ridge: Float32Array = (strength * mean * pulls)[:, None].astype(np.float32)
        if columns is not None:
            self._ridge = self._ridge * columns
        squares = transposed.multiply(transposed)
        self._preconditioner: Float32Array = (1 / (squares @ row_weights[:, None] + self._ridge)).astype(np.float32)
        self._explained = SparseProduct.of(features)
        self._weighted = SparseProduct.of(csr_array(transposed.multiply(row_weights)))

    def improve(self, weights: Float32Array, targets: Float32Array, steps: int = STEPS) -> Float32Array:
        """W after so many more steps, float32 (f, d), from `weights` (f, d) towards `targets` (n, d)."""
        residual = self._weighted.times(targets - self._explained.times(weights)) - self._ridge * weights
        scaled = residual * self._preconditioner
        direction = scaled
        power = _dots(residual, scaled)
        for _ in range(steps):
            image = self._weighted.times(self._explained.times(direction)) + self._ridge * direction
            length = _ratio(power, _dots(direction, image))
            weights = weights + length * direction
            residual = residual - length * image
            scaled = residual * self._preconditioner
            before, power = power, _dots(residual, scaled)
            direction = scaled + _ratio(power, before) * direction
        return weights


def self_interaction(features: csr_array, totals: Float32Array, weights: Float32Array) -> Float32Array:
    """½(‖xW‖² − Σ_f x_f² ‖W_f‖²) of every row; `weights` (f, k) are factors alone, `totals` (n, k) is xW."""
    norms = np.einsum("fk,fk->f", weights, weights)
    alone = csr_array((features.data**2, features.indices, features.indptr), shape=features.shape) @ norms
    crossed: Float32Array = (np.einsum("rk,rk->r", totals, totals) - alone) / 2
    return crossed


def _dots(a: Float32Array, b: Float32Array) -> Float32Array:
    dots: Float32Array = np.einsum("fd,fd->d", a, b)
    return dots


def _ratio(a: Float32Array, b: Float32Array) -> Float32Array:
    """a / b, b >= 0; 0 where both are."""
    return np.divide(a, np.maximum(b, np.finfo(np.float32).tiny), dtype=np.float32)
