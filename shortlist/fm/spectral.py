"""Purchases in, a second pair of latent rows out: what people with alike purchases have bought lately.

    A = D_u⁻¹ C D_i^−p ≈ Q Σ Pᵀ        C what users are learned from; D_i the buyers of items, D_u rows of length 1
    s_ui = Σ_v [Q Σ² (Σ² + σ_k²)⁻¹ Qᵀ]_uv c'_vi                     C' what items are learned from

A user is what the k leading singular vectors of the purchases say, after EigenRec (Nikolakopoulos et al. 2019), and an
item the sum of its buyers: kernel ridge regression over users, cut to k dimensions. Nothing is fitted to the pairs
one by one, so it errs in other places than the factorization machine, and both together err less (docs/fm.md).
"""

from dataclasses import replace
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array
from shortlist.fm.model import FactorModel, Side
from shortlist.fm.ridge import FeatureRidge, self_interaction
from shortlist.fm.sparse_product import SparseProduct
from shortlist.fm.threads import Threads

POPULARITY_EXPONENT: Final = 0.3
"""p above: what many buy says less of anybody."""
ROWS_PER_FACTOR: Final = 8
FEATURE_REGULARIZATION: Final = 3.0
FEATURE_STEPS: Final = 6
WEIGHT: Final = 0.5
"""Of .35 to 2 the best on five validation windows of the groceries (docs/fm.md)."""
ROUNDS: Final = 6
LEAST_VALUE: Final = 1e-10
"""Of an eigenvalue of a Gramian, relative to the largest."""
SPARE: Final = 16
"""Subspace iteration (Halko, Martinsson, Tropp 2011): so often, with so many dimensions more than are kept."""


def spectral_rows(
    for_users: csr_array, for_items: csr_array, n_factors: int, *, seed: int, crew: Threads
) -> tuple[Float32Array, Float32Array]:
    """Rows of users (n_users, k) and items (n_items, k), float32.

    Args:
        for_users, for_items: confidences (n_users, n_items), > 0.
        n_factors: k; less where a factor would have under ROWS_PER_FACTOR users or items: nothing would be smoothed.
        seed: of the first subspace.
        crew: does the products; the result is the same whatever their number.
    """
    k = min(n_factors, min(for_users.shape) // ROWS_PER_FACTOR)
    if not k:
        nobody, nothing = (np.zeros((n, 0), np.float32) for n in for_users.shape)
        return nobody, nothing
    basis, squares = _leading(_profiles(for_users), k, seed, crew)
    least = np.maximum(squares[-1:], np.finfo(np.float32).tiny)
    users: Float32Array = basis * np.sqrt(squares / (squares + least))
    return users, SparseProduct.of(csr_array(for_items.T)).times(users)


def beside(
    model: FactorModel,
    users: Float32Array,
    items: Float32Array,
    item_features: csr_array | None = None,
    *,
    crew: Threads,
    weight: float = WEIGHT,
) -> FactorModel:
    """The machine whose scores are those of `model` plus the products of these rows, exactly.

    The rows are scaled to scores `weight` times as large as those of the machine, in the mean square over all pairs of
    the products of ids' factors, and their share of a row's length is the same on both sides. The machine's own factors
    stay what they were, the new ones stand behind them. Of an item that nobody has bought the new ones are, like its
    own, what its features say (`item_features`, those of training): the ridge regression of the others' rows.
    """
    if not items.shape[1]:
        return model
    ours, theirs = (
        [crew.gram(rows) for rows in sides] for sides in ((model.users.factors, model.items.factors), (users, items))
    )
    whole = weight * _ratio(float(np.vdot(*ours)), float(np.vdot(*theirs)))
    lengths = [_ratio(float(mine.trace()), float(new.trace())) for mine, new in zip(ours, theirs, strict=True)]
    tilt = _ratio(*lengths)
    scales = np.float32(np.sqrt(whole) * tilt), np.float32(np.sqrt(whole) * _ratio(1.0, tilt**2))
    joined = replace(model, users=_wider(model.users, users * scales[0]), items=_wider(model.items, items * scales[1]))
    if item_features is None or not len(model.items.feature_factors):
        return joined
    return replace(joined, items=_explained(joined, items.shape[1], item_features))


def _wider(side: Side, rows: Float32Array) -> Side:
    nothing = np.zeros((len(side.feature_factors), rows.shape[1]), np.float32)
    return replace(
        side, factors=np.hstack([side.factors, rows]), feature_factors=np.hstack([side.feature_factors, nothing])
    )


def _explained(joined: FactorModel, n_new: int, features: csr_array) -> Side:
    """The items' side with the new factors of ids divided into features and ids; rows of bought items stay."""
    side = joined.items
    rows = side.factors[:, -n_new:]
    ridge = FeatureRidge(features, np.ones(len(rows), np.float32), FEATURE_REGULARIZATION)
    found = ridge.improve(np.zeros((features.shape[1], n_new), np.float32), rows, FEATURE_STEPS)
    told = SparseProduct.of(features).times(found)
    # What features do to each other is no part of any score: the linear weights take away what they can of it, and
    # those of ids the rest, with what features do to the id.
    among = self_interaction(features, told, found)
    linear = ridge.improve(np.zeros((features.shape[1], 1), np.float32), -among[:, None], FEATURE_STEPS)[:, 0]
    own = rows - told
    rest = features @ linear + among + np.einsum("nk,nk->n", own, told)
    bought = rows.any(axis=1)
    factors, feature_factors = side.factors.copy(), side.feature_factors.copy()
    factors[bought, -n_new:] = own[bought]
    feature_factors[:, -n_new:] = found
    return Side(factors, side.weights - np.where(bought, rest, 0), feature_factors, side.feature_weights + linear)


def _ratio(of: float, to: float) -> float:
    """√(of / to); 0 where there is nothing."""
    return float(np.sqrt(of / to)) if to > 0 else 0.0


def _profiles(pairs: csr_array) -> csr_array:
    """A: rows of length 1, or of zeros."""
    buyers = np.bincount(pairs.indices, minlength=pairs.shape[1]) + 1.0
    data = pairs.data * buyers[pairs.indices] ** -POPULARITY_EXPONENT
    rows = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    lengths = np.sqrt(np.bincount(rows, data**2, minlength=pairs.shape[0]))
    return csr_array(((data / lengths[rows]).astype(np.float32), pairs.indices, pairs.indptr), shape=pairs.shape)


def _leading(matrix: csr_array, n: int, seed: int, crew: Threads) -> tuple[Float32Array, Float32Array]:
    """The leading left singular vectors (n_rows, n) and the squares of their singular values (n,)."""
    forth, back = SparseProduct.of(matrix), SparseProduct.of(csr_array(matrix.T))
    width = min(n + SPARE, *matrix.shape)
    start = np.random.default_rng(seed).standard_normal((matrix.shape[1], width), np.float32)
    basis = _orthonormal(forth.times(start), crew)
    for _ in range(ROUNDS):
        basis = _orthonormal(forth.times(back.times(basis)), crew)
    values, turn = np.linalg.eigh(crew.gram(back.times(basis)))
    kept = np.argsort(-values)[:n]
    return basis @ turn[:, kept].astype(np.float32), np.maximum(values[kept], 0).astype(np.float32)


def _orthonormal(rows: Float32Array, crew: Threads) -> Float32Array:
    """The same columns' space, in place; directions in which there is next to nothing are zeros.

    By the Gramian: a twentieth of the time of a QR decomposition, and in a space that is nearly invariant as exact.
    """
    values, turn = np.linalg.eigh(crew.gram(rows))
    there = values > LEAST_VALUE * values[-1:]
    crew.rotate(rows, (turn * np.where(there, 1 / np.sqrt(np.where(there, values, 1)), 0)).astype(np.float32))
    return rows
