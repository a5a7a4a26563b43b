"""A side's rows and what their scores miss in; features, means and scales that moved, and the rows with them, out.

Features, means and scales are drawn given the rows' totals (bayes.py, hyper.py). Of a row with few examples totals say
little but what its features said before, so such draws hardly move, and a chain takes hundreds of epochs to get where
the examples want it. Here what ids add is held instead, and the examples decide. Each way is slow where the other is
fast; in turns they are fast (Yu, Meng 2011).
"""

from typing import Final

import numpy as np

from shortlist.contracts.arrays import Float32Array, Int64Array
from shortlist.fm.bayes_state import Features, Rows
from shortlist.fm.chance import standard_normals
from shortlist.fm.hyper import Prior
from shortlist.fm.interweave_kernels import BLOCK, draw_scales, follow, move_features, take_in, weigh_scales
from shortlist.fm.vectors import WIDTH

EARLY: Final = 20  # epochs, until where they lead matters most
OFTEN: Final = 2  # epochs from one move of a side to its next, until then
SELDOM: Final = 32  # and after: a move of both sides takes as long as an epoch


def interweave(
    mine: Rows,
    other: Rows,
    missed: Float32Array,
    certainty: tuple[Float32Array, Float32Array],
    shift: Float32Array,
    rng: np.random.Generator | None,
    n_threads: int,
) -> None:
    """Move a side's features, means and scales, in place; without chance to the likeliest, and scales not at all.

    Args:
        missed: float32 (n,), what the scores leave of the targets, in the side's order; written to.
        certainty: float32, of its rows and of the other side's.
        shift: float32 (n, k) or (0, k), the moments' factors.
    """
    n, k = len(mine.totals), mine.totals.shape[1] - 1
    places, others = (mine.indptr, mine.others, mine.examples), (other.totals, shift)
    for first in range(0, max(k, 1), BLOCK):
        m = min(BLOCK, k - first)
        accounts, before = np.empty((n, m + 2, WIDTH), np.float32), mine.totals.copy()
        take_in(*places, missed, *certainty, *others, other.variance, before, first, accounts, n_threads)
        flat = accounts.reshape(n, -1)
        if mine.features is not None:
            _move_features(mine, mine.features, first, m, flat, rng)
        _move_means(mine, first, m, flat, rng)
        if rng is not None:
            _move_scales(mine, first, m, flat, rng)
        if first + m < k:
            follow(*places, *others, mine.totals - before, missed)


def _move_features(
    mine: Rows, features: Features, first: int, m: int, accounts: Float32Array, rng: np.random.Generator | None
) -> None:
    prior, noise = features.prior, standard_normals(rng, *features.weights.shape)
    believed = (prior.precisions(), prior.means(), noise)
    move_features(*features.by_column(), first, m, accounts, *believed, features.weights, features.totals, mine.totals)
    features.settle()


def _move_means(mine: Rows, first: int, m: int, accounts: Float32Array, rng: np.random.Generator | None) -> None:
    """A mean is the weight of a feature that all rows have and that meets no others."""
    n, size = mine.totals.shape
    everywhere = np.array([0, n]), np.arange(n, dtype=np.int32), np.ones(n, np.float32)
    mean, precision = (numbers.astype(np.float32)[None] for numbers in (mine.prior.mean, mine.prior.precision))
    believed = (precision, np.zeros_like(mean), standard_normals(rng, *mean.shape))
    move_features(*everywhere, first, m, accounts, *believed, mean, np.zeros((0, size), np.float32), mine.totals)
    mine.prior = Prior(mean[0].astype(np.float64), mine.prior.precision)


def _move_scales(mine: Rows, first: int, m: int, accounts: Float32Array, rng: np.random.Generator) -> None:
    own = mine.totals - mine.prior.mean.astype(np.float32)
    if mine.features is not None:
        own -= mine.features.totals
    at: Int64Array = np.append(np.arange(first, first + m), -1)
    chances = rng.standard_normal(m + 1), rng.random(m + 1)
    deviation, mean = mine.prior.precision[at] ** -0.5, mine.prior.mean[at]
    scales = np.ones(mine.totals.shape[1])
    scales[at] = draw_scales(*weigh_scales(first, m, accounts, own), deviation, mean, *chances)
    own *= (scales - 1).astype(np.float32)
    mine.totals += own
    mine.prior = Prior(mine.prior.mean, mine.prior.precision / scales**2)
