"""Facts of pairs and whether they came back in, a RepeatModel out: logistic regression on facts and their products."""

from dataclasses import replace
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from shortlist.contracts.arrays import BoolArray, Float32Array, Float64Array
from shortlist.fm.repeat import BLOCK_ROWS, FACTS, MOST_DEVIATIONS, RepeatModel
from shortlist.fm.threads import Threads

T = TypeVar("T", bound=np.generic)

SAME: Final = 1e-6  # a fact that deviates by no more tells nothing
NEWTON_STEPS: Final = 12
SETTLED: Final = 1e-3  # change of the largest coefficient
MOST_ODDS: Final = 30.0
RIDGE: Final = 100.0
RIDGE_OF_PRODUCTS: Final = 1_000.0
"""Both are next to nothing where many come back; of a few thousand pairs, facts' products would be noise."""
LEAST_OF_A_KIND: Final = 200  # pairs that came back, and pairs that did not; with fewer, 190 coefficients are noise
FIRST_PAIRS: Final = 100_000  # a sample that Newton's method goes through; then one step on all pairs says what they do
LEAST_TO_START: Final = 2_000  # of a kind in that sample: one step does not mend what fewer say
MOST_PAIRS: Final = 2_000_000  # a sample of them, where there are more: a step takes a second a million


def fit_repeat(
    facts: Float32Array, came_back: BoolArray, *, horizon_days: float, seed: int, crew: Threads
) -> RepeatModel:
    """Learn r; γ is 1 until it is chosen. `facts` (n_pairs, p), `came_back` (n_pairs,)."""
    if _fewer(came_back) < LEAST_OF_A_KIND:
        return RepeatModel.simple(1.0, horizon_days)
    rng = np.random.default_rng(seed)
    facts, came_back = _sample(facts, came_back, MOST_PAIRS, rng)
    flat = _flat(facts, horizon_days)
    p = len(FACTS)
    prior = np.zeros(1 + p + p * (p + 1) // 2)
    prior[1 : 1 + p] = RepeatModel.simple(1.0, horizon_days).linear * flat.scale
    standardized, label = flat.standardized(facts), came_back.astype(np.float32)
    first = _sample(standardized, label, FIRST_PAIRS, rng)
    if len(first[1]) < len(label) and _fewer(first[1]) >= LEAST_TO_START:
        weights = _newton(*first, prior, crew)
        weights += _step(standardized, label, weights, prior, crew)[1]
    else:
        weights = _newton(standardized, label, prior, crew)
    products = np.zeros((p, p))
    products[np.triu_indices(p)] = weights[1 + p :]
    return replace(flat, intercept=float(weights[0]), linear=weights[1 : 1 + p], products=products)


def _flat(facts: Float32Array, horizon_days: float) -> RepeatModel:
    """Standardizes as these facts ask, and says the same of all pairs."""
    p = len(FACTS)
    mean = facts.mean(0, dtype=np.float64)
    apart = facts - mean.astype(np.float32)
    scale = np.sqrt(np.einsum("np,np->p", apart, apart, dtype=np.float64) / len(facts))
    scale = np.where(scale > SAME, scale, 1.0)
    lowest = np.maximum(facts.min(0), mean - MOST_DEVIATIONS * scale)
    highest = np.minimum(facts.max(0), mean + MOST_DEVIATIONS * scale)
    return RepeatModel(1.0, horizon_days, 0.0, mean, scale, lowest, highest, np.zeros(p), np.zeros((p, p)))


def _sample(
    facts: Float32Array, wanted: NDArray[T], n: int, rng: np.random.Generator
) -> tuple[Float32Array, NDArray[T]]:
    """At most n pairs, in their order."""
    if len(facts) <= n:
        return facts, wanted
    chosen = np.sort(rng.choice(len(facts), n, replace=False))
    return facts[chosen], wanted[chosen]


def _fewer(came_back: NDArray[np.bool_ | np.float32]) -> int:
    """How many pairs came back or how many did not, whichever are fewer."""
    n_back = int(np.count_nonzero(came_back))
    return min(n_back, len(came_back) - n_back)


def _newton(z: Float32Array, label: Float32Array, prior: Float64Array, crew: Threads) -> Float64Array:
    """Minimise the logistic loss plus the ridge around `prior`, float64 (1 + p + p(p+1)/2,).

    Newton's steps from zero, where the curvature is largest; a step that does not lower the loss is halved.
    """
    best = weights = step = np.zeros_like(prior)
    lowest = np.inf
    for _ in range(NEWTON_STEPS):
        loss, further = _step(z, label, weights, prior, crew)
        if loss < lowest:
            lowest, best, step = loss, weights, further
            if np.abs(step).max() < SETTLED:
                break
        else:
            step = step / 2
        weights = best + step
    return best


def _step(
    z: Float32Array, label: Float32Array, weights: Float64Array, prior: Float64Array, crew: Threads
) -> tuple[float, Float64Array]:
    """What is minimised, and Newton's step from there. The intercept is free."""
    p = z.shape[1]
    ridge = np.repeat([0.0, RIDGE, RIDGE_OF_PRODUCTS], [1, p, len(weights) - 1 - p])
    away = weights - prior
    loss, slope, curvature = _logistic(z, label, weights, crew)
    step = np.linalg.solve(curvature + np.diag(ridge), slope - ridge * away)
    return loss + float(ridge @ away**2) / 2, step.astype(np.float64, copy=False)


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
