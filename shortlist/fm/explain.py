"""Users' purchases and some listed items in, what each purchase adds to each item's score out. numpy only.

The user's row is linear in the purchases, u = A⁻¹(Σ_j c_j t_j v_j + λ_u m_u + pull), so the score is a sum over them:

    a_u · a_i + γ r = Σ_j v_iᵀA⁻¹v_j c_j t_j  +  λ_u v_iᵀA⁻¹m_u  +  (b_i + v_iᵀA⁻¹ pull)  +  γ r(u, i)
                      purchases                  features           base                    repeat

`explain` does so for one user, as it is written here; `Explainer` for many at once. With A = S + HᵀCH, where H are the
rows of the purchases and S is diagonal in the basis of Σ v vᵀ, those with few purchases need a system of their number
only (Woodbury 1950): V A⁻¹ Hᵀ = X with (I + GC) Xᵀ = Kᵀ, G = H S⁻¹ Hᵀ, K = V S⁻¹ Hᵀ, and for any z
V A⁻¹ z = V S⁻¹ z − X C H S⁻¹ z.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from shortlist.contracts.arrays import Float32Array, Int32Array, Int64Array
from shortlist.fm.fold_in import RowSolver

CELLS_AT_ONCE: Final = 250_000
"""Bound on memory: cells of the largest array of a block of users, who have about as many purchases."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The parts of the scores of n listed items for one user; they add up to the score.

    Attributes:
        purchases: float32 (n, n_bought), of each seen item of the user; an item's own earlier purchases among them.
        features: float32 (n,), of the user's features.
        base: float32 (n,), of the item for somebody without purchases and features: its bias, mostly.
        repeat: float32 (n,), γ r; 0 for items that the user has not bought.
    """

    purchases: Float32Array
    features: Float32Array
    base: Float32Array
    repeat: Float32Array

    @property
    def scores(self) -> Float32Array:
        purchases: Float32Array = self.purchases.sum(1)
        return purchases + self.features + self.base + self.repeat


def explain(
    solver: RowSolver,
    items: Float32Array,
    bought: Int32Array,
    confidence: Float32Array,
    repeat: Float32Array,
    prior: Float32Array,
    listed: Int32Array,
) -> Explanation:
    """Take apart the scores of `listed` for one user.

    Args:
        solver: of the users (`RowSolver.for_users`).
        items: item latent matrix (n_items, d + 1).
        bought: the user's seen items (n_bought,), ascending.
        confidence: of each as trained (n_bought,).
        repeat: γ r of each (n_bought,).
        prior: the user's prior row (d + 1,).
        listed: item rows (n,).
    """
    ahead = np.linalg.solve(solver.system(bought, confidence), items[listed, :-1].T.astype(np.float64)).T
    purchases = (ahead @ solver.fixed[bought].T) * (confidence * solver.wanted[bought])
    place = np.minimum(np.searchsorted(bought, listed), max(len(bought) - 1, 0))
    again = bought[place] == listed if len(bought) else np.zeros(len(listed), np.bool_)
    return Explanation(
        purchases=purchases.astype(np.float32),
        features=(solver.strength(len(bought)) * (ahead @ prior[:-1])).astype(np.float32),
        base=(items[listed, -1] + ahead @ solver.pull).astype(np.float32),
        repeat=np.where(again, repeat[place] if len(bought) else 0, 0).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class Explanations:
    """The parts of the scores of n listed items for each user of a block; a place without an item holds anything.

    Attributes:
        users: int64 (b,), which they are.
        bought: int32 (b, m), their purchases, as many as the largest number among them; others are −1.
        missing: float32 (b, m), by how much the user's row predicts less of each than it should.
        purchases: float32 (b, n, m), zeros there.
        features, base: float32 (b, n).
    """

    users: Int64Array
    bought: Int32Array
    missing: Float32Array
    purchases: Float32Array
    features: Float32Array
    base: Float32Array


class Explainer:
    """Takes scores apart for many users."""

    def __init__(self, solver: RowSolver, items: Float32Array) -> None:
        """`solver` of the users, `items` the item latent matrix (n_items, d + 1)."""
        self._solver = solver
        self._bias = items[:, -1]
        self._values, basis = np.linalg.eigh(solver.shared)
        self._basis = basis.astype(np.float32)
        self._turned = solver.fixed @ self._basis
        self._pull = (solver.pull @ basis).astype(np.float32)

    def explain_all(
        self,
        users: Int64Array,
        indptr: Int64Array,
        item_rows: Int32Array,
        confidence: Float32Array,
        latent: Float32Array,
        prior: Float32Array,
        listed: Int32Array,
    ) -> Iterator[Explanations]:
        """In blocks, in any order.

        Args:
            users: int64 (n_users,), rows of the CSR `indptr`, `item_rows`, `confidence`, of `latent` and of `prior`.
            listed: int32 (n_users, n), item rows of each, −1 for none.
        """
        order = np.argsort(np.diff(indptr)[users], kind="stable")
        n_dims = self._turned.shape[1]
        widths = np.maximum(np.diff(indptr)[users[order]], n_dims)
        start = 0
        while start < len(order):
            cells = np.arange(1, len(order) - start + 1) * widths[start:] * n_dims
            stop = start + max(int(np.searchsorted(cells, CELLS_AT_ONCE)), 1)
            if widths[start] == n_dims:  # systems of purchases, as long as these are fewer than dimensions
                stop = min(stop, int(np.searchsorted(widths, n_dims, side="right")))
            block = order[start:stop]
            yield self._block(users[block], indptr, item_rows, confidence, latent, prior, listed[block])
            start = stop

    def _block(
        self,
        users: Int64Array,
        indptr: Int64Array,
        item_rows: Int32Array,
        confidence: Float32Array,
        latent: Float32Array,
        prior: Float32Array,
        listed: Int32Array,
    ) -> Explanations:
        counts = indptr[users + 1] - indptr[users]
        held = np.arange(max(int(counts.max()), 1)) < counts[:, None]
        entries = (indptr[users][:, None] + np.arange(held.shape[1]))[held]
        bought, weight = np.full(held.shape, -1, np.int32), np.zeros(held.shape, np.float32)
        bought[held], weight[held] = item_rows[entries], confidence[entries]
        rows = self._turned[bought] * held[:, :, None]
        strength = np.array([self._solver.strength(int(n)) for n in counts])
        shared = (self._values + strength[:, None]).astype(np.float32)
        own = prior[users, :-1] @ self._basis
        told = np.stack([own, np.broadcast_to(self._pull, own.shape)], axis=2)
        take_apart = _by_purchases if held.shape[1] <= shared.shape[1] else _by_dimensions
        each, carried = take_apart(rows, weight, shared, self._turned[listed], told)
        predicted = np.matmul(rows, (latent[users, :-1] @ self._basis)[:, :, None])[:, :, 0]
        return Explanations(
            users=users,
            bought=bought,
            missing=self._solver.wanted[bought] - predicted,
            purchases=each * (weight * self._solver.wanted[bought])[:, None, :],
            features=strength[:, None].astype(np.float32) * carried[:, :, 0],
            base=self._bias[listed] + carried[:, :, 1],
        )


def _by_dimensions(
    rows: Float32Array, weight: Float32Array, shared: Float32Array, listed: Float32Array, told: Float32Array
) -> tuple[Float32Array, Float32Array]:
    """V A⁻¹ Hᵀ and V A⁻¹ z for a block of users, by their systems (b, d, d); `shared` is the diagonal of S."""
    system = np.matmul((rows * weight[:, :, None]).transpose(0, 2, 1), rows)
    diagonal = np.arange(shared.shape[1])
    system[:, diagonal, diagonal] += shared
    ahead = np.linalg.solve(system, listed.transpose(0, 2, 1)).transpose(0, 2, 1)
    return np.matmul(ahead, rows.transpose(0, 2, 1)), np.matmul(ahead, told)


def _by_purchases(
    rows: Float32Array, weight: Float32Array, shared: Float32Array, listed: Float32Array, told: Float32Array
) -> tuple[Float32Array, Float32Array]:
    """The same by systems (b, m, m)."""
    ahead, through = listed / shared[:, None, :], rows / shared[:, None, :]
    system = np.matmul(rows, through.transpose(0, 2, 1)) * weight[:, None, :]
    diagonal = np.arange(rows.shape[1])
    system[:, diagonal, diagonal] += 1
    each = np.linalg.solve(system, np.matmul(rows, ahead.transpose(0, 2, 1))).transpose(0, 2, 1)
    carried = np.matmul(ahead, told) - np.matmul(each * weight[:, None, :], np.matmul(through, told))
    return each, carried
