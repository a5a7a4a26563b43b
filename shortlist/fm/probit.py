"""Classes and scores in, the hidden scores behind the classes out: a class is the sign of its score plus N(0, 1).

Albert, Chib 1993: given the hidden scores, classification is regression.
"""

import numpy as np
from scipy.special import log_ndtr, ndtr

from shortlist.contracts.arrays import Float32Array, Float64Array
from shortlist.fm.chance import random_bits
from shortlist.fm.chance_kernels import hidden_scores, surprise
from shortlist.fm.threads import Threads


def drawn_scores(classes: Float32Array, scores: Float32Array, rng: np.random.Generator) -> Float32Array:
    """A draw from N(score, 1) on its class's side of zero, float32 (n,). Classes are 0 or 1."""
    hidden = np.empty(len(scores), np.float32)
    hidden_scores(classes, scores, random_bits(rng, len(scores)), hidden)
    return hidden


def expected_scores(classes: Float32Array, scores: Float32Array, threads: Threads) -> Float32Array:
    """The mean of what `drawn_scores` draws from, float32 (n,)."""
    hidden = np.empty(len(scores), np.float32)

    def expect(start: int, stop: int) -> None:
        sign, toward = _toward(classes[start:stop], scores[start:stop])
        mills = np.exp(-0.5 * toward**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(toward))
        hidden[start:stop] = sign * (toward + mills)

    threads.over_blocks(len(scores), expect)
    return hidden


def probability(scores: Float32Array) -> Float32Array:
    """Of class 1, float32 (n,)."""
    return np.asarray(ndtr(scores.astype(np.float64)), np.float32)


def log_loss(classes: Float32Array, scores: Float32Array) -> float:
    """Mean of −ln of the probability of the class that came."""
    return float(surprise(classes, scores)) / len(classes)


def _toward(classes: Float32Array, scores: Float32Array) -> tuple[Float64Array, Float64Array]:
    """+1 or −1, and the score as seen from the class: above zero agrees with it."""
    sign = np.where(classes > 0, 1.0, -1.0)
    return sign, sign * scores
