"""A user and the items on the user's lists in; why each of them is there out, from the parts of its score."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shortlist.contracts.arrays import Float32Array, Int32Array, StringTable, UserShard
from shortlist.contracts.lists import Reason
from shortlist.fm.explain import explain
from shortlist.fm.fold_in import RowSolver


@dataclass(frozen=True, slots=True)
class Reasoner:
    """Says of every listed item what put it there.

    An item that the user has bought before is there for that. Otherwise the largest of three parts of the score
    decides: the user's purchases, of which the one that adds most is named; the user's features, which the user shares
    with a segment; and what the item scores for anybody.

    Attributes:
        items: float32 (n_items, d), the item latent matrix.
        solver: of the users.
        titles: of all items.
        segments: names of the segments.
    """

    items: Float32Array
    solver: RowSolver
    titles: StringTable
    segments: StringTable

    def reasons(self, shard: UserShard, user: int, listed: Int32Array) -> Mapping[int, Reason]:
        """Reasons of one user by item row.

        Args:
            user: row in the shard.
            listed: int32 (n,), item rows, each once.
        """
        pairs = slice(shard.indptr[user], shard.indptr[user + 1])
        bought = shard.item_rows[pairs]
        place = np.minimum(np.searchsorted(bought, listed), max(len(bought) - 1, 0))
        again = bought[place] == listed if len(bought) else np.zeros(len(listed), np.bool_)
        reasons = {
            item: Reason("bought_before", str(shard.days[pairs][at]))
            for item, at in zip(listed[again].tolist(), place[again].tolist(), strict=True)
        }
        fresh = listed[~again]
        if len(fresh):
            reasons |= zip(fresh.tolist(), self._of_unseen(shard, user, fresh), strict=True)
        return reasons

    def of_popular(self, segment: int, *, of_segment: bool) -> Reason:
        """The reason for an item that is listed since nothing is known of the user."""
        return Reason("popular", self.segments[segment] if of_segment else "")

    def _of_unseen(self, shard: UserShard, user: int, fresh: Int32Array) -> list[Reason]:
        pairs = slice(shard.indptr[user], shard.indptr[user + 1])
        bought = shard.item_rows[pairs]
        parts = explain(
            self.solver,
            self.items,
            bought=bought,
            confidence=shard.weight[pairs],
            repeat=shard.repeat[pairs],
            prior=shard.prior[user],
            listed=fresh,
        )
        totals = np.stack([parts.purchases.sum(axis=1), parts.features, parts.base])
        named = self._named(shard, user, bought, parts.purchases)
        segment = int(shard.segment[user])
        shared = Reason("popular", self.segments[segment] if segment >= 0 else "")
        return [
            Reason("bought_with", self.titles[purchase])
            if part == 0 and purchase >= 0
            else (shared if part == 1 else Reason("popular"))
            for part, purchase in zip(totals.argmax(axis=0).tolist(), named.tolist(), strict=True)
        ]

    def _named(self, shard: UserShard, user: int, bought: Int32Array, added: Float32Array) -> Int32Array:
        """The purchase to name for each item, −1 for none: the one that adds most, if the score would fall without it.

        It would where the user's row predicts less of the purchase than it should: taking out one observation moves the
        solution of a least squares problem along its residual (Sherman and Morrison 1950).
        """
        if not len(bought):
            return np.full(len(added), -1, np.int32)
        missing = self.solver.wanted[bought] - self.items[bought, :-1] @ shard.latent[user, :-1]
        credited = np.where(missing > 0, added, -np.inf)
        most = credited.argmax(axis=1)
        return np.where(credited.max(axis=1) > 0, bought[most], -1).astype(np.int32)
