"""A user's purchases and some listed items in, what each purchase adds to each item's score out. numpy only.

The user's row is linear in the purchases, u = A⁻¹(Σ_j c_j t_j v_j + λ_u m_u + pull), so the score is a sum over them:

    a_u · a_i + γ r = Σ_j v_iᵀA⁻¹v_j c_j t_j  +  λ_u v_iᵀA⁻¹m_u  +  (b_i + v_iᵀA⁻¹ pull)  +  γ r(u, i)
                      purchases                  features           base                    repeat
"""

from dataclasses import dataclass

import numpy as np

from shortlist.contracts.arrays import Float32Array, Int32Array
from shortlist.fm.fold_in import RowSolver


@dataclass(frozen=True, slots=True)
class Explanation:
    """The parts of the scores of n listed items for one user; they add up to the score.

    Attributes:
        purchases: float32 (n, n_bought), of each seen item of the user; an item's own earlier purchases among them.
        features: float32 (n,), of the user's features.
        base: float32 (n,), of the item for somebody without purchases and features: its bias, mostly.
        repeat: float32 (n,), γ r; 0 for items that the user has not bought.
    """

    purchases: Float32Array
    features: Float32Array
    base: Float32Array
    repeat: Float32Array

    @property
    def scores(self) -> Float32Array:
        purchases: Float32Array = self.purchases.sum(1)
        return purchases + self.features + self.base + self.repeat


def explain(
    solver: RowSolver,
    items: Float32Array,
    bought: Int32Array,
    confidence: Float32Array,
    repeat: Float32Array,
    prior: Float32Array,
    listed: Int32Array,
) -> Explanation:
    """Take apart the scores of `listed` for one user.

    Args:
        solver: of the users (`RowSolver.for_users`).
        items: item latent matrix (n_items, d + 1).
        bought: the user's seen items (n_bought,), ascending.
        confidence: of each as trained (n_bought,).
        repeat: γ r of each (n_bought,).
        prior: the user's prior row (d + 1,).
        listed: item rows (n,).
    """
    ahead = np.linalg.solve(solver.system(bought, confidence), items[listed, :-1].T.astype(np.float64)).T
    purchases = (ahead @ solver.fixed[bought].T) * (confidence * solver.wanted[bought])
    place = np.minimum(np.searchsorted(bought, listed), max(len(bought) - 1, 0))
    again = bought[place] == listed if len(bought) else np.zeros(len(listed), np.bool_)
    return Explanation(
        purchases=purchases.astype(np.float32),
        features=(solver.strength(len(bought)) * (ahead @ prior[:-1])).astype(np.float32),
        base=(items[listed, -1] + ahead @ solver.pull).astype(np.float32),
        repeat=np.where(again, repeat[place] if len(bought) else 0, 0).astype(np.float32),
    )
