"""Numba kernels: compressed rows and the other side's factors in, the rows' new factors out.

Before LLVM's vectorised loops store, they ask at run time whether what they store to lies too near behind what they
read; if so a scalar loop runs, which rounds otherwise, and where numpy happened to put an array would be seen in the
result. So no loop both stores and sums, and a row's own vectors lie apart from each other and behind a gap (`APART`).
"""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from shortlist.fm.prefetch import AHEAD, announce

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]

NEAR = 65_536  # numbers: of a row whose pairs have more on the other side, the second nearest cache keeps too few
APART = 256  # numbers, more than a vectorised loop takes at a time
ZERO = np.float32(0)
SOLVED = np.float32(1e-12)


@njit(parallel=True, fastmath=True, cache=True)  # type: ignore[untyped-decorator]
def solve_rows(
    indptr: Int64,
    indices: Int32,
    confidence: Float32,
    target: Float32,
    lanes: Int64,
    fixed: Float32,
    diagonal: Float32,
    linear: Float32,
    coupling: Float32,
    corner: float,
    regularization: Float32,
    prior: Float32,
    solved: Float32,
    biases: Float32,
    steps: int,
) -> None:
    """Improve every row x of `solved`, and its bias b in `biases`, by preconditioned conjugate gradients, in place.

    Row r minimises  sum_j c_j (t_j - x.h_j - b)^2  +  x'Dx + 2 b x.s + b^2 `corner` - 2 x.g  +  reg_r |(x, b) - m_r|^2

    where D = diag(`diagonal`), s = `coupling` and `corner` stand for every pair, D being the Gramian of `fixed` in its
    own eigenbasis, and g is `linear`. This shared part and the regularisation are solved exactly, at the cost of a few
    products a number, and precondition the observed pairs: two steps from the last epoch's row are enough.

    Args:
        target: (n_fixed,), t by row of `fixed`. Without numbers: ones, and nothing is looked up (of a
            million users each look would miss the caches, and items take twice as long).
        lanes: int64 (n_threads + 1,), first row of each thread's share.
        prior: (n_rows, k + 1) or, without biases, (n_rows, k): m. Without rows: zeros.
        biases: (n_rows,), or empty: b is then no unknown but zero, and `coupling` has to be zero.
    """
    width = fixed.shape[1]
    biased = np.float32(biases.size > 0)
    apart = 1 + APART // width
    for lane in prange(lanes.size - 1):
        own = np.empty((7 * apart, width), np.float32)
        shared, inverse, x = own[apart], own[2 * apart], own[3 * apart]
        residual, direction, image = own[4 * apart], own[5 * apart], own[6 * apart]
        for row in range(lanes[lane], lanes[lane + 1]):
            ridge = regularization[row]
            own_corner = np.float32(corner) + ridge
            for c in range(width):
                shared[c] = diagonal[c] + ridge
                inverse[c] = np.float32(1) / shared[c]
            rest = ZERO
            for c in range(width):
                rest += coupling[c] * coupling[c] * inverse[c]
            rest = max(own_corner - rest, ridge)  # never less, but for rounding
            b, b_residual = ZERO, ZERO
            for c in range(width):
                x[c] = solved[row, c]
            if biases.size:
                b = biases[row]
                b_residual = -own_corner * b - _dot(coupling, x)
            for c in range(width):
                residual[c] = linear[c] - shared[c] * x[c] - coupling[c] * b
            if prior.shape[0]:
                for c in range(width):
                    residual[c] += ridge * prior[row, c]
                if biases.size:
                    b_residual += ridge * prior[row, width]
            pairs = (indptr[row], indptr[row + 1])
            b_residual += biased * _add_pairs(
                indices, confidence, target, np.float32(1), pairs, fixed, x, b, residual, True
            )
            squared, b_direction = ZERO, ZERO
            for step in range(steps):
                b_image = biased * (b_residual - _dot_scaled(coupling, inverse, residual)) / rest
                for c in range(width):
                    image[c] = (residual[c] - coupling[c] * b_image) * inverse[c]
                before, squared = squared, _dot(residual, image) + b_residual * b_image
                if squared < SOLVED:
                    break
                turn = squared / before if step else ZERO
                if step:
                    for c in range(width):
                        direction[c] = image[c] + turn * direction[c]
                else:
                    for c in range(width):
                        direction[c] = image[c]
                b_direction = b_image + turn * b_direction
                b_image = -own_corner * b_direction - biased * _dot(coupling, direction)
                for c in range(width):
                    image[c] = -shared[c] * direction[c] - coupling[c] * b_direction
                b_image += biased * _add_pairs(
                    indices, confidence, target, ZERO, pairs, fixed, direction, b_direction, image, False
                )
                length = -squared / (_dot(direction, image) + b_direction * b_image)
                for c in range(width):
                    x[c] += length * direction[c]
                for c in range(width):
                    residual[c] += length * image[c]
                b += length * b_direction
                b_residual += length * b_image
            for c in range(width):
                solved[row, c] = x[c]
            if biases.size:
                biases[row] = b


@njit(fastmath=True, cache=True, inline="always")  # type: ignore[untyped-decorator]
def _add_pairs(
    indices: Int32,
    confidence: Float32,
    target: Float32,
    wanted: float,
    pairs: tuple[int, int],
    fixed: Float32,
    x: Float32,
    b: float,
    total: Float32,
    first: bool,
) -> np.float32:
    """total += sum_j c_j (wanted t_j - x.h_j - b) h_j over a row's pairs; the sum without h_j is returned.

    Four pairs at a time; what is missing from the last four is its last pair again, of no weight.
    """
    last = pairs[1] - 1
    fetch = first or (pairs[1] - pairs[0]) * x.size > NEAR
    alone = ZERO
    for j in range(pairs[0], pairs[1], 4):
        j1, j2, j3 = min(j + 1, last), min(j + 2, last), min(j + 3, last)
        i0, i1, i2, i3 = indices[j], indices[j1], indices[j2], indices[j3]
        if fetch:
            for ahead in range(j + AHEAD, min(j + AHEAD + 4, indices.size)):
                announce(fixed, indices[ahead])
        d0, d1, d2, d3 = ZERO, ZERO, ZERO, ZERO
        for c in range(x.size):
            d0 += fixed[i0, c] * x[c]
            d1 += fixed[i1, c] * x[c]
            d2 += fixed[i2, c] * x[c]
            d3 += fixed[i3, c] * x[c]
        d0 = confidence[j] * (wanted * _wish(target, i0) - d0 - b)
        d1 = confidence[j1] * (wanted * _wish(target, i1) - d1 - b) if j < last else ZERO
        d2 = confidence[j2] * (wanted * _wish(target, i2) - d2 - b) if j + 1 < last else ZERO
        d3 = confidence[j3] * (wanted * _wish(target, i3) - d3 - b) if j + 2 < last else ZERO
        alone += d0 + d1 + d2 + d3
        for c in range(x.size):
            total[c] += d0 * fixed[i0, c] + d1 * fixed[i1, c] + d2 * fixed[i2, c] + d3 * fixed[i3, c]
    return alone


@njit(fastmath=True, cache=True, inline="always")  # type: ignore[untyped-decorator]
def _wish(target: Float32, other: int) -> np.float32:
    return target[other] if target.size else np.float32(1)


@njit(fastmath=True, cache=True, inline="always")  # type: ignore[untyped-decorator]
def _dot(a: Float32, b: Float32) -> np.float32:
    total = ZERO
    for c in range(a.size):
        total += a[c] * b[c]
    return total


@njit(fastmath=True, cache=True, inline="always")  # type: ignore[untyped-decorator]
def _dot_scaled(a: Float32, scale: Float32, b: Float32) -> np.float32:
    total = ZERO
    for c in range(a.size):
        total += a[c] * scale[c] * b[c]
    return total


@njit(parallel=True, fastmath=True, cache=True)  # type: ignore[untyped-decorator]
def observed_misses(
    indptr: Int64, indices: Int32, confidence: Float32, users: Float32, items: Float32, biases: Float32
) -> NDArray[np.float64]:
    """Σ c (1 − u.i − b_i)² over the observed pairs of every row, float64 (n_rows,)."""
    misses = np.zeros(indptr.size - 1)
    for row in prange(indptr.size - 1):
        total = 0.0
        for j in range(indptr[row], indptr[row + 1]):
            announce(items, indices[min(j + AHEAD, indices.size - 1)])
            item = indices[j]
            dot = biases[item]
            for c in range(users.shape[1]):
                dot += users[row, c] * items[item, c]
            total += confidence[j] * (1.0 - dot) ** 2
        misses[row] = total
    return misses
