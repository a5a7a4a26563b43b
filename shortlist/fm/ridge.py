"""Feature matrix and target rows in, the feature's factors out: the share of every row that its features explain."""

from typing import Final

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array

STEPS: Final = 3  # from the previous epoch's solution; more did not change any metric


class FeatureRidge:
    """min_W  Σ_r λ_r ‖t_r − x_r W‖² + Σ_f μ_f ‖W_f‖², improved from the last W by a few conjugate gradient steps.

    λ_r is the regularisation of row r, so a row that is seen often is also the better witness.
    """

    def __init__(self, features: csr_array, row_regularization: Float32Array, strength: float) -> None:
        """`strength` scales μ_f = strength · mean(λ_r) · √(rows that have the feature)."""
        self.features = features
        self._transposed = csr_array(features.T)
        self._rows = row_regularization[:, None]
        counts = np.diff(self._transposed.indptr)
        mean = float(row_regularization.mean()) if len(row_regularization) else 0.0
        self._ridge = (strength * mean * np.sqrt(np.maximum(counts, 1)))[:, None].astype(np.float32)
        squares = self._transposed.multiply(self._transposed)
        self._diagonal = (squares @ self._rows + self._ridge).astype(np.float32)

    def improve(self, weights: Float32Array, targets: Float32Array) -> Float32Array:
        """W after STEPS more steps, float32 (f, d), from `weights` (f, d) towards `targets` (n, d)."""
        residual = self._transposed @ (self._rows * (targets - self.features @ weights)) - self._ridge * weights
        scaled = residual / self._diagonal
        direction = scaled
        power = _dots(residual, scaled)
        for _ in range(STEPS):
            image = self._transposed @ (self._rows * (self.features @ direction)) + self._ridge * direction
            length = power / np.maximum(_dots(direction, image), np.finfo(np.float32).tiny)
            weights = weights + length * direction
            residual = residual - length * image
            scaled = residual / self._diagonal
            before, power = power, _dots(residual, scaled)
            direction = scaled + (power / np.maximum(before, np.finfo(np.float32).tiny)) * direction
        return weights


def _dots(a: Float32Array, b: Float32Array) -> Float32Array:
    dots: Float32Array = np.einsum("fd,fd->d", a, b)
    return dots
