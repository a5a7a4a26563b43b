"""Numba kernels over examples and rows: totals and features in; scores, what they miss and sums for priors out.

Examples lie in the order of their users. Sums are taken by user, or by blocks of rows, and so in the same order
whatever the number of threads.
"""

from typing import Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]

BLOCK: Final = 1024


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def score_users(
    indptr: Int64, items_of: Int32, users: Float32, items: Float32, moments: Float32, scores: Float32
) -> None:
    """users[u, :k] · items[i, :k] + users[u, k] + items[i, k] of every example into `scores` (n,).

    User u has the examples indptr[u] to indptr[u + 1]. Where there is context, `moments` (n, K) adds
    moments[e, :k] · (users[u, :k] + items[i, :k]) + moments[e, k]; without rows it adds nothing.
    """
    k = users.shape[1] - 1
    for user in prange(indptr.size - 1):
        for e in range(indptr[user], indptr[user + 1]):
            item = items_of[e]
            score = np.float32(0.0)
            for c in range(k):
                score += users[user, c] * items[item, c]
            score += users[user, k] + items[item, k]
            if moments.shape[0]:
                for c in range(k):
                    score += moments[e, c] * (users[user, c] + items[item, c])
                score += moments[e, k]
            scores[e] = score


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def sum_misses(indptr: Int64, targets: Float32, scores: Float32) -> Float64:
    """Σ (target − score) and Σ (target − score)² of every user's examples, float64 (n_users, 2)."""
    sums = np.zeros((indptr.size - 1, 2))
    for user in prange(indptr.size - 1):
        asked = targets[indptr[user] : indptr[user + 1]]
        given = scores[indptr[user] : indptr[user + 1]]
        total = 0.0
        squares = 0.0
        for e in range(asked.size):
            missed = np.float64(asked[e] - given[e])
            total += missed
            squares += missed * missed
        sums[user, 0] = total
        sums[user, 1] = squares
    return sums


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def feature_totals(indptr: Int64, indices: Int32, values: Float32, weights: Float32) -> Float32:
    """(xV, w·x + Σ_{f<g} <v_f, v_g> x_f x_g) of every row x of a feature matrix, float32 (n, K); weights (f, K)."""
    k = weights.shape[1] - 1
    totals = np.zeros((indptr.size - 1, k + 1), np.float32)
    for row in prange(indptr.size - 1):
        twice = np.float32(0.0)
        for place in range(indptr[row], indptr[row + 1]):
            f, x = indices[place], values[place]
            alone = np.float32(0.0)
            for c in range(k):
                alone += weights[f, c] * weights[f, c]
            twice -= x * x * alone
            for c in range(k + 1):
                totals[row, c] += x * weights[f, c]
        for c in range(k):
            twice += totals[row, c] * totals[row, c]
        totals[row, k] += np.float32(0.5) * twice
    return totals


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def split_off(
    indptr: Int64, totals: Float32, mean: Float32, shown: Float32, other_mean: Float32, own: Float32, linear: Float32
) -> None:
    """What ids add to `mean` (K,) and features, `shown` (n, K) or no rows: factors own (n, k) and weights linear (n,).

    Rows total f + i and c_f + c_i + <f, i>; the other side's mean is multiplied out, so that it may be left out of
    its ids. A row without examples adds nothing: its part is chance, independent of all else, and its mean is known.
    """
    k = totals.shape[1] - 1
    for row in prange(totals.shape[0]):
        if indptr[row] == indptr[row + 1]:
            own[row] = 0
            linear[row] = 0
            continue
        weight = totals[row, k] - mean[k]
        for c in range(k):
            own[row, c] = totals[row, c] - mean[c]
        if shown.shape[0]:
            weight -= shown[row, k]
            for c in range(k):
                own[row, c] -= shown[row, c]
            for c in range(k):
                weight -= own[row, c] * shown[row, c]
        for c in range(k):
            weight += own[row, c] * other_mean[c]
        linear[row] = weight


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def sum_rows(values: Float32, base: Float32, mean: Float32) -> Float64:
    """Σ value and Σ (value − mean)² of every column, values (n, K) less `base` (no rows: nothing), float64 (2, K)."""
    n, size = values.shape
    n_blocks = (n + BLOCK - 1) // BLOCK
    parts = np.zeros((n_blocks, 2, size))
    for block in prange(n_blocks):
        for row in range(block * BLOCK, min((block + 1) * BLOCK, n)):
            for c in range(size):
                value = values[row, c]
                if base.shape[0]:
                    value -= base[row, c]
                apart = value - mean[c]
                parts[block, 0, c] += value
                parts[block, 1, c] += apart * apart
    sums = np.zeros((2, size))
    for block in range(n_blocks):
        sums += parts[block]
    return sums
