"""Another run's recommender and this run's purchases in, the recommender for this run's rows out, without training.

Items keep their rows, new ones stand where their features put them; every user is folded in anew, so that purchases
since then count. Factors beside the machine (shortlist.fm.spectral) stay; a new user has none until the next training.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from shortlist.contracts.arrays import Float32Array, Int64Array, StringTable
from shortlist.dataset.dataset import Dataset
from shortlist.fm.align import align, match
from shortlist.fm.fold_in import RowSolver, fold_in_users
from shortlist.fm.history import Interactions
from shortlist.fm.model import FactorModel, Side
from shortlist.latent import user_prior
from shortlist.recommender import Recommender, Shop, latent


@dataclass(frozen=True, slots=True)
class Matches:
    """For every row of this run its row in the other, −1 where it is new (`fm.align.match`)."""

    users: Int64Array
    items: Int64Array
    user_features: Int64Array
    item_features: Int64Array


@dataclass(frozen=True, slots=True)
class Vocabularies:
    """What the rows and the feature columns of a run are called."""

    users: StringTable
    items: StringTable
    user_features: StringTable
    item_features: StringTable

    @classmethod
    def of(cls, dataset: Dataset) -> "Vocabularies":
        return cls(dataset.user_ids, dataset.item_ids, dataset.user_features.names, dataset.item_features.names)

    @classmethod
    def from_files(cls, read: Callable[[str], bytes]) -> "Vocabularies":
        """`read` gives the bytes of a name below `dataset/`."""
        names = ("user_ids.npz", "item_ids.npz", "user_features/names.npz", "item_features/names.npz")
        return cls(*(StringTable.from_bytes(read(name)) for name in names))

    def matches(self, new: "Vocabularies") -> Matches:
        """Where the rows of `new` stand here."""
        return Matches(*(match(getattr(self, side).to_list(), getattr(new, side).to_list()) for side in self.__slots__))


def adopt(recommender: Recommender, matches: Matches, events: Interactions, shop: Shop) -> Recommender:
    """The recommender for the rows of `shop`, its users folded in by `events`."""
    model = moved(recommender.model, matches)
    adopted = replace(recommender, model=model, reference_time=int(events.timestamp.max()))
    past = adopted.past(events, shop)
    prior = _prior(model, shop)
    _, items = latent(model, shop)
    solver = RowSolver.for_users(items, model.settings)
    rows = fold_in_users(solver, past.indptr, past.item_rows, past.weight, prior)
    own = np.ascontiguousarray((rows - prior)[:, :-1])
    beside = slice(solver.fixed.shape[1], None)
    own[:, beside] = model.users.factors[:, beside]
    users = Side(own, np.zeros(len(own), np.float32), model.users.feature_factors, model.users.feature_weights)
    return replace(adopted, model=replace(model, users=users))


def moved(model: FactorModel, matches: Matches) -> FactorModel:
    """The model in this run's rows; new users and items are what their features say."""
    return align(
        model,
        users=matches.users,
        items=matches.items,
        user_features=_trained(matches.user_features, model.users),
        item_features=_trained(matches.item_features, model.items),
    )


def _trained(features: Int64Array, side: Side) -> Int64Array:
    """No column at all where the model was trained without features."""
    return features if len(side.feature_factors) else features[:0]


def _prior(model: FactorModel, shop: Shop) -> Float32Array:
    if shop.user_features is not None and len(model.users.feature_factors):
        return user_prior(model, shop.user_features)
    zeros = np.zeros((shop.n_users, model.n_factors), np.float32)
    return np.column_stack([zeros, np.ones(shop.n_users, np.float32)])
