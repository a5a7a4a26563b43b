"""Numba kernels of the Bayesian machine: examples and fixed factors in, whole vectors of rows and features out.

A row's vector (factors and bias, K numbers) is Gaussian given all else, precision A = D + Σ τ x xᵀ with D diagonal.
Rows with at least K examples factorise A; the others the matrix of their examples, which is smaller (Bhattacharya,
Chakraborty, Mallick 2016). Noise comes from the caller: zeros give the mean instead of a draw.

No loop both stores and sums (see kernels.py), so a row's bytes do not depend on where its buffers lie.
"""

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]

LEAST_PIVOT = np.float32(1e-6)  # of a diagonal number: what single precision leaves of it is no more certain
TILE = 128  # examples a Gram matrix takes up at once: K of them stay in the first cache


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_gram(rows: Float32, n_rows: int, width: int, gram: Float32) -> None:
    """gram += rows rowsᵀ, lower triangle, in tiles of 2 × 4; buffers reach to the next multiple of 4 rows."""
    for c in range(0, n_rows, 2):
        for d in range(0, c + 2, 4):
            s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = np.float32(0.0)
            for j in range(width):
                p = rows[c, j]
                q = rows[c + 1, j]
                s0 += p * rows[d, j]
                s1 += p * rows[d + 1, j]
                s2 += p * rows[d + 2, j]
                s3 += p * rows[d + 3, j]
                t0 += q * rows[d, j]
                t1 += q * rows[d + 1, j]
                t2 += q * rows[d + 2, j]
                t3 += q * rows[d + 3, j]
            gram[c, d] += s0
            gram[c, d + 1] += s1
            gram[c, d + 2] += s2
            gram[c, d + 3] += s3
            gram[c + 1, d] += t0
            gram[c + 1, d + 1] += t1
            gram[c + 1, d + 2] += t2
            gram[c + 1, d + 3] += t3


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _draw(a: Float32, b: Float32, noise: Float32, n: int) -> None:
    """b becomes A⁻¹ b + L⁻ᵀ noise with A = L Lᵀ given by its lower triangle; A becomes L, its diagonal inverted."""
    for c in range(n):
        pivot = a[c, c]
        least = pivot * LEAST_PIVOT
        for d in range(c):
            pivot -= a[c, d] * a[c, d]
        inverse = np.float32(1.0) / math.sqrt(max(pivot, least))
        a[c, c] = inverse
        known = b[c]
        for d in range(c):
            known -= a[c, d] * b[d]
        b[c] = known * inverse
        whole = c + 1 + (n - c - 1) // 4 * 4
        for e in range(c + 1, whole, 4):
            v0 = a[e, c]
            v1 = a[e + 1, c]
            v2 = a[e + 2, c]
            v3 = a[e + 3, c]
            for d in range(c):
                p = a[c, d]
                v0 -= a[e, d] * p
                v1 -= a[e + 1, d] * p
                v2 -= a[e + 2, d] * p
                v3 -= a[e + 3, d] * p
            a[e, c] = v0 * inverse
            a[e + 1, c] = v1 * inverse
            a[e + 2, c] = v2 * inverse
            a[e + 3, c] = v3 * inverse
        for e in range(whole, n):
            value = a[e, c]
            for d in range(c):
                value -= a[e, d] * a[c, d]
            a[e, c] = value * inverse
    for c in range(n - 1, -1, -1):
        value = b[c] + noise[c]
        for d in range(c + 1, n):
            value -= a[d, c] * b[d]
        b[c] = value * a[c, c]


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _gather(
    others: Int32,
    examples: Int64,
    targets: Float32,
    certainty: Float32,
    fixed: Float32,
    shift: Float32,
    x: Float32,
    goal: Float32,
) -> None:
    """The examples' (fixed + shift, 1) into x (n, K), what is left to explain into goal (n,), both times certainty."""
    k = fixed.shape[1] - 1
    for j in range(others.size):
        other = others[j]
        for c in range(k):
            x[j, c] = fixed[other, c]
        x[j, k] = 1
        known = fixed[other, k]
        if shift.shape[0]:
            example = examples[j]
            for c in range(k):
                known += shift[example, c] * x[j, c]
            for c in range(k):
                x[j, c] += shift[example, c]
        root = certainty[examples[j]]
        goal[j] = root * (targets[examples[j]] - known)
        for c in range(k + 1):
            x[j, c] *= root


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _gram_of_many(
    others: Int32,
    examples: Int64,
    targets: Float32,
    certainty: Float32,
    fixed: Float32,
    shift: Float32,
    x: Float32,
    goal: Float32,
    turned: Float32,
    gram: Float32,
) -> None:
    """Gram matrix of the examples' (fixed + shift, 1, goal), lower triangle, in tiles of examples."""
    size = fixed.shape[1]
    gram[:] = 0
    for first in range(0, others.size, TILE):
        tile = slice(first, min(first + TILE, others.size))
        n = tile.stop - tile.start
        _gather(others[tile], examples[tile], targets, certainty, fixed, shift, x, goal)
        for c in range(size):
            for j in range(n):
                turned[c, j] = x[j, c]
        for j in range(n):
            turned[size, j] = goal[j]
        width = (n + 7) // 8 * 8
        for c in range(size + 1):
            for j in range(n, width):
                turned[c, j] = 0
        _add_gram(turned, size + 1, width, gram)


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _draw_from_many(diagonal: Float32, prior: Float32, noise: Float32, a: Float32, out: Float32) -> None:
    """A row with at least K examples, of which `a` is the Gram matrix; its row K is Σ x goal."""
    size = diagonal.size
    for c in range(size):
        out[c] = a[size, c] + diagonal[c] * prior[c]
    for c in range(size):
        a[c, c] += diagonal[c]
    _draw(a, out, noise, size)


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _draw_from_few(
    x: Float32,
    goal: Float32,
    deviation: Float32,
    prior: Float32,
    noise: Float32,
    noise_of_examples: Float32,
    nothing: Float32,
    a: Float32,
    out: Float32,
) -> None:
    """A row with fewer examples than K, x (n, K): draw from the prior, then correct it by what the examples miss."""
    n, size = noise_of_examples.size, deviation.size
    for c in range(size):
        out[c] = prior[c] + noise[c] * deviation[c]
    for j in range(n):
        predicted = np.float32(0.0)
        for c in range(size):
            predicted += x[j, c] * out[c]
        goal[j] -= predicted + noise_of_examples[j]
    for j in range(n):
        for c in range(size):
            x[j, c] *= deviation[c]
    padded = (n + 3) // 4 * 4
    for j in range(padded):
        for i in range(padded):
            a[j, i] = 0
    _add_gram(x, n, size, a)
    for j in range(n):
        a[j, j] += np.float32(1.0)
    _draw(a, goal, nothing, n)
    for j in range(n):
        for c in range(size):
            out[c] += goal[j] * deviation[c] * x[j, c]


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_spread(others: Int32, examples: Int64, certainty: Float32, spread: Float32, diagonal: Float32) -> None:
    """What the other side is not sure of makes this side's examples say less."""
    for j in range(others.size):
        precision = certainty[examples[j]] * certainty[examples[j]]
        for c in range(diagonal.size - 1):
            diagonal[c] += precision * spread[others[j], c]


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def draw_rows(
    indptr: Int64,
    others: Int32,
    examples: Int64,
    targets: Float32,
    certainty: Float32,
    order: Int64,
    fixed: Float32,
    shift: Float32,
    spread: Float32,
    precision: Float32,
    prior: Float32,
    noise: Float32,
    noise_of_few: Float32,
    noise_starts: Int64,
    drawn: Float32,
    variance: Float32,
    lanes: int,
) -> None:
    """Draw every row's K-vector in place: target = drawn[r] · (fixed[o] + shift[e], 1) + fixed[o, -1] + N(0, 1/τ).

    Row r has the places indptr[r] to indptr[r + 1] of `others` and `examples`, and, where these are fewer than K, as
    many of `noise_of_few` from noise_starts[r]. `targets`, `certainty` (√τ) and `shift` (n, K - 1; no rows: no context)
    are by example.
    `spread` (of `fixed`; no rows: known exactly) and `variance` (of `drawn`; no rows: not asked for) are the variances
    of a mean-field fit.
    """
    size = fixed.shape[1]
    tall = (size + 8) // 4 * 4
    for lane in prange(lanes):
        x = np.zeros((max(TILE, tall), size), np.float32)
        turned = np.zeros((tall, TILE), np.float32)
        a = np.zeros((tall, tall), np.float32)
        goal = np.zeros(max(TILE, tall), np.float32)
        nothing = np.zeros(tall, np.float32)
        diagonal = precision.copy()
        deviation = 1 / np.sqrt(precision)
        for place in range(lane, order.size, lanes):
            row = order[place]
            its = slice(indptr[row], indptr[row + 1])
            few = its.stop - its.start < size
            if spread.shape[0]:
                diagonal[:] = precision
                _add_spread(others[its], examples[its], certainty, spread, diagonal)
                deviation[:] = 1 / np.sqrt(diagonal)
            if few:
                _gather(others[its], examples[its], targets, certainty, fixed, shift, x, goal)
            else:
                _gram_of_many(others[its], examples[its], targets, certainty, fixed, shift, x, goal, turned, a)
            if variance.shape[0]:
                for c in range(size):
                    known = np.float32(0.0) if few else a[c, c]
                    if few:
                        for j in range(its.stop - its.start):
                            known += x[j, c] * x[j, c]
                    variance[row, c] = np.float32(1.0) / (diagonal[c] + known)
            if few:
                first = noise_starts[row]
                of_examples = noise_of_few[first : first + its.stop - its.start]
                _draw_from_few(x, goal, deviation, prior[row], noise[row], of_examples, nothing, a, drawn[row])
            else:
                _draw_from_many(diagonal, prior[row], noise[row], a, drawn[row])


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def draw_features(
    indptr: Int64,
    rows: Int32,
    values: Float32,
    totals: Float32,
    missed: Float32,
    missed_offset: Float32,
    precision: Float32,
    offset_precision: Float32,
    prior_precision: Float32,
    prior: Float32,
    noise: Float32,
    weights: Float32,
    variance: Float32,
) -> None:
    """Draw every feature's factors and linear weight, one number after the other, in place.

    Column f of a feature matrix X has the places indptr[f] to indptr[f + 1] of `rows` and `values`. Each of n rows
    shows its factors t = Xv with `precision` (`missed`, what is not explained yet; no columns: it shows none), its
    offset w·x + Σ_{f<g} <v_f, v_g> x_f x_g with `offset_precision` (n,). `totals` (k, n), `missed` and
    `missed_offset` follow every draw; `variance` has those of the conditionals.
    """
    k = totals.shape[0]
    shows = missed.shape[1] > 0
    for d in range(-1, k):
        column = d if d >= 0 else k
        for f in range(indptr.size - 1):
            old = weights[f, column]
            certain = 0.0
            pull = 0.0
            for place in range(indptr[f], indptr[f + 1]):
                row = rows[place]
                slope = values[place]
                if d >= 0:
                    slope *= totals[d, row] - values[place] * old
                certain += offset_precision[row] * slope * slope
                pull += offset_precision[row] * slope * (missed_offset[row] + slope * old)
                if shows and d >= 0:
                    certain += precision[d] * values[place] * values[place]
                    pull += precision[d] * values[place] * (missed[d, row] + values[place] * old)
            certain += prior_precision[f, column]
            mean = (pull + prior_precision[f, column] * prior[f, column]) / certain
            new = np.float32(mean + noise[f, column] / math.sqrt(certain))
            step = new - old
            weights[f, column] = new
            variance[f, column] = np.float32(1.0 / certain)
            for place in range(indptr[f], indptr[f + 1]):
                row = rows[place]
                slope = values[place]
                if d >= 0:
                    slope *= totals[d, row] - values[place] * old
                    totals[d, row] += values[place] * step
                    if shows:
                        missed[d, row] -= values[place] * step
                missed_offset[row] -= slope * step


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def score_examples(user_rows: Int32, item_rows: Int32, users: Float32, items: Float32) -> Float32:
    """users[u, :k] · items[i, :k] + users[u, k] + items[i, k] of every example, float32 (n,)."""
    k = users.shape[1] - 1
    scores = np.empty(user_rows.size, np.float32)
    for e in prange(user_rows.size):
        user, item = user_rows[e], item_rows[e]
        score = np.float32(0.0)
        for c in range(k):
            score += users[user, c] * items[item, c]
        scores[e] = score + users[user, k] + items[item, k]
    return scores
