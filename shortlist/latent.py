"""A factorization machine and feature rows in; inner-product rows out: y(u, i) = c_u + a_u · a_i, exactly.

With the user's part x_u and the item's part x_i of an FM row x (docs/fm.md):

    a_u = (Vᵀx_u, 1)                 a_i = (Vᵀx_i, w·x_i + ½(‖Vᵀx_i‖² − Σ_f ‖v_f‖² x_f²))
    c_u = b + w·x_u + ½(‖Vᵀx_u‖² − Σ_f ‖v_f‖² x_f²)

Context (the season, the device) is known when the list is asked for, so it joins the user's part (`in_context`).

The halves are the interactions within one side. An item's own must stay with the item: they order the list.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shortlist.contracts.arrays import Float32Array
from shortlist.fm.model import FactorModel, Side
from shortlist.fm.sparse import CsrLike, SparseRows

BLOCK_PAIRS: Final = 16_384  # of which the rows are gathered at once


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


def in_context(
    model: FactorModel, users: Float32Array, offset: Float32Array, context: CsrLike | None
) -> tuple[Float32Array, Float32Array]:
    """Rows a_u and c_u of users as they are in a context, row by row: the query of that user at that moment.

    With x_c the context and a_u = (Vᵀx_u, 1), c_u of the user alone: a = (Vᵀx_u + Vᵀx_c, 1) and
    c = c_u + w·x_c + <Vᵀx_u, Vᵀx_c> + ½(‖Vᵀx_c‖² − Σ_f ‖v_f‖² x_f²).

    Args:
        model: the machine.
        users: float32 (n, n_factors + 1), from `user_latent`.
        offset: float32 (n,), from `user_offset`.
        context: CSR (n, f); None or a model without context changes nothing.
    """
    if context is None or model.context is None:
        return users, offset
    factors, own = feature_totals(model.context, context)
    crossed = np.einsum("nk,nk->n", users[:, :-1], factors)
    return np.column_stack([users[:, :-1] + factors, users[:, -1]]), offset + own + crossed


def pair_scores(
    model: FactorModel,
    users: Float32Array,
    offset: Float32Array,
    items: Float32Array,
    user_rows: NDArray[np.integer],
    item_rows: NDArray[np.integer],
    context: CsrLike | None = None,
) -> Float32Array:
    """y of pairs of rows, float32 (n,); `users`, `offset`, `items` are those of everybody, `context` of the pairs."""
    whole = None if context is None else SparseRows.of(context)
    scores = np.empty(len(user_rows), np.float32)
    for start in range(0, len(scores), BLOCK_PAIRS):
        block = slice(start, min(start + BLOCK_PAIRS, len(scores)))
        moment = None if whole is None else whole.rows(block.start, block.stop)
        a_u, c_u = in_context(model, users[user_rows[block]], offset[user_rows[block]], moment)
        scores[block] = np.einsum("nk,nk->n", a_u, items[item_rows[block]]) + c_u
    return scores


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
