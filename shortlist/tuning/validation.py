"""A shop's dataset in; its newest purchases outside the held-out part, and recall of a model on them, out."""

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from shortlist.config import Evaluation
from shortlist.contracts.arrays import Int64Array
from shortlist.dataset.dataset import Dataset
from shortlist.dataset.split import hold_out
from shortlist.errors import DatasetError
from shortlist.evaluate import Pairs, measure
from shortlist.fm.history import Interactions
from shortlist.fm.model import FactorModel
from shortlist.recommender import Shop, latent
from shortlist.topx import Seen, rank_unseen
from shortlist.training_data import shop_of

MOST_USERS: Final = 2000
"""Users on whom a model is measured."""


@dataclass(frozen=True, slots=True)
class Validation:
    """The newest purchases of train, and what came before them.

    Attributes:
        known: purchases before.
        seen: their pairs.
        new: pairs bought after, and not before.
        users: int64, rows of users with both; a sample where there are more than MOST_USERS.
        x: list length.
        split: which purchases chose, in words.
    """

    shop: Shop
    known: Interactions
    seen: Pairs
    new: Pairs
    users: Int64Array
    x: int
    split: str

    @classmethod
    def of(cls, dataset: Dataset, evaluation: Evaluation, x: int, seed: int) -> "Validation":
        """Raises DatasetError: nobody has purchases on both sides of the split."""
        train = ~dataset.interactions.held_out
        rows = dataset.interactions
        events = Interactions(rows.user_row[train], rows.item_row[train], rows.timestamp[train], rows.weight[train])
        later, split = hold_out(events.user_row, events.timestamp, evaluation)
        shop = shop_of(dataset)
        sizes = {"n_users": shop.n_users, "n_items": shop.n_items}
        known, bought = events.where(~later), events.where(later)
        seen = Pairs.of(known.user_row, known.item_row, **sizes)
        new = Pairs.of(bought.user_row, bought.item_row, **sizes).split(seen)[0]
        users = np.intersect1d(new.users(), seen.users())
        if not len(users):
            raise DatasetError(
                f"nothing to choose settings by: what is left without the held-out part is split once more ({split}), "
                "and nobody has purchases before and something new after. Cure: a longer history, or a smaller "
                "`evaluation.days` or `evaluation.share`."
            )
        if len(users) > MOST_USERS:
            users = np.sort(np.random.default_rng(seed).choice(users, MOST_USERS, replace=False))
        return cls(shop, known, seen, new, users, x, split)

    def recall(self, model: FactorModel) -> float:
        """Recall@x over what is new to the user."""
        users, items = latent(model, self.shop)
        seen = Seen(self.seen.indptr, self.seen.item_rows).take(self.users)
        lists = rank_unseen(np.ascontiguousarray(users[self.users]), items, seen, self.x).items
        return measure(lists, self.users, self.new, self.x).recall

    def fingerprint(self) -> str:
        """Of the purchases before and after."""
        digest = hashlib.sha256(repr((self.split, self.x)).encode())
        known = (self.known.user_row, self.known.item_row, self.known.timestamp, self.known.weight)
        for array in (*known, self.new.keys, self.users):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()
