"""Somebody's purchases and prior in, their latent row out, the other side being fixed: users or items between two runs.

The row is the minimum of the training objective for that row alone (shortlist/fm/als.py), solved exactly. Training ends
with the same step for all users, so folding a trained user in gives the row they have. numpy only.
"""

from dataclasses import dataclass

import numpy as np

from shortlist.contracts.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from shortlist.errors import DatasetError
from shortlist.fm.storage import Settings


@dataclass(frozen=True, slots=True)
class RowSolver:
    """The part of a row's least squares problem that all rows share.

    Attributes:
        fixed: float32 (n_other, d), rows of the other side.
        wanted: float32 (n_other,), what a row's product with each observed one should be.
        shared: float64 (d, d), α₀ Σ h hᵀ over all rows of the other side.
        pull: float64 (d,), what all unobserved pairs ask of a row without purchases.
        unobserved_weight, regularization, regularization_exponent: α₀, λ, ν as trained.
    """

    fixed: Float32Array
    wanted: Float32Array
    shared: Float64Array
    pull: Float64Array
    unobserved_weight: float
    regularization: float
    regularization_exponent: float

    @classmethod
    def for_users(cls, items: Float32Array, settings: Settings) -> "RowSolver":
        """Solve users' rows given the item latent matrix; `settings` are those of the model.

        Of the factors the first `n_factors` of the settings: those beside them (shortlist.fm.spectral) are no solution.

        Raises:
            DatasetError: the model was trained with the softmax loss, for which a row is no such solution.
        """
        n_factors = int(settings.get("n_factors") or items.shape[1] - 1)
        return cls._of(items[:, :n_factors], items[:, -1], settings)

    @classmethod
    def for_items(cls, users: Float32Array, settings: Settings) -> "RowSolver":
        """Solve items' rows given the user latent matrix."""
        return cls._of(users, np.zeros(len(users), np.float32), settings)

    @classmethod
    def _of(cls, fixed: Float32Array, offset: Float32Array, settings: Settings) -> "RowSolver":
        if settings.get("loss") == "softmax":
            raise DatasetError('The softmax loss folds nobody in. Train with loss="squared" for rows between two runs.')
        alpha, strength, exponent = (
            float(settings[name] or 0) for name in ("unobserved_weight", "regularization", "regularization_exponent")
        )
        gram = (fixed.T @ fixed).astype(np.float64)
        pull = -(offset @ fixed).astype(np.float64)
        return cls(fixed, 1 - offset, alpha * gram, alpha * pull, alpha, strength, exponent)

    def strength(self, n_observed: int) -> float:
        """λ_r of a row with so many purchases."""
        pull = n_observed + self.unobserved_weight * len(self.fixed)
        return float(self.regularization * pull**self.regularization_exponent)

    def system(self, rows: Int32Array, confidence: Float32Array) -> Float64Array:
        """The matrix of the row's normal equations, float64 (d, d)."""
        observed = self.fixed[rows]
        own = (observed * confidence[:, None]).T @ observed
        matrix: Float64Array = self.shared + own
        matrix[np.diag_indices_from(matrix)] += self.strength(len(rows))
        return matrix

    def solve(self, rows: Int32Array, confidence: Float32Array, prior: Float32Array | None = None) -> Float32Array:
        """One row, float32 (d,). `prior` (d,) is what its features say; None: nothing is known."""
        goal = self.pull + (confidence * self.wanted[rows]) @ self.fixed[rows]
        if prior is not None:
            goal = goal + self.strength(len(rows)) * prior
        return np.linalg.solve(self.system(rows, confidence), goal).astype(np.float32)


def fold_in_users(
    solver: RowSolver, indptr: Int64Array, item_rows: Int32Array, confidence: Float32Array, prior: Float32Array
) -> Float32Array:
    """Rows a_u of users by their purchases (CSR) and their prior rows, of which those factors stay that are not solved.

    All rows are float32 (n, n_factors + 1) of the model.
    """
    latent, d = prior.copy(), solver.fixed.shape[1]
    for user in range(len(indptr) - 1):
        pairs = slice(indptr[user], indptr[user + 1])
        latent[user, :d] = solver.solve(item_rows[pairs], confidence[pairs], prior[user, :d])
    return latent
