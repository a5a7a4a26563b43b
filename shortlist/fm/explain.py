"""Users' purchases and some listed items in, what each purchase adds to each item's score out. numpy only.

The user's row is where the gradient of its least squares is zero, S u = Σ_j c_j (t_j − v_jᵀu) v_j + λ_u m_u + pull
with S = α₀ Σ v vᵀ + λ_u, so the score is a sum over the purchases and what is known without them:

    a_u · a_i + ρ = Σ_j c_j (t_j − v_jᵀu) v_iᵀS⁻¹v_j  +  λ_u v_iᵀS⁻¹m_u  +  (b_i + v_iᵀS⁻¹ pull)  +  ρ(u, i)
                    purchases                           features            base                     repeat

(representer theorem: Schölkopf, Herbrich, Smola 2001; named for explanations by Yeh et al. 2018). Base is the score for
somebody without purchases and features, base and features together that for the user had they bought nothing.

`explain` does so for one user, as it is written here; `Explainer` for many: S is diagonal in the basis of Σ v vᵀ, which
leaves one small matrix product a user. explain.c makes it, and numpy where that was not compiled, to the last bit.

Factors beside those that were solved so (shortlist.fm.spectral) are left out: a score is that of the others alone.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from shortlist.compiled_scan import library
from shortlist.contracts.arrays import Float32Array, Int32Array, Int64Array
from shortlist.fm.fold_in import RowSolver
from shortlist.scan import address, tiles_here
from shortlist.topx import available_cores

USERS_PER_CALL: Final = 256
CELLS_AT_ONCE: Final = 1_000_000
"""Bound on memory of numpy: cells of the largest array of a block of users, who have about as many purchases."""
ROUNDED_UP: Final = np.float32(1.001)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The parts of the scores of n listed items for one user; they add up to the score.

    Attributes:
        purchases: float32 (n, n_bought), of each seen item of the user; an item's own earlier purchases among them.
        features: float32 (n,), of the user's features.
        base: float32 (n,), of the item for somebody without purchases and features: its bias, mostly.
        repeat: float32 (n,), ρ; 0 for items that the user has not bought.
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
    latent: Float32Array,
    prior: Float32Array,
    listed: Int32Array,
) -> Explanation:
    """Take apart the scores of `listed` for one user.

    Args:
        solver: of the users (`RowSolver.for_users`).
        items: item latent matrix (n_items, D + 1), of which the first d factors are the solver's, the last the bias.
        bought: the user's seen items (n_bought,), ascending.
        confidence: of each as trained (n_bought,).
        repeat: ρ of each (n_bought,).
        latent, prior: the user's row and prior row (D + 1,).
        listed: item rows (n,).
    """
    strength = solver.strength(len(bought))
    without_purchases = solver.shared + strength * np.eye(len(solver.shared))
    d = solver.fixed.shape[1]
    ahead = np.linalg.solve(without_purchases, items[listed, :d].T.astype(np.float64)).T
    missing = confidence * (solver.wanted[bought] - solver.fixed[bought] @ latent[:d])
    place = np.minimum(np.searchsorted(bought, listed), max(len(bought) - 1, 0))
    again = bought[place] == listed if len(bought) else np.zeros(len(listed), np.bool_)
    return Explanation(
        purchases=((ahead @ solver.fixed[bought].T) * missing).astype(np.float32),
        features=(strength * (ahead @ prior[:d])).astype(np.float32),
        base=(items[listed, -1] + ahead @ solver.pull).astype(np.float32),
        repeat=np.where(again, repeat[place] if len(bought) else 0, 0).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class Explanations:
    """The parts of the scores of n listed items for each user; a place without an item holds anything.

    Attributes:
        purchase: int32 (n_users, n), item row of the purchase that adds most, −1 where none adds anything. Only those
            count that the user's row predicts too little of: the others are no reason to like anything.
        purchases, features, base: float32 (n_users, n), as in Explanation, purchases together.
    """

    purchase: Int32Array
    purchases: Float32Array
    features: Float32Array
    base: Float32Array


class _Items(ctypes.Structure):
    _fields_ = (
        ("n_dims", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("rows", "spans", "wanted", "shared", "pull")),
    )


class _Users(ctypes.Structure):
    _fields_ = (
        ("n_places", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("from", "bought", "weight", "strength")),
        *((name, ctypes.c_void_p) for name in ("own", "length", "prior", "listed")),
    )


@dataclass(frozen=True, slots=True)
class _Rows:
    """What both ways of explaining read of the users; their rows are in the basis in which S is diagonal.

    Attributes:
        indptr, bought, weight: purchases as CSR.
        strength: float32 (n_users,), λ_u.
        own, prior: float32 (n_users, d).
        listed: int32 (n_users, n).
    """

    indptr: Int64Array
    bought: Int32Array
    weight: Float32Array
    strength: Float32Array
    own: Float32Array
    prior: Float32Array
    listed: Int32Array


class Explainer:
    """Takes scores apart for many users."""

    def __init__(self, solver: RowSolver, items: Float32Array) -> None:
        """`solver` of the users, `items` the item latent matrix (n_items, D + 1)."""
        self._solver = solver
        self._bias = items[:, -1]
        values, basis = np.linalg.eigh(solver.shared)
        self._basis = basis.astype(np.float32)
        self._shared = values.astype(np.float32)
        self._pull = (solver.pull @ basis).astype(np.float32)
        self._turned = np.ascontiguousarray(solver.fixed @ self._basis)
        self._wanted = np.ascontiguousarray(solver.wanted)
        length = ROUNDED_UP * np.linalg.norm(self._turned, axis=1)
        self._spans = np.stack([length * self._wanted, length * length], axis=1).astype(np.float32)

    def explain_all(
        self,
        indptr: Int64Array,
        item_rows: Int32Array,
        confidence: Float32Array,
        latent: Float32Array,
        prior: Float32Array,
        listed: Int32Array,
        *,
        threads: int | None = None,
    ) -> Explanations:
        """Every user of the CSR `indptr`, `item_rows` (ascending), `confidence`.

        Args:
            latent, prior: float32 (n_users, D + 1).
            listed: int32 (n_users, n), item rows of each, −1 for none.
            threads: users at work at the same time; as many as there are cores where None.
        """
        counts, of_user = np.unique(np.diff(indptr), return_inverse=True)
        strength = np.array([self._solver.strength(int(n)) for n in counts], np.float32)[of_user]
        with threadpool_limits(1, user_api="blas"):
            own, told = (np.ascontiguousarray(rows[:, : len(self._basis)] @ self._basis) for rows in (latent, prior))
        weight, bought = np.ascontiguousarray(confidence, np.float32), np.ascontiguousarray(item_rows, np.int32)
        rows = _Rows(
            np.ascontiguousarray(indptr, np.int64), bought, weight, strength, own, told, listed.astype(np.int32)
        )
        purchase = np.full(listed.shape, -1, np.int32)
        parts = np.zeros((len(listed), 3, listed.shape[1]), np.float32)
        compiled = library()
        if compiled and tiles_here():  # whatever has a tile has what explain.c is compiled for
            self._by_c(compiled, rows, purchase, parts, threads or available_cores())
        else:
            self._by_numpy(rows, purchase, parts)
        return Explanations(purchase, parts[:, 0], parts[:, 1], self._bias[listed] + parts[:, 2])

    def _by_c(
        self, compiled: ctypes.CDLL, rows: _Rows, purchase: Int32Array, parts: Float32Array, workers: int
    ) -> None:
        n_dims, most_bought = len(self._shared), int(np.diff(rows.indptr).max(initial=0))
        tables = (self._turned, self._spans, self._wanted, self._shared, self._pull)
        items = _Items(n_dims, *map(address, tables))
        length = ROUNDED_UP * np.linalg.norm(rows.own, axis=1).astype(np.float32)
        purchases = (rows.indptr, rows.bought, rows.weight, rows.strength)
        users = _Users(purchase.shape[1], *map(address, (*purchases, rows.own, length, rows.prior, rows.listed)))
        n_bytes = compiled.explain_bytes(ctypes.c_int64(n_dims), ctypes.c_int64(most_bought))

        def work(start: int) -> None:
            workspace = np.empty(n_bytes // 4, np.float32)
            part = (start, min(start + USERS_PER_CALL, len(purchase)))
            outputs = map(address, (workspace, purchase, parts))
            compiled.explain(ctypes.byref(items), ctypes.byref(users), *map(ctypes.c_int64, part), *outputs)

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, range(0, len(purchase), USERS_PER_CALL)))

    def _by_numpy(self, rows: _Rows, purchase: Int32Array, parts: Float32Array) -> None:
        """In blocks of users with about as many purchases."""
        counts = np.diff(rows.indptr)
        order = np.argsort(counts, kind="stable")
        cells = np.maximum(counts[order], len(self._shared)) * max(purchase.shape[1], 1)
        start = 0
        while start < len(order):
            block_cells = np.arange(1, len(order) - start + 1) * cells[start:]
            stop = start + max(int(np.searchsorted(block_cells, CELLS_AT_ONCE)), 1)
            self._block(order[start:stop], rows, purchase, parts)
            start = stop

    def _block(self, users: Int64Array, rows: _Rows, purchase: Int32Array, parts: Float32Array) -> None:
        counts = rows.indptr[users + 1] - rows.indptr[users]
        held = np.arange(max(int(counts.max()), 1)) < counts[:, None]
        entries = (rows.indptr[users][:, None] + np.arange(held.shape[1]))[held]
        bought, weight = np.full(held.shape, -1, np.int32), np.zeros(held.shape, np.float32)
        bought[held], weight[held] = rows.bought[entries], rows.weight[entries]
        diagonal: Float32Array = self._shared + rows.strength[users, None]
        own, turned = rows.own[users, None], self._turned[bought]
        missing = weight * (self._wanted[bought] - _products(turned, own)[:, :, 0])
        ahead = self._turned[rows.listed[users]] * (np.float32(1) / diagonal)[:, None]
        adds = _products(turned, ahead) * np.maximum(missing, 0)[:, :, None]
        best = adds.argmax(axis=1)
        adding = np.take_along_axis(adds, best[:, None], axis=1)[:, 0] > 0
        purchase[users] = np.where(adding, np.take_along_axis(bought, best, axis=1), -1)
        pull = np.broadcast_to(self._pull, own.shape)
        told = np.concatenate([own * diagonal[:, None], rows.prior[users, None], pull], axis=1)
        whole, features, base = _products(told, ahead).transpose(1, 0, 2)
        features = rows.strength[users, None] * features
        parts[users] = np.stack([whole - features - base, features, base], axis=1)


def _products(rows: Float32Array, columns: Float32Array) -> Float32Array:
    """float32 (b, m, n): of (b, m, d) and (b, n, d), added up in the order of the dimensions, as explain.c does."""
    sums = np.zeros((len(rows), rows.shape[1], columns.shape[1]), np.float32)
    for dim in range(rows.shape[2]):
        sums += rows[:, :, None, dim] * columns[:, None, :, dim]
    return sums
