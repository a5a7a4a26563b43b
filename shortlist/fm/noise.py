"""What users' scores miss in, the precision of each user's targets out: τ_u ~ Gamma(ν/2, ν/2τ), ν and τ learned.

Some users rate by the mood of the day: their examples should not speak as loud as those of others (Lakshminarayanan,
Bouchard, Archambeau 2011). How far users differ is in the data: where they hardly do, ν grows and all have the same τ.
Before any example 1/τ ~ Gamma(½, ½), and every ν of SHAPES is as likely as another.
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from scipy.special import gammaln

from shortlist.contracts.arrays import Float64Array, Int64Array

FIRST_SHAPE: Final = 3  # its place in SHAPES
SHAPES: Final = 2.0 ** np.arange(13)
"""Of ν: a user's own noise counts as much as the common one from so many examples on."""
LONGEST_STEP: Final = 1.0  # of Newton's method in ln τ: below its mode the evidence is too straight for a whole one
CLOSE: Final = 0.01  # standard deviations from the mode, which are near enough
MOST_STEPS: Final = 60
TAILS: Final = 4.0  # degrees of freedom of Student's t, which has heavier ones than the evidence


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
        """ν and τ by steps of Metropolis' with the τ_u integrated out, then each user's.

        Given the τ_u, which lie the closer around it the larger ν is, τ would hardly move.
        """
        aside = noise.shape + (1 if rng.random() < 0.5 else -1)
        gain = self._evidence(aside, noise.level, missed) - self._evidence(noise.shape, noise.level, missed)
        shape = aside if np.log(rng.random()) < gain else noise.shape
        level = self._drawn_level(shape, noise.level, missed, rng)
        gamma, rate = self._users(shape, level, missed)
        return Noise(rng.gamma(gamma / 2, 2 / rate), level, shape)

    def expected(self, noise: Noise, missed: Float64Array) -> Noise:
        """The mean-field answer: ν one place nearer to the likeliest, the likeliest τ, and expectations given both."""
        near = (noise.shape, noise.shape - 1, noise.shape + 1)
        shape = max(near, key=lambda place: self._evidence(place, noise.level, missed))
        level = float(np.exp(self._likeliest(shape, noise.level, missed)[0]))
        gamma, rate = self._users(shape, level, missed)
        return Noise(gamma / rate, level, shape)

    def _drawn_level(self, shape: int, level: float, missed: Float64Array, rng: np.random.Generator) -> float:
        """A proposal that does not know the level before: Student's t around the likeliest."""
        mode, deviation = self._likeliest(shape, level, missed)

        def ahead(log_level: float) -> float:
            """Of what the proposal says."""
            apart = (log_level - mode) / deviation
            said = -(TAILS + 1) / 2 * np.log1p(apart**2 / TAILS)
            believed = -(log_level + np.exp(-log_level)) / 2
            return float(self._evidence(shape, np.exp(log_level), missed) + believed - said)

        before = float(np.log(level))
        new = mode + deviation * float(rng.standard_t(TAILS))
        return float(np.exp(new if np.log(rng.random()) < ahead(new) - ahead(before) else before))

    def _likeliest(self, shape: int, level: float, missed: Float64Array) -> tuple[float, float]:
        """The mode of ln τ given ν, by Newton's method from the level before, and the deviation that its curve says."""
        nu, log_level, deviation = SHAPES[shape], float(np.log(level)), 1.0
        for _ in range(MOST_STEPS):
            own = missed * np.exp(log_level)
            share = own / (nu + own)
            slope = float(self._counts.sum() - (nu + self._counts) @ share - 1 + np.exp(-log_level)) / 2
            curve = float((nu + self._counts) @ (share * (1 - share)) + np.exp(-log_level)) / 2
            deviation = curve**-0.5
            step = float(np.clip(slope / curve, -LONGEST_STEP, LONGEST_STEP))
            log_level += step
            if abs(step) < CLOSE * deviation:
                break
        return log_level, deviation

    def _evidence(self, shape: int, level: float, missed: Float64Array) -> float:
        """ln p(missed | ν, τ) with the τ_u integrated out, but for a constant; −∞ outside SHAPES."""
        if not 0 <= shape < len(SHAPES):
            return -np.inf
        nu = SHAPES[shape]
        told = (nu + self._counts) @ np.log1p(missed * (level / nu)) + self._counts.sum() * np.log(nu / level)
        return float(self._volumes[shape] - told / 2)

    def _users(self, shape: int, level: float, missed: Float64Array) -> tuple[Float64Array, Float64Array]:
        return SHAPES[shape] + self._counts, SHAPES[shape] / level + missed
