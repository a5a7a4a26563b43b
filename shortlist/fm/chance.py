"""A generator in, random bits and standard normal numbers out: twice as many a second as numpy's own."""

import numpy as np
from numpy.typing import NDArray

from shortlist.contracts.arrays import Float32Array
from shortlist.fm.chance_kernels import normals


def random_bits(rng: np.random.Generator, n: int) -> NDArray[np.uint32]:
    """32 of them in each of n numbers."""
    return np.asarray(rng.bit_generator.random_raw((n + 1) // 2), np.uint64).view(np.uint32)[:n]


def standard_normals(rng: np.random.Generator | None, *shape: int) -> Float32Array:
    """float32, each within 1e-5 of the exact quantile of 32 random bits; without a generator their mean, zeros."""
    if rng is None:
        return np.zeros(shape, np.float32)
    numbers = np.empty(shape, np.float32)
    normals(random_bits(rng, numbers.size), numbers.reshape(-1))
    return numbers
