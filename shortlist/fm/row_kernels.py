"""Numba kernels of the Bayesian machine: examples and fixed factors in, whole vectors of users and items out.

A row's vector (factors and bias, K numbers) is Gaussian given all else, precision A = D + Σ τ x xᵀ with D diagonal.
Rows with at least K examples factorise A; the others the matrix of their examples, which is smaller (Bhattacharya,
Chakraborty, Mallick 2016). Noise comes from the caller: zeros give the mean instead of a draw.

Rows of about the same length are drawn side by side, one in every lane: the last axis of every buffer, along which no
kernel sums. So each step is one vector instruction, and a row's bytes do not depend on where its buffers lie.
A long row has all lanes for its examples, which are summed in the end.
"""

import math
from typing import Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
Seen = tuple[Int32, Int64, Float32, Float32, Float32, Float32, Float32]
"""others, examples, targets, certainty of rows, certainty of others, fixed and shift, as `draw_rows` is given them."""

LANES: Final = 32
LONG: Final = 4 * LANES  # examples from which on a row has all lanes
LONG_ROWS: Final = 8  # that are drawn side by side: few, so that threads can share them
STEPS: Final = 8  # examples of a lane that a Gram matrix takes up at once: they stay in the first cache
LEAST_PIVOT: Final = np.float32(1e-6)  # of a diagonal number: what single precision leaves of it is no more certain


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _gather(first: Int64, stop: Int64, stride: int, steps: int, certainty: Float32, seen: Seen, x: Float32) -> None:
    """The next `steps` places of every lane into x (steps, K + 1, lanes): (fixed + shift, 1, goal) times certainty.

    A lane's places are `first`, `first` + `stride`, … before `stop`; after them there are zeros. `first` moves on.
    """
    others, examples, targets, _, certainty_of_others, fixed, shift = seen
    k = fixed.shape[1] - 1
    for lane in range(first.size):
        for step in range(steps):
            place = first[lane]
            if place >= stop[lane]:
                for c in range(k + 2):
                    x[step, c, lane] = 0
                continue
            first[lane] = place + stride
            other = others[place]
            root = certainty[lane] * certainty_of_others[other]
            left = targets[place] - fixed[other, k]
            if shift.shape[0]:
                example = examples[place]
                for c in range(k):
                    left -= shift[example, c] * fixed[other, c]
                    x[step, c, lane] = root * (fixed[other, c] + shift[example, c])
            else:
                for c in range(k):
                    x[step, c, lane] = root * fixed[other, c]
            x[step, k, lane] = root
            x[step, k + 1, lane] = root * left


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def add_gram(x: Float32, gram: Float32) -> None:
    """Add Σ (x, goal) xᵀ over the first STEPS of x (…, K + 1, lanes) to gram (K + 1, K, lanes), lower triangle."""
    size = gram.shape[1]
    for j in range(0, STEPS, 4):
        for c in range(size + 1):
            for d in range(min(c + 1, size)):
                for lane in range(x.shape[2]):
                    gram[c, d, lane] += (
                        x[j, c, lane] * x[j, d, lane]
                        + x[j + 1, c, lane] * x[j + 1, d, lane]
                        + x[j + 2, c, lane] * x[j + 2, d, lane]
                        + x[j + 3, c, lane] * x[j + 3, d, lane]
                    )


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _gram(
    first: Int64, stop: Int64, stride: int, longest: int, certainty: Float32, seen: Seen, x: Float32, gram: Float32
) -> None:
    """The Gram matrix of every lane's places, `longest` at most."""
    gram[:] = 0
    for _ in range(0, longest, STEPS):
        _gather(first, stop, stride, STEPS, certainty, seen, x)
        add_gram(x, gram)


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def draw(a: Float32, b: Float32, noise: Float32, inverse: Float32, n: int) -> None:
    """b becomes A⁻¹ b + L⁻ᵀ noise in every lane, A = L Lᵀ given by its lower triangle; `inverse` gets 1/diag L."""
    lanes = b.shape[1]
    for c in range(n):
        for lane in range(lanes):
            inverse[c, lane] = a[c, c, lane] * LEAST_PIVOT
        for e in range(c, n):
            whole = c // 4 * 4
            for d in range(0, whole, 4):
                for lane in range(lanes):
                    a[e, c, lane] -= (
                        a[e, d, lane] * a[c, d, lane]
                        + a[e, d + 1, lane] * a[c, d + 1, lane]
                        + a[e, d + 2, lane] * a[c, d + 2, lane]
                        + a[e, d + 3, lane] * a[c, d + 3, lane]
                    )
            for d in range(whole, c):
                for lane in range(lanes):
                    a[e, c, lane] -= a[e, d, lane] * a[c, d, lane]
            if e == c:
                for lane in range(lanes):
                    inverse[c, lane] = np.float32(1.0) / math.sqrt(max(a[c, c, lane], inverse[c, lane]))
            else:
                for lane in range(lanes):
                    a[e, c, lane] *= inverse[c, lane]
    for c in range(n):
        for d in range(c):
            for lane in range(lanes):
                b[c, lane] -= a[c, d, lane] * b[d, lane]
        for lane in range(lanes):
            b[c, lane] *= inverse[c, lane]
    for c in range(n - 1, -1, -1):
        for lane in range(lanes):
            b[c, lane] = (b[c, lane] + noise[c, lane]) * inverse[c, lane]
        for d in range(c):
            for lane in range(lanes):
                b[d, lane] -= a[c, d, lane] * b[c, lane]


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _draw_from_few(
    x: Float32,
    n: int,
    diagonal: Float32,
    noise: Float32,
    of_few: Float32,
    a: Float32,
    inverse: Float32,
    goal: Float32,
    out: Float32,
) -> None:
    """Rows with at most n < K examples, x (n, K + 1, lanes): draw from the prior, then correct by what they miss.

    `out` holds the prior; `diagonal` gets its examples added.
    """
    size, lanes = out.shape
    for c in range(size):
        for lane in range(lanes):
            inverse[c, lane] = np.float32(1.0) / math.sqrt(diagonal[c, lane])
        for lane in range(lanes):
            out[c, lane] += noise[c, lane] * inverse[c, lane]
    for j in range(n):
        for lane in range(lanes):
            goal[j, lane] = x[j, size, lane] - of_few[j, lane]
        for c in range(size):
            for lane in range(lanes):
                goal[j, lane] -= x[j, c, lane] * out[c, lane]
            for lane in range(lanes):
                diagonal[c, lane] += x[j, c, lane] * x[j, c, lane]
            for lane in range(lanes):
                x[j, c, lane] *= inverse[c, lane]
    for c in range(size):
        for lane in range(lanes):
            noise[c, lane] = inverse[c, lane]
    for j in range(n):
        for i in range(j + 1):
            for lane in range(lanes):
                a[j, i, lane] = np.float32(i == j)
            for c in range(size):
                for lane in range(lanes):
                    a[j, i, lane] += x[j, c, lane] * x[i, c, lane]
    of_few[:] = 0
    draw(a, goal, of_few, inverse, n)
    for j in range(n):
        for c in range(size):
            for lane in range(lanes):
                out[c, lane] += goal[j, lane] * noise[c, lane] * x[j, c, lane]


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _lay_out(rows: Int64, values: Float32, lanes: Float32) -> None:
    """lanes[c, lane] = values[rows[lane], c], or values[0, c] where all have the same; zero without a row."""
    lanes[:] = 0
    for lane in range(rows.size):
        row = rows[lane] if values.shape[0] > 1 else 0
        for c in range(values.shape[1]):
            lanes[c, lane] = values[row, c]


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _gather_rows(rows: Int64, indptr: Int64, n: int, seen: Seen, x: Float32) -> None:
    """The examples of rows with at most n into x (n, K + 1, lanes)."""
    first, stop, certainty = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64), np.zeros(LANES, np.float32)
    for lane in range(rows.size):
        first[lane], stop[lane] = indptr[rows[lane]], indptr[rows[lane] + 1]
        certainty[lane] = seen[3][rows[lane]]
    _gather(first, stop, 1, n, certainty, seen, x)


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _gram_of_rows(rows: Int64, indptr: Int64, seen: Seen, x: Float32, part: Float32, gram: Float32) -> None:
    """The Gram matrix of every row into its lane, rows longest first."""
    first, stop, certainty = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64), np.zeros(LANES, np.float32)
    longest = indptr[rows[0] + 1] - indptr[rows[0]]
    if longest < LONG:
        for lane in range(rows.size):
            first[lane], stop[lane] = indptr[rows[lane]], indptr[rows[lane] + 1]
            certainty[lane] = seen[3][rows[lane]]
        _gram(first, stop, 1, longest, certainty, seen, x, gram)
        return
    gram[:] = 0
    for place in range(rows.size):
        start, end = indptr[rows[place]], indptr[rows[place] + 1]
        certainty[:] = seen[3][rows[place]]
        for lane in range(LANES):
            first[lane], stop[lane] = start + lane, end
        _gram(first, stop, LANES, (end - start + LANES - 1) // LANES, certainty, seen, x, part)
        for c in range(part.shape[0]):
            for d in range(min(c + 1, part.shape[1])):
                total = np.float32(0.0)
                for lane in range(LANES):
                    total += part[c, d, lane]
                gram[c, d, place] = total


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_spread(rows: Int64, indptr: Int64, seen: Seen, spread: Float32, diagonal: Float32) -> None:
    """What the other side is not sure of makes this side's examples say less."""
    others, _, _, certainty, certainty_of_others, _, _ = seen
    for lane in range(rows.size):
        for place in range(indptr[rows[lane]], indptr[rows[lane] + 1]):
            root = certainty[rows[lane]] * certainty_of_others[others[place]]
            for c in range(spread.shape[1] - 1):
                diagonal[c, lane] += root * root * spread[others[place], c]


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _draw_batch(
    rows: Int64,
    indptr: Int64,
    seen: Seen,
    spread: Float32,
    precision: Float32,
    prior: Float32,
    noise: Float32,
    noise_of_few: Float32,
    noise_starts: Int64,
    drawn: Float32,
    variance: Float32,
    workspace: tuple[Float32, Float32, Float32, Float32],
) -> None:
    """Draw rows side by side, the longest first: all have at least K examples, or all have fewer."""
    x, part, gram, vectors = workspace
    diagonal, chance, inverse, goal, of_few, out = vectors
    size = precision.size
    n = indptr[rows[0] + 1] - indptr[rows[0]]
    _lay_out(rows, prior, out)
    _lay_out(rows, noise, chance)
    for c in range(size):
        diagonal[c] = precision[c]
    if spread.shape[0]:
        _add_spread(rows, indptr, seen, spread, diagonal)
    if n >= size:
        _gram_of_rows(rows, indptr, seen, x, part, gram)
        for c in range(size):
            out[c] = gram[size, c] + diagonal[c] * out[c]
            gram[c, c] += diagonal[c]
            diagonal[c] = gram[c, c]
        draw(gram, out, chance, inverse, size)
    else:
        for lane in range(rows.size):
            start = noise_starts[rows[lane]]
            for j in range(indptr[rows[lane] + 1] - indptr[rows[lane]]):
                of_few[j, lane] = noise_of_few[start + j]
        _gather_rows(rows, indptr, n, seen, x)
        _draw_from_few(x, n, diagonal, chance, of_few, gram, inverse, goal, out)
    for lane in range(rows.size):
        for c in range(size):
            drawn[rows[lane], c] = out[c, lane]
        for c in range(variance.shape[1] if variance.shape[0] else 0):
            variance[rows[lane], c] = np.float32(1.0) / diagonal[c, lane]


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def draw_rows(
    indptr: Int64,
    others: Int32,
    examples: Int64,
    targets: Float32,
    certainty: Float32,
    certainty_of_others: Float32,
    order: Int64,
    batches: Int64,
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
    workers: int,
) -> None:
    """Draw every row's K-vector in place: target = drawn[r] · (fixed[o] + shift[e], 1) + fixed[o, -1] + N(0, 1/τ).

    Row r has the places indptr[r] to indptr[r + 1] of `others`, `examples` and `targets` and, where these are fewer
    than K, as many of `noise_of_few` from noise_starts[r]. √τ is certainty[r] · certainty_of_others[o]. `shift`
    (n, K - 1; no rows: no context) is by example. `prior` is (n, K), or (1, K) where all rows have the same.
    `order` has the longest row first; the rows from batches[b] to batches[b + 1] of it are drawn side by side
    (`side_by_side`).
    `spread` (of `fixed`; no rows: known exactly) and `variance` (of `drawn`; no rows: not asked for) are the variances
    of a mean-field fit.
    """
    size = fixed.shape[1]
    for worker in prange(workers):
        seen = (others, examples, targets, certainty, certainty_of_others, fixed, shift)
        x = np.zeros((max(STEPS, size), size + 1, LANES), np.float32)
        part = np.zeros((size + 1, size, LANES), np.float32)
        gram = np.zeros((size + 1, size, LANES), np.float32)
        vectors = np.zeros((6, size, LANES), np.float32)
        workspace = (x, part, gram, vectors)
        for batch in range(worker, batches.size - 1, workers):
            _draw_batch(
                order[batches[batch] : batches[batch + 1]],
                indptr,
                seen,
                spread,
                precision,
                prior,
                noise,
                noise_of_few,
                noise_starts,
                drawn,
                variance,
                workspace,
            )


def side_by_side(counts: Int64, size: int) -> Int64:
    """Where each batch of rows starts, and their end: `counts` of examples, descending; K is `size`."""
    n_long, n_many = (int(np.searchsorted(-counts, -least, side="right")) for least in (max(LONG, size), size))
    return np.concatenate(
        [
            np.arange(0, n_long, LONG_ROWS),
            np.arange(n_long, n_many, LANES),
            np.arange(n_many, len(counts), LANES),
            np.array([len(counts)]),
        ]
    ).astype(np.int64)
