"""Values of a group of parameters in, their common mean and precision out: libFM's hyper-priors, drawn or expected.

Every group of features (users' ids, items' ids, each declared group: libFM's `-meta`) has, for every factor and for the
linear weight, a normal prior of its own, λ ~ Gamma(½, ½) and μ ~ N(0, 1/λ) (Freudenthaler et al. 2011).
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Float64Array, Int64Array
from shortlist.fm.score_kernels import sum_rows


@dataclass(frozen=True, slots=True)
class Prior:
    """Mean and precision of each of K numbers, float64 (K,)."""

    mean: Float64Array
    precision: Float64Array

    @classmethod
    def fixed(cls, size: int, precision: float) -> Self:
        return cls(np.zeros(size), np.full(size, precision))

    def drawn(self, values: Float32Array, base: Float32Array, rng: np.random.Generator) -> "Prior":
        """Drawn given the group's values (n, K) less `base`, the precision first and the mean after it."""
        n, (total, squares) = len(values), self._sums(values, base)
        precision = rng.gamma((n + 2) / 2, 2 / (1 + squares + self.mean**2))
        mean = total / (n + 1) + rng.standard_normal(len(total)) / np.sqrt((n + 1) * precision)
        return Prior(mean, precision)

    def expected(self, values: Float32Array, base: Float32Array, variance: Float32Array) -> "Prior":
        """The mean-field answer: expectations given the group's means less `base` and their variances (n, K)."""
        n, (total, squares) = len(values), self._sums(values, base)
        squares = squares + variance.sum(0, dtype=np.float64)
        return Prior(total / (n + 1), (n + 2) / (1 + squares + self.mean**2))

    def _sums(self, values: Float32Array, base: Float32Array) -> Float64Array:
        """Σ value and Σ (value − mean)², float64 (2, K); `base` without rows is zero."""
        sums: Float64Array = sum_rows(values, base, self.mean.astype(np.float32))
        return sums


@dataclass(frozen=True, slots=True)
class GroupedPrior:
    """The priors of a side's declared features.

    Attributes:
        group_of: int64 (f,), the group of each feature.
        members: CSR (groups, f), a one where a feature is in a group.
        mean: float64 (groups, K).
        precision: float64 (groups, K).
    """

    group_of: Int64Array
    members: csr_array
    mean: Float64Array
    precision: Float64Array

    @classmethod
    def of(cls, groups: Int64Array, size: int, precision: float) -> Self:
        n_groups, n = int(groups.max(initial=-1)) + 1, len(groups)
        members = csr_array((np.ones(n), (groups, np.arange(n))), shape=(n_groups, n))
        return cls(groups, members, np.zeros((n_groups, size)), np.full((n_groups, size), precision))

    def drawn(self, values: Float32Array, rng: np.random.Generator) -> "GroupedPrior":
        """Drawn given the features' values (f, K), as one group's are."""
        n, total, squares = self._sums(values)
        precision = rng.gamma((n + 2) / 2, 2 / (1 + squares + self.mean**2))
        mean = total / (n + 1) + rng.standard_normal(total.shape) / np.sqrt((n + 1) * precision)
        return replace(self, mean=mean, precision=precision)

    def expected(self, values: Float32Array, variance: Float32Array) -> "GroupedPrior":
        """The mean-field answer, as one group's is."""
        n, total, squares = self._sums(values)
        squares = squares + self.members @ variance
        return replace(self, mean=total / (n + 1), precision=(n + 2) / (1 + squares + self.mean**2))

    def means(self) -> Float32Array:
        """float32 (f, K), a row a feature."""
        return self.mean.astype(np.float32)[self.group_of]

    def precisions(self) -> Float32Array:
        """float32 (f, K), a row a feature."""
        return self.precision.astype(np.float32)[self.group_of]

    def _sums(self, values: Float32Array) -> tuple[Int64Array, Float64Array, Float64Array]:
        """How many features, (groups, 1), Σ value and Σ (value − mean)², (groups, K)."""
        apart = values - self.mean[self.group_of]
        return np.diff(self.members.indptr)[:, None], self.members @ values, self.members @ (apart * apart)
