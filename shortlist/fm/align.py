"""Last week's model and this week's vocabularies in, the model in this week's rows out. numpy only."""

from collections.abc import Sequence

import numpy as np

from shortlist.contracts.arrays import Float32Array, Int64Array
from shortlist.fm.model import FactorModel, Side


def match(old: Sequence[str], new: Sequence[str]) -> Int64Array:
    """For every new name its old row, −1 where it is unknown, int64 (len(new),)."""
    rows = {name: row for row, name in enumerate(old)}
    return np.array([rows.get(name, -1) for name in new], np.int64)


def align(
    model: FactorModel, *, users: Int64Array, items: Int64Array, user_features: Int64Array, item_features: Int64Array
) -> FactorModel:
    """The same model for other rows; each argument is a `match`.

    A new id starts with nothing of its own, so its total is what its features say; a new feature starts at zero.
    """
    return FactorModel(
        model.bias,
        _align(model.users, users, user_features),
        _align(model.items, items, item_features),
        model.settings,
        model.context,
    )


def _align(side: Side, ids: Int64Array, features: Int64Array) -> Side:
    return Side(
        _pick(side.factors, ids),
        _pick(side.weights, ids),
        _pick(side.feature_factors, features),
        _pick(side.feature_weights, features),
    )


def _pick(rows: Float32Array, places: Int64Array) -> Float32Array:
    picked = np.zeros((len(places), *rows.shape[1:]), np.float32)
    known = places >= 0
    picked[known] = rows[places[known]]
    return picked
