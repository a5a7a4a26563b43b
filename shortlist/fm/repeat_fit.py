"""Facts of pairs and whether they came back in, a RepeatModel out: logistic regression on facts and their products."""

from typing import Final

import numpy as np

from shortlist.contracts.arrays import BoolArray, Float32Array, Float64Array
from shortlist.fm.repeat import BLOCK_ROWS, FACTS, RepeatModel
from shortlist.fm.threads import Threads

NEWTON_STEPS: Final = 12
SETTLED: Final = 1e-3  # change of the largest coefficient
MOST_ODDS: Final = 30.0
RIDGE: Final = 10.0
LEAST_OF_A_KIND: Final = 200  # pairs that came back, and pairs that did not; with fewer, 190 coefficients are noise
MOST_PAIRS: Final = 300_000  # a sample of this size fits as well as two million and keeps the fit to some seconds


def fit_repeat(
    facts: Float32Array, came_back: BoolArray, *, horizon_days: float, seed: int, crew: Threads
) -> RepeatModel:
    """Learn r; γ is 1 until it is chosen. `facts` (n_pairs, p), `came_back` (n_pairs,)."""
    if min(np.count_nonzero(came_back), np.count_nonzero(~came_back)) < LEAST_OF_A_KIND:
        return RepeatModel.simple(1.0, horizon_days)
    if len(facts) > MOST_PAIRS:
        sample = np.sort(np.random.default_rng(seed).choice(len(facts), MOST_PAIRS, replace=False))
        facts, came_back = facts[sample], came_back[sample]
    p = len(FACTS)
    scale = facts.std(0, dtype=np.float64)
    flat = RepeatModel(
        1.0,
        horizon_days,
        0.0,
        facts.mean(0, dtype=np.float64),
        np.where(scale > 1e-6, scale, 1.0),
        np.zeros(p),
        np.zeros((p, p)),
    )
    standardized = flat.standardized(facts).astype(np.float32)
    weights = _newton(standardized, came_back.astype(np.float32), crew)
    products = np.zeros((p, p))
    products[np.triu_indices(p)] = weights[1 + p :]
    return RepeatModel(1.0, horizon_days, float(weights[0]), flat.mean, flat.scale, weights[1 : 1 + p], products)


def _newton(z: Float32Array, label: Float32Array, crew: Threads) -> Float64Array:
    """Minimise the logistic loss plus RIDGE/2 ‖w‖² (the intercept is free), float64 (1 + p + p(p+1)/2,).

    Newton's steps from zero, where the curvature is largest; a step that does not lower the loss is halved.
    """
    p = z.shape[1]
    ridge = np.full(1 + p + p * (p + 1) // 2, RIDGE)
    ridge[0] = 0.0
    best = weights = step = np.zeros(len(ridge))
    lowest = np.inf
    for _ in range(NEWTON_STEPS):
        loss, slope, curvature = _logistic(z, label, weights, crew)
        loss += float(ridge @ weights**2) / 2
        if loss < lowest:
            lowest, best = loss, weights
            step = np.linalg.solve(curvature + np.diag(ridge), slope - ridge * weights)
            if np.abs(step).max() < SETTLED:
                break
        else:
            step = step / 2
        weights = best + step
    return best


def _logistic(
    z: Float32Array, label: Float32Array, weights: Float64Array, crew: Threads
) -> tuple[float, Float64Array, Float64Array]:
    """Loss, its negative gradient and its curvature, summed over the rows."""
    current = weights.astype(np.float32)

    def part(start: int) -> tuple[float, Float32Array, Float32Array]:
        rows, wanted = _with_products(z[start : start + BLOCK_ROWS]), label[start : start + BLOCK_ROWS]
        odds = rows @ current
        chance = 1 / (1 + np.exp(-np.clip(odds, -MOST_ODDS, MOST_ODDS)))
        loss = float(np.logaddexp(0, odds).sum(dtype=np.float64) - np.vdot(wanted, odds))
        spread = np.sqrt(chance * (1 - chance))[:, None] * rows
        return loss, rows.T @ (wanted - chance), spread.T @ spread

    loss, slope, curvature = 0.0, np.zeros(len(weights)), np.zeros((len(weights), len(weights)))
    for part_loss, part_slope, part_curvature in crew.over(part, range(0, len(z), BLOCK_ROWS)):
        loss += part_loss
        slope += part_slope
        curvature += part_curvature
    return loss, slope, curvature


def _with_products(z: Float32Array) -> Float32Array:
    """(1, z, z_a z_b for a <= b), float32 (n, 1 + p + p(p+1)/2)."""
    p = z.shape[1]
    columns = [np.ones((len(z), 1), np.float32), z]
    columns += [z[:, a : a + 1] * z[:, a:] for a in range(p)]
    return np.hstack(columns)
