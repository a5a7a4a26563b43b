"""Numba kernels of the Bayesian machine: examples and fixed factors in, whole vectors of users and items out.

A row's vector (factors and bias, K numbers) is Gaussian given all else, precision A = D + Σ τ x xᵀ with D diagonal.
Rows with at least K examples factorise A; the others the matrix of their examples, which is smaller (Bhattacharya,
Chakraborty, Mallick 2016). Noise comes from the caller: zeros give the mean instead of a draw.

The Gram matrix of a row's examples is summed eight examples at a time. Then rows are drawn side by side, one in every
lane: the last axis of every buffer, along which nothing is summed. So each step is one vector instruction, and a row's
bytes do not depend on where its buffers lie.
"""

import math
from typing import Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from shortlist.fm.vectors import EIGHT, LANES, WIDTH, add_gram, add_products

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
Seen = tuple[Int32, Int64, Float32, Float32, Float32, Float32, Float32]
"""others, examples, targets, certainty of rows, certainty of others, fixed and shift, as `draw_rows` is given them."""

PLUS: Final = np.float32(1.0)
MINUS: Final = np.float32(-1.0)
LEAST_PIVOT: Final = np.float32(1e-6)  # of a diagonal number: what single precision leaves of it is no more certain


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _gram_of_row(
    row: int, indptr: Int64, seen: Seen, x: Float32, weighted: Float32, gram: Float32, a: Float32, lane: int
) -> None:
    """Σ τ (x, goal) xᵀ over the row's examples into its lane of A (K + 1, K, lanes), x = (fixed + shift, 1)."""
    others, examples, targets, certainty, certainty_of_others, fixed, shift = seen
    k = fixed.shape[1] - 1
    gram[:] = 0
    total = np.float32(0.0)
    pull = np.float32(0.0)
    for start in range(indptr[row], indptr[row + 1], EIGHT):
        for j in range(EIGHT):
            place = start + j
            if place >= indptr[row + 1]:
                for c in range(k + 2):
                    weighted[j, c] = 0
                continue
            other = others[place]
            left = targets[place] - fixed[other, k]
            for c in range(k):
                x[j, c] = fixed[other, c]
            if shift.shape[0]:
                example = examples[place]
                for c in range(k):
                    left -= shift[example, c] * x[j, c]
                for c in range(k):
                    x[j, c] += shift[example, c]
            precision = certainty[row] * certainty_of_others[other]
            for c in range(k):
                weighted[j, c] = precision * x[j, c]
            weighted[j, k] = precision
            weighted[j, k + 1] = precision * left
            total += precision
            pull += precision * left
        add_gram(x, weighted, gram)
    for c in range(k + 2):
        for d in range(min(c + 1, k)):
            a[c, d, lane] = gram[c, d]
    a[k, k, lane] = total
    a[k + 1, k, lane] = pull


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def draw(a: Float32, b: Float32, noise: Float32, inverse: Float32, n: int) -> None:
    """b becomes A⁻¹ b + L⁻ᵀ noise in every lane, A given by its lower triangle, L Lᵀ; as `factor` leaves them after."""
    factor(a, inverse, n)
    solve(a, b, noise, inverse, n)


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def factor(a: Float32, inverse: Float32, n: int) -> None:
    """The lower triangle of A becomes L in every lane, A = L Lᵀ, but for its diagonal: `inverse` gets 1/diag L."""
    k = a.shape[1]
    for c in range(n):
        for lane in range(LANES):
            inverse[c, lane] = a[c, c, lane] * LEAST_PIVOT
        for e in range(c, n):
            add_products(a, e * k + c, MINUS, a, e * k, 1, a, c * k, 1, c)
            if e == c:
                for lane in range(LANES):
                    inverse[c, lane] = np.float32(1.0) / math.sqrt(max(a[c, c, lane], inverse[c, lane]))
            else:
                for lane in range(LANES):
                    a[e, c, lane] *= inverse[c, lane]


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def solve(a: Float32, b: Float32, noise: Float32, inverse: Float32, n: int) -> None:
    """b becomes A⁻¹ b + L⁻ᵀ noise in every lane, of what `factor` left."""
    k = a.shape[1]
    for c in range(n):
        add_products(b, c, MINUS, a, c * k, 1, b, 0, 1, c)
        for lane in range(LANES):
            b[c, lane] *= inverse[c, lane]
    for c in range(n - 1, -1, -1):
        add_products(b, c, MINUS, a, (c + 1) * k + c, k, b, c + 1, 1, n - 1 - c)
        for lane in range(LANES):
            b[c, lane] = (b[c, lane] + noise[c, lane]) * inverse[c, lane]


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
    goal_of_mean: Float32,
    out: Float32,
    mean: Float32,
    asked: bool,
) -> None:
    """Rows with at most n < K examples, x (n, K + 1, lanes): draw from the prior, then correct by what they miss.

    `out` and `mean`, which is left as it is unless `asked` for, hold the prior; `diagonal` gets its examples added.
    """
    size = out.shape[0]
    step = size + 1
    for c in range(size):
        for lane in range(LANES):
            inverse[c, lane] = np.float32(1.0) / math.sqrt(diagonal[c, lane])
        for lane in range(LANES):
            out[c, lane] += noise[c, lane] * inverse[c, lane]
    for j in range(n):
        for lane in range(LANES):
            goal[j, lane] = x[j, size, lane] - of_few[j, lane]
        add_products(goal, j, MINUS, x, j * step, 1, out, 0, 1, size)
        if asked:
            for lane in range(LANES):
                goal_of_mean[j, lane] = x[j, size, lane]
            add_products(goal_of_mean, j, MINUS, x, j * step, 1, mean, 0, 1, size)
        for c in range(size):
            for lane in range(LANES):
                diagonal[c, lane] += x[j, c, lane] * x[j, c, lane]
            for lane in range(LANES):
                x[j, c, lane] *= inverse[c, lane]
    for c in range(size):
        for lane in range(LANES):
            noise[c, lane] = inverse[c, lane]
    for j in range(n):
        for i in range(j + 1):
            for lane in range(LANES):
                a[j, i, lane] = np.float32(i == j)
            add_products(a, j * size + i, PLUS, x, j * step, 1, x, i * step, 1, size)
    of_few[:] = 0
    draw(a, goal, of_few, inverse, n)
    if asked:
        solve(a, goal_of_mean, of_few, inverse, n)
        _correct(x, n, goal_of_mean, noise, inverse, mean)
    _correct(x, n, goal, noise, inverse, out)


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _correct(x: Float32, n: int, goal: Float32, scale: Float32, change: Float32, out: Float32) -> None:
    """Add scale · xᵀ goal to `out` (K, lanes), x (n, K + 1, lanes)."""
    size = out.shape[0]
    change[:] = 0
    for c in range(size):
        add_products(change, c, PLUS, x, c, size + 1, goal, 0, 1, n)
        for lane in range(LANES):
            out[c, lane] += change[c, lane] * scale[c, lane]


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _gather(rows: Int64, indptr: Int64, n: int, seen: Seen, x: Float32) -> None:
    """The examples of rows with at most n into x (n, K + 1, lanes): (fixed + shift, 1, goal) times √τ, then zeros."""
    others, examples, targets, certainty, certainty_of_others, fixed, shift = seen
    k = fixed.shape[1] - 1
    x[:n] = 0
    for lane in range(rows.size):
        start = indptr[rows[lane]]
        for j in range(indptr[rows[lane] + 1] - start):
            other = others[start + j]
            root = math.sqrt(certainty[rows[lane]] * certainty_of_others[other])
            left = targets[start + j] - fixed[other, k]
            for c in range(k):
                x[j, c, lane] = root * fixed[other, c]
            if shift.shape[0]:
                example = examples[start + j]
                for c in range(k):
                    left -= shift[example, c] * fixed[other, c]
                    x[j, c, lane] += root * shift[example, c]
            x[j, k, lane] = root
            x[j, k + 1, lane] = root * left


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _lay_out(rows: Int64, values: Float32, lanes: Float32) -> None:
    """lanes[c, lane] = values[rows[lane], c], or values[0, c] where all have the same; zero without a row."""
    lanes[:] = 0
    for lane in range(rows.size):
        row = rows[lane] if values.shape[0] > 1 else 0
        for c in range(values.shape[1]):
            lanes[c, lane] = values[row, c]


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add_spread(rows: Int64, indptr: Int64, seen: Seen, spread: Float32, diagonal: Float32) -> None:
    """What the other side is not sure of makes this side's examples say less."""
    others, _, _, certainty, certainty_of_others, _, _ = seen
    for lane in range(rows.size):
        for place in range(indptr[rows[lane]], indptr[rows[lane] + 1]):
            precision = certainty[rows[lane]] * certainty_of_others[others[place]]
            for c in range(spread.shape[1] - 1):
                diagonal[c, lane] += precision * spread[others[place], c]


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
    means: Float32,
    variance: Float32,
    workspace: tuple[Float32, Float32, Float32, Float32, Float32, Float32],
) -> None:
    """Draw rows side by side, the longest first: all have at least K examples, or all have fewer."""
    few, x, weighted, gram, a, vectors = workspace
    diagonal, chance, inverse, goal, goal_of_mean, of_few, out, mean = vectors
    size = precision.size
    asked = means.shape[0] > 0
    n = indptr[rows[0] + 1] - indptr[rows[0]]
    _lay_out(rows, prior, out)
    _lay_out(rows, noise, chance)
    for c in range(size):
        diagonal[c] = precision[c]
    if spread.shape[0]:
        _add_spread(rows, indptr, seen, spread, diagonal)
    if n >= size:
        a[:] = 0
        for lane in range(rows.size):
            _gram_of_row(rows[lane], indptr, seen, x, weighted, gram, a, lane)
        for c in range(size):
            out[c] = a[size, c] + diagonal[c] * out[c]
            a[c, c] += diagonal[c]
            diagonal[c] = a[c, c]
        mean[:] = out
        draw(a, out, chance, inverse, size)
        if asked:
            of_few[:] = 0
            solve(a, mean, of_few, inverse, size)
    else:
        for lane in range(rows.size):
            start = noise_starts[rows[lane]]
            for j in range(indptr[rows[lane] + 1] - indptr[rows[lane]]):
                of_few[j, lane] = noise_of_few[start + j]
        _gather(rows, indptr, n, seen, few)
        mean[:] = out
        _draw_from_few(few, n, diagonal, chance, of_few, a, inverse, goal, goal_of_mean, out, mean, asked)
    for lane in range(rows.size):
        for c in range(size):
            drawn[rows[lane], c] = out[c, lane]
        for c in range(size if asked else 0):
            means[rows[lane], c] = mean[c, lane]
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
    means: Float32,
    variance: Float32,
    workers: int,
) -> None:
    """Draw every row's K-vector in place: target = drawn[r] · (fixed[o] + shift[e], 1) + fixed[o, -1] + N(0, 1/τ).

    Row r has the places indptr[r] to indptr[r + 1] of `others`, `examples` and `targets` and, where these are fewer
    than K, as many of `noise_of_few` from noise_starts[r]. τ is certainty[r] · certainty_of_others[o]. `shift`
    (n, K - 1; no rows: no context) is by example. `prior` is (n, K), or (1, K) where all rows have the same.
    The rows from batches[b] to batches[b + 1] of `order` are drawn together (`side_by_side`).
    `means` (as `drawn`; no rows: not asked for) gets what they are drawn around.
    `spread` (of `fixed`; no rows: known exactly) and `variance` (of `drawn`; no rows: not asked for) are the variances
    of a mean-field fit.
    """
    size = fixed.shape[1]
    width = (size + WIDTH - 2) // WIDTH * WIDTH
    for worker in prange(workers):
        seen = (others, examples, targets, certainty, certainty_of_others, fixed, shift)
        few = np.zeros((size, size + 1, LANES), np.float32)
        x = np.zeros((EIGHT, width), np.float32)
        weighted = np.zeros((EIGHT, size + 1), np.float32)
        gram = np.zeros((size + 1, width), np.float32)
        a = np.zeros((size + 1, size, LANES), np.float32)
        vectors = np.zeros((8, size, LANES), np.float32)
        workspace = (few, x, weighted, gram, a, vectors)
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
                means,
                variance,
                workspace,
            )


def side_by_side(counts: Int64, size: int) -> tuple[Int64, Int64]:
    """The rows in the order in which they are drawn, and where in it each batch starts, with the end.

    Rows with fewer of the `counts` examples than `size` (K) share a batch with others of their length. The others are
    dealt to theirs, longest first, so that batches take equally long.
    """
    order = np.argsort(-counts, kind="stable")
    n_many = int(np.count_nonzero(counts >= size))
    n_batches = -(-n_many // LANES)
    many = [order[batch:n_many:n_batches] for batch in range(n_batches)]
    starts = np.cumsum([0] + [len(batch) for batch in many])[:-1]
    batches = np.concatenate([starts, np.arange(n_many, len(counts), LANES), [len(counts)]])
    return np.concatenate([*many, order[n_many:]]).astype(np.int64), batches.astype(np.int64)
