"""A factorization machine and feature rows in; inner-product rows out: y(u, i) = c_u + a_u · a_i, exactly.

With the user's part x_u and the item's part x_i of an FM row x (docs/fm.md):

    a_u = (Vᵀx_u, 1)                 a_i = (Vᵀx_i, w·x_i + ½(‖Vᵀx_i‖² − Σ_f ‖v_f‖² x_f²))
    c_u = b + w·x_u + ½(‖Vᵀx_u‖² − Σ_f ‖v_f‖² x_f²)

The halves are the interactions within one side. An item's own must stay with the item: they order the list.
"""

import numpy as np

from shortlist.contracts.arrays import Float32Array
from shortlist.fm.model import FactorModel, Side
from shortlist.fm.sparse import CsrLike, SparseRows


def item_latent(model: FactorModel, features: CsrLike | None = None) -> Float32Array:
    """Rows a_i, float32 (n_items, n_factors + 1), for every item the model was trained with."""
    factors, offset = _totals(model.items, features)
    return np.column_stack([factors, offset])


def user_latent(model: FactorModel, features: CsrLike | None = None) -> Float32Array:
    """Rows a_u, float32 (n_users, n_factors + 1), for every user the model was trained with; the last column is 1."""
    factors, _ = _totals(model.users, features)
    return np.column_stack([factors, np.ones(len(factors), np.float32)])


def user_offset(model: FactorModel, features: CsrLike | None = None) -> Float32Array:
    """c_u, float32 (n_users,): the part of the score that cannot change the order of a user's list."""
    _, offset = _totals(model.users, features)
    return (offset + model.bias).astype(np.float32)


def item_prior(model: FactorModel, features: CsrLike) -> Float32Array:
    """Rows a_i of items known by their features alone, float32 (n_rows, n_factors + 1)."""
    factors, offset = feature_totals(model.items, features)
    return np.column_stack([factors, offset])


def user_prior(model: FactorModel, features: CsrLike) -> Float32Array:
    """Rows a_u of users known by their features alone, float32 (n_rows, n_factors + 1); the last column is 1."""
    factors, _ = feature_totals(model.users, features)
    return np.column_stack([factors, np.ones(len(factors), np.float32)])


def feature_totals(side: Side, features: CsrLike) -> tuple[Float32Array, Float32Array]:
    """What the features say without the id: Vᵀx (n_rows, k), and w·x with the features' interactions (n_rows,)."""
    rows = SparseRows.of(features)
    factors = rows.times(side.feature_factors)
    squares = rows.squared().times(_squared_norms(side.feature_factors))
    offset = rows.times(side.feature_weights) + (_squared_norms(factors) - squares) * np.float32(0.5)
    return factors, offset


def _totals(side: Side, features: CsrLike | None) -> tuple[Float32Array, Float32Array]:
    """As feature_totals, the id included; an id alone has nothing to interact with."""
    if features is None or features.shape[1] == 0:
        return side.factors, side.weights
    from_features, offset = feature_totals(side, features)
    crossed = np.einsum("rk,rk->r", side.factors, from_features)
    return side.factors + from_features, side.weights + offset + crossed


def _squared_norms(rows: Float32Array) -> Float32Array:
    norms: Float32Array = np.einsum("rk,rk->r", rows, rows)
    return norms
