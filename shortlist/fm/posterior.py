"""Machines drawn from a posterior in, one machine out whose score is the mean of theirs, exactly.

<v_f, v_g> is linear in the pair of vectors, so k-vectors of S machines laid end to end and divided by √S give the mean
of the S inner products, and bias and weights are means. The mean is a factorization machine with S k factors:
everything that holds for one machine (features, latent rows, search) holds for it, in S k + 1 dimensions.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from shortlist.contracts.arrays import Float32Array
from shortlist.fm.model import FactorModel, Side

BLOCK_ROWS: Final = 256  # of so many the parts stay in the second cache while they are laid end to end


def average(machines: Sequence[FactorModel]) -> FactorModel:
    """The machine with the mean score; ids, features and settings are those of all, at least one."""
    first = machines[0]
    if len(machines) == 1:
        return first
    contexts = [machine.context for machine in machines if machine.context is not None]
    return FactorModel(
        float(np.mean([machine.bias for machine in machines])),
        _average([machine.users for machine in machines]),
        _average([machine.items for machine in machines]),
        first.settings,
        _average(contexts) if contexts else None,
    )


def scaled(machine: FactorModel, factor: float) -> FactorModel:
    """The machine whose scores are `factor` > 0 times these."""
    return replace(
        machine,
        bias=float(machine.bias * factor),
        users=_scaled(machine.users, factor),
        items=_scaled(machine.items, factor),
        context=None if machine.context is None else _scaled(machine.context, factor),
    )


def _average(sides: Sequence[Side]) -> Side:
    return Side(
        _end_to_end([side.factors for side in sides]),
        _mean([side.weights for side in sides]),
        _end_to_end([side.feature_factors for side in sides]),
        _mean([side.feature_weights for side in sides]),
    )


def _end_to_end(factors: Sequence[Float32Array]) -> Float32Array:
    n, width = len(factors[0]), sum(part.shape[1] for part in factors)
    joined, root = np.empty((n, width), np.float32), np.float32(1 / np.sqrt(len(factors)))
    for start in range(0, n, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        np.concatenate([part[block] for part in factors], axis=1, out=joined[block])
        joined[block] *= root
    return joined


def _mean(weights: Sequence[Float32Array]) -> Float32Array:
    return np.asarray(np.mean(weights, axis=0, dtype=np.float64), np.float32)


def _scaled(side: Side, factor: float) -> Side:
    linear, root = np.float32(factor), np.float32(np.sqrt(factor))
    return Side(side.factors * root, side.weights * linear, side.feature_factors * root, side.feature_weights * linear)
