"""Numba kernels: compressed rows and rotated factors in, the rows' new factors out. Compiled once, then cached."""

import math

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]


@njit(parallel=True, fastmath=True, cache=True)  # type: ignore[untyped-decorator]
def solve_rows(
    indptr: Int64,
    indices: Int32,
    confidence: Float32,
    target: Float32,
    order: Int64,
    fixed: Float32,
    diagonal: Float32,
    linear: Float32,
    regularization: Float32,
    prior: Float32,
    solved: Float32,
    steps: int,
    lanes: int,
) -> None:
    """Improve every row of `solved` by preconditioned conjugate gradients, in place.

    Row r minimises  sum_j c_j (t_j - x.h_j)^2  +  x'Dx - 2 x.g  +  reg_r |x - m_r|^2, where D = diag(`diagonal`)
    stands for every pair (the Gramian in its own eigenbasis) and g is `linear`. Dividing by the square root of the
    diagonal leaves "identity + observed pairs", which two or three steps from the last epoch's row solve well enough.
    """
    width = fixed.shape[1]
    longest = 1
    for row in range(indptr.size - 1):
        longest = max(longest, indptr[row + 1] - indptr[row])
    for lane in prange(lanes):
        gathered = np.empty((longest, width), np.float32)
        goal = np.empty(longest, np.float32)
        scale = np.empty(width, np.float32)
        y = np.empty(width, np.float32)
        residual = np.empty(width, np.float32)
        direction = np.empty(width, np.float32)
        image = np.empty(width, np.float32)
        for place in range(lane, order.size, lanes):
            row = order[place]
            start = indptr[row]
            n = indptr[row + 1] - start
            ridge = regularization[row]
            for c in range(width):
                scale[c] = np.float32(1.0) / math.sqrt(diagonal[c] + ridge)
                y[c] = solved[row, c] / scale[c]
                residual[c] = (linear[c] + ridge * prior[row, c]) * scale[c] - y[c]
            for j in range(n):
                col = indices[start + j]
                root = math.sqrt(confidence[start + j])
                for c in range(width):
                    gathered[j, c] = fixed[col, c] * scale[c] * root
                goal[j] = target[col] * root
            for j in range(n):
                dot = np.float32(0.0)
                for c in range(width):
                    dot += gathered[j, c] * y[c]
                miss = goal[j] - dot
                for c in range(width):
                    residual[c] += miss * gathered[j, c]
            _descend(gathered, n, y, residual, direction, image, steps)
            for c in range(width):
                solved[row, c] = y[c] * scale[c]


@njit(fastmath=True, cache=True, inline="always")  # type: ignore[untyped-decorator]
def _descend(
    gathered: Float32, n: int, y: Float32, residual: Float32, direction: Float32, image: Float32, steps: int
) -> None:
    """Conjugate gradient steps on (I + G'G) y = rhs, G the first n rows of `gathered`; changes y and residual.

    No loop both stores and sums: before it vectorises one, LLVM asks at run time whether the arrays overlap, and where
    it cannot tell it takes the scalar loop, which adds in another order: the same purchases would give other bytes.
    """
    width = y.size
    squared = np.float32(0.0)
    for c in range(width):
        direction[c] = residual[c]
    for c in range(width):
        squared += residual[c] * residual[c]
    for _ in range(steps):
        if squared < np.float32(1e-12):
            break
        for c in range(width):
            image[c] = direction[c]
        whole = n - n % 4
        for j in range(0, whole, 4):
            d0 = np.float32(0.0)
            d1 = np.float32(0.0)
            d2 = np.float32(0.0)
            d3 = np.float32(0.0)
            for c in range(width):
                p = direction[c]
                d0 += gathered[j, c] * p
                d1 += gathered[j + 1, c] * p
                d2 += gathered[j + 2, c] * p
                d3 += gathered[j + 3, c] * p
            for c in range(width):
                image[c] += (
                    d0 * gathered[j, c] + d1 * gathered[j + 1, c] + d2 * gathered[j + 2, c] + d3 * gathered[j + 3, c]
                )
        for j in range(whole, n):
            dot = np.float32(0.0)
            for c in range(width):
                dot += gathered[j, c] * direction[c]
            for c in range(width):
                image[c] += dot * gathered[j, c]
        curvature = np.float32(0.0)
        for c in range(width):
            curvature += direction[c] * image[c]
        length = squared / curvature
        previous = squared
        squared = np.float32(0.0)
        for c in range(width):
            y[c] += length * direction[c]
            residual[c] -= length * image[c]
        for c in range(width):
            squared += residual[c] * residual[c]
        turn = squared / previous
        for c in range(width):
            direction[c] = residual[c] + turn * direction[c]


@njit(parallel=True, fastmath=True, cache=True)  # type: ignore[untyped-decorator]
def observed_misses(
    indptr: Int64, indices: Int32, confidence: Float32, users: Float32, items: Float32
) -> NDArray[np.float64]:
    """Σ c (1 − u.i)² over the observed pairs of every row, float64 (n_rows,)."""
    misses = np.zeros(indptr.size - 1)
    for row in prange(indptr.size - 1):
        total = 0.0
        for j in range(indptr[row], indptr[row + 1]):
            dot = np.float32(0.0)
            for c in range(users.shape[1]):
                dot += users[row, c] * items[indices[j], c]
            total += confidence[j] * (1.0 - dot) ** 2
        misses[row] = total
    return misses
