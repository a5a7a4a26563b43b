"""A run's dataset in; the events a model learns from, those it is measured on, and the features of both sides, out."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from shortlist.contracts.arrays import RESPONSE_CODES, BoolArray
from shortlist.dataset.dataset import Dataset, FeatureMatrix, ResponseRows
from shortlist.fm.history import Interactions
from shortlist.fm.sparse import SparseRows
from shortlist.recommender import Shop


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What the fits of one run are made from.

    Attributes:
        shop: sizes and features.
        events: all interactions.
        held_out: bool (n_events,), True where they are kept to measure.
        clicks: on items of earlier messages, as weak interactions; None where they teach nothing.
    """

    shop: Shop
    events: Interactions
    held_out: BoolArray
    clicks: Interactions | None

    @classmethod
    def of(cls, dataset: Dataset, click_weight: float) -> Self:
        rows = dataset.interactions
        events = Interactions(rows.user_row, rows.item_row, rows.timestamp, rows.weight)
        return cls(shop_of(dataset), events, rows.held_out, _clicks(dataset.responses, click_weight))

    @property
    def known(self) -> Interactions:
        """Events that are not held out."""
        return self.events.where(~self.held_out)

    @property
    def later(self) -> Interactions:
        """Events that are held out."""
        return self.events.where(self.held_out)

    def clicks_before_later(self) -> Interactions | None:
        """Clicks older than anything that is held out."""
        if self.clicks is None:
            return None
        split = int(self.later.timestamp.min(initial=np.iinfo(np.int64).max))
        return self.clicks.where(self.clicks.timestamp < split)


def shop_of(dataset: Dataset) -> Shop:
    """Its sizes, and the features that are declared."""
    return Shop(
        n_users=len(dataset.user_ids),
        n_items=len(dataset.item_ids),
        user_features=_features(dataset.user_features),
        item_features=_features(dataset.item_features),
    )


def _features(features: FeatureMatrix) -> SparseRows | None:
    """None where no feature is declared."""
    n = len(features.names)
    return SparseRows(features.indptr, features.indices, features.data, n) if n else None


def _clicks(responses: ResponseRows, weight: float) -> Interactions | None:
    """Clicks as interactions of this weight; None where they teach nothing."""
    clicked = responses.of(RESPONSE_CODES["clicked"])
    if not weight or not len(clicked):
        return None
    weights = np.full(len(clicked), weight, np.float32)
    return Interactions(clicked.user_row, clicked.item_row, clicked.timestamp, weights)
