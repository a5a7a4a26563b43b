"""What users' scores miss in, the precision of each user's targets out: τ_u ~ Gamma(ν/2, ν/2τ), ν and τ learned.

Some users rate by the mood of the day: their examples should not speak as loud as those of others (Lakshminarayanan,
Bouchard, Archambeau 2011). How far users differ is in the data: where they hardly do, ν grows and all have the same τ.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from scipy.special import gammaln

from shortlist.contracts.arrays import Float64Array, Int64Array

FIRST_SHAPE: Final = 3  # its place in SHAPES
SHAPES: Final = 2.0 ** np.arange(13)
"""Of ν: a user's own noise counts as much as the common one from so many examples on."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What is believed of it.

    Attributes:
        precision: float64 (n_users,), τ_u.
        level: τ, around which they lie.
        shape: the place of ν in SHAPES; the higher, the less users differ.
    """

    precision: Float64Array
    level: float
    shape: int

    @classmethod
    def start(cls, n_users: int) -> Self:
        return cls(np.ones(n_users), 1.0, FIRST_SHAPE)


class NoisePrior:
    """What follows for users' noise from the squares that their scores miss, float64 (n_users,)."""

    def __init__(self, counts: Int64Array) -> None:
        """`counts`: int64 (n_users,), how many examples each has."""
        self._counts = counts
        n, users = np.unique(counts, return_counts=True)
        self._volumes = [float(users @ (gammaln((nu + n) / 2) - gammaln(nu / 2))) for nu in SHAPES]

    def drawn(self, noise: Noise, missed: Float64Array, rng: np.random.Generator) -> Noise:
        """Drawn given the level before: ν by a step of Metropolis' walk, then each user's, then their level."""
        aside = noise.shape + (1 if rng.random() < 0.5 else -1)
        gain = self._evidence(aside, noise.level, missed) - self._evidence(noise.shape, noise.level, missed)
        shape = aside if np.log(rng.random()) < gain else noise.shape
        gamma, rate = self._users(shape, noise.level, missed)
        precision = rng.gamma(gamma / 2, 2 / rate)
        gamma_of_level, rate_of_level = self._level(shape, precision)
        return Noise(precision, 1 / rng.gamma(gamma_of_level / 2, 2 / rate_of_level), shape)

    def expected(self, noise: Noise, missed: Float64Array) -> Noise:
        """The mean-field answer: ν one place nearer to the likeliest, and expectations given it."""
        near = (noise.shape, noise.shape - 1, noise.shape + 1)
        shape = max(near, key=lambda place: self._evidence(place, noise.level, missed))
        gamma, rate = self._users(shape, noise.level, missed)
        precision = gamma / rate
        gamma_of_level, rate_of_level = self._level(shape, precision)
        return Noise(precision, rate_of_level / gamma_of_level, shape)

    def _evidence(self, shape: int, level: float, missed: Float64Array) -> float:
        """ln p(missed | ν, τ) with the τ_u integrated out, but for a constant; −∞ outside SHAPES."""
        if not 0 <= shape < len(SHAPES):
            return -np.inf
        nu = SHAPES[shape]
        told = (nu + self._counts) @ np.log1p(missed * (level / nu)) + self._counts.sum() * np.log(nu / level)
        return float(self._volumes[shape] - told / 2)

    def _users(self, shape: int, level: float, missed: Float64Array) -> tuple[Float64Array, Float64Array]:
        return SHAPES[shape] + self._counts, SHAPES[shape] / level + missed

    @staticmethod
    def _level(shape: int, precision: Float64Array) -> tuple[float, float]:
        nu = SHAPES[shape]
        return nu * len(precision) + 1, nu * float(precision.sum()) + 1
