"""Users, an item's features and who bought it in; the features' factors that serve items nobody has bought yet, out.

The joint fit asks of the features only where an item's own vector should be drawn to, most of all for what sells well.
This one asks what a new item needs: a vector x_i W made of features alone that meets the purchases,

    Σ_i ω_i [ α₀ Σ_u ω_u (u · x_i W)² − 2 Σ_observed ω_u c_ui u · x_i W ] + ridge on W        ω_r = 1 / (n_r + 1)^p

Scores of new items are small, so that the squares of observed pairs, which are left out, hardly count (with them, ten
removals of a tenth of ml-latest-small gave the same recall to .002). The minimum is then a ridge regression of the
targets G⁻¹ Σ ω_u c_ui u, G = Σ_u ω_u u uᵀ, one for each eigenvector of G: nothing but sparse products. The ridge on a
feature is n_f^q (1 − n_f/n): what all items have says nothing against it, so it is an intercept.

A ridge shrinks tastes, each seen in few users, more than the bias, which all users share: unchecked, new items are
ranked by how well their kind sells. So a share of the bias is kept. What features of an item do to each other, which
the machine adds, is taken from the bias by a second ridge regression, as far as that finds it in single features.
"""

from typing import Final

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Float64Array
from shortlist.fm.ridge import FeatureRidge, self_interaction

ITEM_EXPONENT: Final = 0.4
USER_EXPONENT: Final = 1.25
"""p above: each user counts alike, as in recall, or a little more the less is bought; of items, what sells more."""
FEATURE_EXPONENT: Final = 0.4
"""q above."""
BIAS_SHARE: Final = 0.6
STEPS: Final = 20
LEAST_VALUE: Final = 1e-4
"""Of an eigenvalue of G, relative to the largest."""


def fit_to_purchases(
    weights: Float32Array,
    users: Float32Array,
    pairs: csr_array,
    features: csr_array,
    *,
    unobserved_weight: float,
    strength: float,
) -> Float32Array:
    """W of item features, float32 (f, d).

    Args:
        weights: W of the joint fit (f, d), from which the search starts.
        users: latent rows (n_users, d), the last column 1 for the item's bias.
        pairs: CSR (n_items, n_users) of confidences.
        features: CSR (n_items, f).
        unobserved_weight: α₀.
        strength: of the ridge, relative to the mean weights of items and eigenvectors.
    """
    of_item, of_user = _weights(np.diff(pairs.indptr), ITEM_EXPONENT), _user_weights(pairs)
    values, basis = np.linalg.eigh((users * of_user[:, None]).T.astype(np.float64) @ users)
    values = np.maximum(values, LEAST_VALUE * values[-1]).astype(np.float32)
    basis = basis.astype(np.float32)
    turned = users @ basis
    weighted = csr_array((pairs.data * of_user[pairs.indices], pairs.indices, pairs.indptr), shape=pairs.shape)
    targets = (weighted @ turned) / values
    targets *= _length(targets, turned, weighted, of_item, unobserved_weight * values)
    pulls = _pulls(features)
    of_targets = FeatureRidge(features, of_item, strength, values.mean() / values, pulls)
    fitted: Float32Array = of_targets.improve(weights @ basis, targets, STEPS) @ basis.T
    fitted[:, -1] *= np.float32(BIAS_SHARE)
    crossed = self_interaction(features, features @ fitted[:, :-1], fitted[:, :-1])  # which the machine adds
    of_crossed = FeatureRidge(features, of_item, strength, pulls=pulls)
    fitted[:, -1] -= of_crossed.improve(np.zeros((features.shape[1], 1), np.float32), crossed[:, None], STEPS)[:, 0]
    return fitted


def _pulls(features: csr_array) -> Float32Array:
    """n_f^q (1 − n_f/n) of every feature, float32 (f,); one that no item has is held as if one had it."""
    n_items = max(features.shape[0], 1)
    counts = np.bincount(features.indices, minlength=features.shape[1])
    pulls: Float32Array = (np.maximum(counts, 1) ** FEATURE_EXPONENT * (1 - counts / n_items)).astype(np.float32)
    return pulls


def _length(
    targets: Float32Array, turned: Float32Array, pairs: csr_array, of_item: Float32Array, values: Float32Array
) -> np.float32:
    """The factor of all targets that meets the purchases best, the squares of observed pairs included."""
    rows = np.repeat(np.arange(len(targets)), np.diff(pairs.indptr))
    scores = np.einsum("nd,nd->n", turned[pairs.indices], targets[rows])
    weight: Float64Array = pairs.data.astype(np.float64) * of_item[rows]
    everywhere = np.einsum("i,id,id,d->", of_item, targets, targets, values, dtype=np.float64)
    return np.float32((weight @ scores) / max(weight @ scores**2 + everywhere, np.finfo(np.float32).tiny))


def _user_weights(pairs: csr_array) -> Float32Array:
    return _weights(np.bincount(pairs.indices, minlength=pairs.shape[1]), USER_EXPONENT)


def _weights(counts: np.ndarray, exponent: float) -> Float32Array:
    """ω of rows with so many pairs, float32, with a mean of 1."""
    raw = (counts + 1.0) ** -exponent
    weights: Float32Array = (raw / raw.mean()).astype(np.float32)
    return weights
