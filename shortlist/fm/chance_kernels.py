"""Numba kernels of chance: random bits and scores in, standard normal numbers and hidden scores of classes out.

Φ and its inverse as polynomials in single precision, fitted over the range in which they are used (Lawson's reweighted
least squares on Chebyshev polynomials): a draw is off by less than 1e-5, which no sample is large enough to show.
Every element goes by itself, so bytes do not depend on how blocks are dealt to threads.
"""

import math
from typing import Final

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

BLOCK: Final = 4096
FARTHEST: Final = np.float32(11)  # standard deviations; beyond, a share of the probability leaves single precision
UNIT: Final = np.float32(2.0**-32)
HALF: Final = np.float32(0.5)
ONE: Final = np.float32(1.0)


def _polynomial(*coefficients: float) -> tuple[float, ...]:
    """Highest power first."""
    single: tuple[float, ...] = tuple(np.float32(c) for c in coefficients)  # type: ignore[misc]
    return single


LOG2 = _polynomial(
    1.18165368e-4, -3.92552784e-4, 1.1659804e-3, -4.41185064e-3, 0.0178181643, -0.0801580847, 0.48089769, 0.584962765
)
EXP2 = _polynomial(4.14889587e-5, 6.04721331e-4, 6.93839161e-3, 0.0600552993, 0.346573484, 1.0)
MILLS = _polynomial(
    2.4075731e-5,
    2.47899165e-5,
    -3.76300899e-4,
    -6.90366959e-4,
    5.42638804e-3,
    0.0347086642,
    0.104010436,
    0.200702221,
    0.156170122,
)
QUANTILE = _polynomial(
    -2.22033575e-4,
    -9.2900086e-4,
    -1.94712891e-3,
    -5.46589226e-3,
    -0.0156813469,
    -0.0460551784,
    -0.123374553,
    -0.336136168,
    -0.553198438,
    1.0830104,
)


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _at(x: float, coefficients: tuple[float, ...]) -> float:
    value = coefficients[0]
    for c in coefficients[1:]:
        value = value * x + c
    return value


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _log2(p: float) -> float:
    """Of p > 0, off by less than 3e-7 or in the last bit; -127 of 0."""
    bits = np.float32(p).view(np.int32)
    mantissa = np.int32((bits & 0x7FFFFF) | 0x3F800000).view(np.float32)
    exponent = np.int32((bits >> 23) - 127)
    log: float = np.float32(exponent) + _at((mantissa - np.float32(1.5)) * np.float32(2.0), LOG2)
    return log


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _exp2(y: float) -> float:
    """Of y in [-126, 126], relative error under 2e-7."""
    whole = np.int32(y - HALF) if y < 0 else np.int32(y + HALF)
    scale = np.int32((whole + 127) << 23).view(np.float32)
    power: float = scale * _at((y - np.float32(whole)) * np.float32(2.0), EXP2)
    return power


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _below(distance: float) -> float:
    """Φ(-distance) for distances from 0 to FARTHEST, relative error under 1e-5."""
    s = ONE / (ONE + np.float32(0.3) * distance)
    mills = _at((s - np.float32(0.6020408163)) * np.float32(2.5128205128), MILLS)
    below: float = mills * _exp2(np.float32(-0.5 / math.log(2)) * distance * distance)
    return below


@njit(fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _distance(p: float) -> float:
    """-Φ⁻¹(p) for p up to 1/2, off by less than 1e-5."""
    z = math.sqrt(np.float32(-math.log(2)) * _log2(p))
    s = ONE / (ONE + z)
    distance: float = z * _at((s - np.float32(0.31829771)) * np.float32(4.39775747), QUANTILE)
    return distance


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def normals(bits: NDArray[np.uint32], out: Float32) -> None:
    """Standard normal numbers, float32 (n,), each of 32 random bits, uint32 (n,)."""
    for block in prange((out.size + BLOCK - 1) // BLOCK):
        for e in range(block * BLOCK, min((block + 1) * BLOCK, out.size)):
            distance = _distance((np.float32(bits[e] >> np.uint32(1)) + HALF) * UNIT)
            out[e] = distance if bits[e] & np.uint32(1) else -distance


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def hidden_scores(classes: Float32, scores: Float32, bits: NDArray[np.uint32], hidden: Float32) -> None:
    """Draws from N(score, 1) on the class's side of zero into `hidden` (n,); classes are 0 or 1."""
    for block in prange((hidden.size + BLOCK - 1) // BLOCK):
        for e in range(block * BLOCK, min((block + 1) * BLOCK, hidden.size)):
            sign = ONE if classes[e] > 0 else -ONE
            toward = max(sign * scores[e], -FARTHEST)
            far = _below(min(abs(toward), FARTHEST))
            chance = (np.float32(bits[e]) + HALF) * UNIT
            rest = (np.float32(~bits[e]) + HALF) * UNIT
            below = chance * (ONE - far if toward > 0 else far)
            above = rest + chance * (far if toward > 0 else ONE - far)
            distance = _distance(min(below, above))
            hidden[e] = sign * max(toward + (distance if below < above else -distance), np.float32(0.0))


@njit(parallel=True, fastmath=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def surprise(classes: Float32, scores: Float32) -> float:
    """Σ −ln Φ(±score), what the classes that came are worth to one who believes the scores."""
    n_blocks = (scores.size + BLOCK - 1) // BLOCK
    parts = np.zeros(n_blocks)
    for block in prange(n_blocks):
        total = np.float32(0.0)
        for e in range(block * BLOCK, min((block + 1) * BLOCK, scores.size)):
            toward = min(max(scores[e] if classes[e] > 0 else -scores[e], -FARTHEST), FARTHEST)
            far = _below(abs(toward))
            total -= _log2(ONE - far if toward > 0 else far)
        parts[block] = total
    total_log2: float = parts.sum()
    return total_log2 * math.log(2)
