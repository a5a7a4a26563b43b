"""Numba kernel of the Bayesian machine's features: what rows show of them in, whole vectors of features out.

A feature is drawn as a row is (row_kernels.py): its numbers in blocks, given all other features. The rows that have it
are its examples, one in every lane.
"""

from typing import Final

import numpy as np
from numba import njit

from shortlist.fm.row_kernels import LANES, STEPS, Float32, Int32, Int64, add_gram, draw

BLOCK: Final = 16  # numbers of a feature that are drawn at once: a rare feature does not cost the cube of K
FEW_LANES: Final = 4  # are enough for a rare feature


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _gather(
    rows: Int32,
    values: Float32,
    first: int,
    totals: Float32,
    missed: Float32,
    offset_precision: Float32,
    weights: Float32,
    x: Float32,
) -> None:
    """Slopes of the rows' offsets in a feature's numbers from `first` on, and what these should explain, into x.

    x is (STEPS, numbers + 1, lanes), all times the root of the offset's precision.
    """
    k, lanes = totals.shape[1] - 1, x.shape[2]
    n = x.shape[1] - 1
    x[:] = 0
    step, lane = 0, -1
    for place in range(rows.size):
        row, value = rows[place], values[place]
        lane += 1
        if lane == lanes:
            step, lane = step + 1, 0
        root = np.sqrt(offset_precision[row])
        goal = missed[row, k]
        for c in range(n):
            weight = weights[first + c]
            slope = value * (totals[row, first + c] - value * weight) if first + c < k else value
            goal += slope * weight
            x[step, c, lane] = root * slope
        x[step, n, lane] = root * goal


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _believe(
    rows: Int32,
    values: Float32,
    first: int,
    totals: Float32,
    missed: Float32,
    precision: Float32,
    offset_precision: Float32,
    weights: Float32,
    x: Float32,
    gram: Float32,
    a: Float32,
    b: Float32,
) -> None:
    """Add to A (n, n, 1) and b (n, 1) what the rows show of a feature's n numbers from `first` on."""
    k, n = totals.shape[1] - 1, b.shape[0]
    gram[:] = 0
    together = STEPS * x.shape[2]
    for start in range(0, rows.size, together):
        chosen = slice(start, min(start + together, rows.size))
        _gather(rows[chosen], values[chosen], first, totals, missed, offset_precision, weights, x)
        add_gram(x, gram)
    for c in range(n):
        for d in range(c + 1):
            a[c, d, 0] += gram[c, d].sum()
        b[c, 0] += gram[n, c].sum()
    for place in range(rows.size):
        row, value = rows[place], values[place]
        for c in range(min(n, k - first)):
            certain = precision[first + c] * value
            a[c, c, 0] += certain * value
            b[c, 0] += certain * (missed[row, first + c] + value * weights[first + c])


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _move(
    rows: Int32, values: Float32, first: int, new: Float32, totals: Float32, missed: Float32, weights: Float32
) -> None:
    """Give a feature's numbers from `first` on their new values, and the rows that have it their part of the change."""
    k = totals.shape[1] - 1
    for place in range(rows.size):
        row, value = rows[place], values[place]
        explained = np.float32(0.0)
        for c in range(new.shape[0]):
            weight = weights[first + c]
            slope = value * (totals[row, first + c] - value * weight) if first + c < k else value
            explained += slope * (new[c, 0] - weight)
        missed[row, k] -= explained
        for c in range(min(new.shape[0], k - first)):
            change = value * (new[c, 0] - weights[first + c])
            totals[row, first + c] += change
            missed[row, first + c] -= change
    for c in range(new.shape[0]):
        weights[first + c] = new[c, 0]


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def draw_features(
    indptr: Int64,
    rows: Int32,
    values: Float32,
    totals: Float32,
    missed: Float32,
    precision: Float32,
    offset_precision: Float32,
    prior_precision: Float32,
    prior: Float32,
    noise: Float32,
    weights: Float32,
    variance: Float32,
) -> None:
    """Draw every feature's factors and linear weight given all others, in place.

    Column f of a feature matrix X has the places indptr[f] to indptr[f + 1] of `rows` and `values`. Each of n rows
    shows its factors t = Xv with `precision` (K,), of which the last is not read, and its offset
    w·x + Σ_{f<g} <v_f, v_g> x_f x_g with `offset_precision` (n,). `totals` (n, K) has the factors, `missed` (n, K) what
    is not explained yet of factors and offset; both follow every draw. `variance` has those of the conditionals.
    """
    size = totals.shape[1]
    for first in range(0, size, BLOCK):
        n = min(BLOCK, size - first)
        wide, narrow = np.zeros((STEPS, n + 1, LANES), np.float32), np.zeros((STEPS, n + 1, FEW_LANES), np.float32)
        grams, few_grams = np.zeros((n + 1, n, LANES), np.float32), np.zeros((n + 1, n, FEW_LANES), np.float32)
        a, b = np.zeros((n, n, 1), np.float32), np.zeros((n, 1), np.float32)
        chance, inverse = np.zeros((n, 1), np.float32), np.zeros((n, 1), np.float32)
        for f in range(indptr.size - 1):
            its = slice(indptr[f], indptr[f + 1])
            many = its.stop - its.start > STEPS * FEW_LANES
            a[:] = 0
            for c in range(n):
                a[c, c, 0] = prior_precision[f, first + c]
                b[c, 0] = prior_precision[f, first + c] * prior[f, first + c]
                chance[c, 0] = noise[f, first + c]
            x, gram = (wide, grams) if many else (narrow, few_grams)
            of_rows = (rows[its], values[its], first, totals, missed)
            _believe(*of_rows, precision, offset_precision, weights[f], x, gram, a, b)
            for c in range(n):
                variance[f, first + c] = np.float32(1.0) / a[c, c, 0]
            draw(a, b, chance, inverse, n)
            _move(rows[its], values[its], first, b, totals, missed, weights[f])
