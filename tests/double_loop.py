"""A machine and one pair's active features in, its score by the formula's double loop out: slow and obvious."""

import numpy as np

from shortlist.fm.model import FactorModel


def double_loop(
    model: FactorModel,
    user: tuple[int, dict[int, float]],
    item: tuple[int, dict[int, float]],
    context: dict[int, float] | None = None,
) -> float:
    """y(x) = b + w·x + Σ_{f<g} <v_f, v_g> x_f x_g over the pair's active features; an id of −1 is nobody."""
    active: list[tuple[float, np.ndarray, float]] = []
    parts = [(model.users, user), (model.items, item)]
    if model.context is not None:
        parts.append((model.context, (-1, context or {})))
    for side, (row, features) in parts:
        if row >= 0:
            active.append((float(side.weights[row]), side.factors[row].astype(float), 1.0))
        active += [
            (float(side.feature_weights[f]), side.feature_factors[f].astype(float), x) for f, x in features.items()
        ]
    y = model.bias
    for f, (w, v, x) in enumerate(active):
        y += w * x
        for _, v2, x2 in active[f + 1 :]:
            y += float(v @ v2) * x * x2
    return y
