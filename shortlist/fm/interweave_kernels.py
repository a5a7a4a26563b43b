"""Numba kernels of moves that rows make together: what their examples say in, features, means and scales out.

What rows have in common moves their totals along, as what ids add is held. Of a row's n examples a kernel needs
Σ τ x xᵀ alone, x = (m factors of the other side, 1, what is missed): (m + 2, WIDTH) numbers, its *account*. The last
line of an account, which says where the row wants to go, follows every move.
"""

import math
from typing import Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from shortlist.fm.prefetch import AHEAD, announce
from shortlist.fm.row_kernels import Float32, Int32, Int64, draw
from shortlist.fm.vectors import EIGHT, LANES, WIDTH, add_gram, add_scaled, product

Float64 = NDArray[np.float64]

BLOCK: Final = WIDTH - 2  # factors that move at once, beside the offset


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def take_in(
    indptr: Int64,
    others: Int32,
    examples: Int64,
    missed: Float32,
    certainty: Float32,
    certainty_of_others: Float32,
    fixed: Float32,
    shift: Float32,
    spread: Float32,
    totals: Float32,
    first: int,
    accounts: Float32,
    workers: int,
) -> None:
    """Write the accounts (n, m + 2, WIDTH) of n rows, for m factors from `first` on.

    `missed` is by place: what the score by `totals` (n, K) leaves of the target. The others: `draw_rows`.
    """
    m = accounts.shape[1] - 2
    for worker in prange(workers):
        x, unsure = np.zeros((EIGHT, WIDTH), np.float32), np.zeros(m, np.float32)
        for row in range(worker, indptr.size - 1, workers):
            account = accounts[row]
            account[:] = 0
            unsure[:] = 0
            for start in range(indptr[row], indptr[row + 1], EIGHT):
                here = min(indptr[row + 1] - start, EIGHT)
                x[here:] = 0
                for j in range(here):
                    other, point = others[start + j], x[j]
                    precision = certainty[row] * certainty_of_others[other]
                    root = math.sqrt(precision)
                    its = fixed[other]
                    for c in range(m):
                        point[c] = root * its[first + c]
                    if shift.shape[0]:
                        more = shift[examples[start + j]]
                        for c in range(m):
                            point[c] += root * more[first + c]
                    point[m] = root
                    point[m + 1] = root * missed[start + j]
                    if spread.shape[0]:
                        for c in range(m):
                            unsure[c] += precision * spread[other, first + c]
                add_gram(x, x, account)
            for c in range(m):
                account[c, c] += unsure[c]
                account[m + 1, c] -= unsure[c] * totals[row, first + c]


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def follow(
    indptr: Int64, others: Int32, examples: Int64, fixed: Float32, shift: Float32, steps: Float32, missed: Float32
) -> None:
    """Take off what is `missed`, by place, what the score gained by the rows' `steps` (n, K)."""
    k = fixed.shape[1] - 1
    for row in prange(indptr.size - 1):
        mine = steps[row]
        for place in range(indptr[row], indptr[row + 1]):
            its = fixed[others[place]]
            gained = mine[k]
            for c in range(k):
                gained += mine[c] * its[c]
            if shift.shape[0]:
                more = shift[examples[place]]
                for c in range(k):
                    gained += mine[c] * more[c]
            missed[place] -= gained


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def move_features(
    indptr: Int64,
    rows: Int32,
    values: Float32,
    first: int,
    m: int,
    accounts: Float32,
    prior_precision: Float32,
    prior: Float32,
    noise: Float32,
    weights: Float32,
    beside: Float32,
    totals: Float32,
) -> None:
    """Draw m factors from `first` on and the linear weight of every feature given all others and what ids add.

    In place. Rows that have a feature move along: their `totals` (n, K), `accounts` (n, (m + 2) WIDTH) and the factors
    of all their features, `beside` (n, K; no rows: a feature that meets no others). The others: `draw_features`.
    """
    k = totals.shape[1] - 1
    a = np.zeros((WIDTH, WIDTH, LANES), np.float32)
    for c in range(WIDTH):
        a[c, c] = 1  # in the lanes that nothing is drawn in
    vectors = np.zeros((3, WIDTH, LANES), np.float32)
    b, chance, inverse = vectors[0], vectors[1], vectors[2]
    gram = np.zeros((WIDTH, WIDTH), np.float32)
    goal, old, slope = np.zeros(WIDTH, np.float32), np.zeros(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    step = np.zeros(WIDTH, np.float32)
    offset, aim = m * WIDTH, (m + 1) * WIDTH
    for f in range(indptr.size - 1):
        for c in range(m):
            old[c] = weights[f, first + c]
        old[m] = weights[f, k]
        gram[:] = 0
        goal[:] = 0
        for place in range(indptr[f], indptr[f + 1]):
            announce(accounts, rows[min(place + AHEAD, indptr[f + 1] - 1)])
            row, value = rows[place], values[place]
            at, square = row * accounts.shape[1], value * value
            add_scaled(goal, 0, value, accounts, at + aim)
            if beside.shape[0]:
                for c in range(m):
                    slope[c] = beside[row, first + c] - value * old[c]
                add_scaled(goal, 0, value * accounts[row, aim + m], slope, 0)
            for c in range(m + 1):
                add_scaled(gram, c * WIDTH, square, accounts, at + c * WIDTH)
                if beside.shape[0]:
                    both = accounts[row, offset + c] + accounts[row, offset + m] * slope[c]
                    add_scaled(gram, c * WIDTH, square * both, slope, 0)
                    add_scaled(gram, c * WIDTH, square * slope[c], accounts, at + offset)
        for c in range(m + 1):
            to = first + c if c < m else k
            certain = prior_precision[f, to]
            b[c, 0] = goal[c] + product(gram, c * WIDTH, old, 0) + certain * prior[f, to]
            for d in range(c + 1):
                a[c, d, 0] = gram[c, d]
            a[c, c, 0] += certain
            chance[c, 0] = noise[f, to]
        draw(a, b, chance, inverse, m + 1)
        for c in range(m + 1):
            step[c] = b[c, 0] - old[c]
            weights[f, first + c if c < m else k] = b[c, 0]
        linear = step[m]
        for place in range(indptr[f], indptr[f + 1]):
            announce(accounts, rows[min(place + AHEAD, indptr[f + 1] - 1)])
            row, value = rows[place], values[place]
            at = row * accounts.shape[1]
            if beside.shape[0]:
                step[m] = linear
                for c in range(m):
                    step[m] += (beside[row, first + c] - value * old[c]) * step[c]
                for c in range(m):
                    beside[row, first + c] += value * step[c]
            for c in range(m + 1):
                add_scaled(accounts, at + aim, -value * step[c], accounts, at + c * WIDTH)
            for c in range(m):
                totals[row, first + c] += value * step[c]
            totals[row, k] += value * step[m]


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def weigh_scales(first: int, m: int, accounts: Float32, own: Float32) -> tuple[Float32, Float32]:
    """Of one factor for each number of what ids add, `own` (n, K): precision (m + 1, WIDTH) and goal (m + 1,)."""
    precision, goal, mine = (
        np.zeros((m + 1, WIDTH), np.float32),
        np.zeros(m + 1, np.float32),
        np.zeros(m + 1, np.float32),
    )
    for row in range(own.shape[0]):
        account = accounts[row]
        for c in range(m):
            mine[c] = own[row, first + c]
        mine[m] = own[row, own.shape[1] - 1]
        for c in range(m + 1):
            goal[c] += mine[c] * account[(m + 1) * WIDTH + c]
        for c in range(m + 1):
            line, sums, left = account[c * WIDTH : c * WIDTH + m + 1], precision[c], mine[c]
            for d in range(m + 1):
                sums[d] += left * mine[d] * line[d]
    return precision, goal


@njit(cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def draw_scales(
    precision: Float32, goal: Float32, deviation: Float64, mean: Float64, normals: Float64, uniforms: Float64
) -> Float64:
    """One factor after the other, drawn as if each was as likely as any, and taken by what the prior says of it.

    `deviation` (m + 1,) is of what ids add, under the hyper-prior of `Prior`, and `mean` has a prior as wide as it.
    """
    scales = np.ones(goal.size)
    for c in range(goal.size):
        if not precision[c, c] > 0:
            continue
        left = float(goal[c])
        for d in range(goal.size):
            left -= precision[c, d] * (scales[d] - 1) if d != c else 0.0
        new = 1 + left / precision[c, c] + normals[c] / math.sqrt(precision[c, c])
        before, after = deviation[c], deviation[c] * abs(new)
        if after > 0:
            gain = 3 * math.log(before / after) + (1 + mean[c] ** 2) / 2 * (before**-2 - after**-2)
            if math.log(uniforms[c]) < gain:
                scales[c] = new
    return scales
