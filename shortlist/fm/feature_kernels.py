"""Numba kernel of the Bayesian machine's features: what rows show of them in, whole vectors of features out.

A feature is drawn as a row is (row_kernels.py): its numbers in blocks, given all other features, the rows that have
it being its examples.
"""

from typing import Final

import numpy as np
from numba import njit

from shortlist.fm.row_kernels import Float32, Int32, Int64, draw
from shortlist.fm.vectors import EIGHT, LANES, WIDTH, add_gram

BLOCK: Final = WIDTH  # numbers of a feature that are drawn at once: a rare feature does not cost the cube of K


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
    weighted: Float32,
    gram: Float32,
) -> None:
    """Σ τ (slope, goal) slopeᵀ over the rows into gram (n + 1, BLOCK), for a feature's n numbers from `first` on.

    Slopes are those of a row's offset; to the diagonal comes what the row's factors show.
    """
    k, n = totals.shape[1] - 1, weighted.shape[1] - 1
    n_factors = min(n, k - first)
    squares = np.float32(0.0)
    gram[:] = 0
    for start in range(0, rows.size, EIGHT):
        for j in range(EIGHT):
            place = start + j
            if place >= rows.size:
                for c in range(n + 1):
                    weighted[j, c] = 0
                continue
            row, value = rows[place], values[place]
            own, told, old = totals[row, first:], missed[row, first:], weights[first:]
            goal = missed[row, k]
            for c in range(n_factors):
                x[j, c] = value * (own[c] - value * old[c])
            if n_factors < n:
                x[j, n_factors] = value
            for c in range(n):
                goal += x[j, c] * old[c]
            for c in range(n):
                weighted[j, c] = offset_precision[row] * x[j, c]
            weighted[j, n] = offset_precision[row] * goal
            for c in range(n_factors):
                gram[n, c] += precision[first + c] * value * (told[c] + value * old[c])
            squares += value * value
        add_gram(x, weighted, gram)
    for c in range(n_factors):
        gram[c, c] += precision[first + c] * squares


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _move(
    rows: Int32, values: Float32, first: int, new: Float32, totals: Float32, missed: Float32, weights: Float32
) -> None:
    """Give a feature's numbers from `first` on their new values, and the rows that have it their part of the change."""
    k, n = totals.shape[1] - 1, new.shape[0]
    n_factors = min(n, k - first)
    step = np.zeros(n, np.float32)
    old = weights[first:]
    for c in range(n):
        step[c] = new[c, 0] - old[c]
    for place in range(rows.size):
        row, value = rows[place], values[place]
        own, told = totals[row, first:], missed[row, first:]
        explained = value * step[n_factors] if n_factors < n else np.float32(0.0)
        for c in range(n_factors):
            explained += value * (own[c] - value * old[c]) * step[c]
        for c in range(n_factors):
            own[c] += value * step[c]
        for c in range(n_factors):
            told[c] -= value * step[c]
        missed[row, k] -= explained
    for c in range(n):
        old[c] = new[c, 0]


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
    x, a = np.zeros((EIGHT, BLOCK), np.float32), np.zeros((BLOCK, BLOCK, LANES), np.float32)
    for c in range(BLOCK):
        a[c, c] = 1  # in the lanes that nothing is drawn in
    for first in range(0, size, BLOCK):
        n = min(BLOCK, size - first)
        weighted, gram = np.zeros((EIGHT, n + 1), np.float32), np.zeros((n + 1, BLOCK), np.float32)
        b, chance, inverse = (
            np.zeros((n, LANES), np.float32),
            np.zeros((n, LANES), np.float32),
            np.zeros((n, LANES), np.float32),
        )
        for f in range(indptr.size - 1):
            its = slice(indptr[f], indptr[f + 1])
            of_rows = (rows[its], values[its], first, totals, missed)
            _believe(*of_rows, precision, offset_precision, weights[f], x, weighted, gram)
            for c in range(n):
                certain = prior_precision[f, first + c]
                for d in range(c + 1):
                    a[c, d, 0] = gram[c, d]
                a[c, c, 0] += certain
                b[c, 0] = gram[n, c] + certain * prior[f, first + c]
                chance[c, 0] = noise[f, first + c]
                variance[f, first + c] = np.float32(1.0) / a[c, c, 0]
            draw(a, b, chance, inverse, n)
            _move(rows[its], values[its], first, b, totals, missed, weights[f])
