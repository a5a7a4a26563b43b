"""Users and the items on their lists in; why each of them is there out, from the parts of its score."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shortlist.contracts.arrays import BoolArray, Float32Array, Int32Array, Int64Array, NewItems, StringTable, UserShard
from shortlist.contracts.lists import Reason
from shortlist.fm.explain import Explainer
from shortlist.fm.fold_in import RowSolver

PURCHASES, FEATURES = 0, 1
OF_SEGMENT, OF_ANYBODY, LIKE, BOUGHT = -1, -2, -3, -4
"""What a place is coded with that names no purchase; BOUGHT − n: bought on n days."""


@dataclass(frozen=True)
class Reasoner:
    """Says of every listed item what put it there.

    An item that the user has bought before is there for that. Otherwise the largest of three parts of the score
    decides: the user's purchases, of which the one that adds most is named, unless it has no title, or the item's own,
    which would read like a mistake; the user's features, which the user shares with a segment; and what the item
    scores for anybody. What nobody has bought cannot be popular: where no purchase decides, the feature of the item is
    named without which it would lose most of the user's score.

    Attributes:
        items: float32 (n_items, d), the item latent matrix.
        solver: of the users.
        titles: of all items; empty where an item has none.
        segments: names of the segments.
        new_items: what is known of the items that nobody has bought.
    """

    items: Float32Array
    solver: RowSolver
    titles: StringTable
    segments: StringTable
    new_items: NewItems

    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(self.solver, self.items)

    def reasons(self, shard: UserShard, listed: Int32Array) -> list[Mapping[int, Reason]]:
        """Reasons of every user of a shard, by item row.

        Args:
            listed: int32 (n_users, n), item rows, −1 for none; an item may stand there twice.
        """
        bought, at = _bought_before(shard, listed)
        part, purchase = self._decided(shard, np.where(bought, -1, listed))
        everybody, like = Reason("popular"), Reason("bought_like")
        of_segment = [*(Reason("popular", name) for name in self.segments.to_list()), everybody]
        titles = {int(row): Reason("bought_with", self.titles[row]) for row in np.unique(purchase[purchase >= 0])}
        days = {int(n): Reason("bought_before", str(n)) for n in np.unique(shard.days)}
        code = np.where(
            (part == PURCHASES) & (purchase >= 0), purchase, np.where(part == FEATURES, OF_SEGMENT, OF_ANYBODY)
        )
        code = np.where(self._of_one_title(listed, code), LIKE, code)
        code = np.where(bought, BOUGHT - (shard.days[at] if len(shard.days) else 0), code)
        of_feature = self._of_features(shard, listed, (code == OF_SEGMENT) | (code == OF_ANYBODY))
        reasons: list[Mapping[int, Reason]] = []
        for user, (items, codes, segment) in enumerate(
            zip(listed.tolist(), code.tolist(), shard.segment.tolist(), strict=True)
        ):
            words = {OF_SEGMENT: of_segment[segment], OF_ANYBODY: everybody, LIKE: like}
            own = {
                item: titles[c] if c >= 0 else words[c] if c > BOUGHT else days[BOUGHT - c]
                for item, c in zip(items, codes, strict=True)
                if item >= 0
            }
            reasons.append(own | of_feature.get(user, {}))
        return reasons

    def _of_one_title(self, listed: Int32Array, purchase: Int64Array) -> BoolArray:
        """Of each place whether its item and its purchase are called the same, as sizes and flavours often are."""
        places = np.nonzero((purchase >= 0) & (listed >= 0))
        rows, at = np.unique(np.stack([listed[places], purchase[places]]), return_inverse=True)
        titles, title = np.unique([self.titles[row] for row in rows.tolist()], return_inverse=True)
        item, named = title[at.reshape(2, -1)]
        same = np.zeros(listed.shape, np.bool_)
        same[places] = (item == named) & (titles[item] != "")
        return same

    def _of_features(self, shard: UserShard, listed: Int32Array, open_: BoolArray) -> dict[int, dict[int, Reason]]:
        """By user and item: of items that nobody has bought the feature that adds most, where one adds anything.

        Without its feature f of value x an item row a_i scores x (a_u·v_f + w_f + v_f·a_i − x ‖v_f‖²) less, its
        interactions with the item's other features included (shortlist.latent).
        """
        new, found = self.new_items, dict[int, dict[int, Reason]]()
        for user, place in np.argwhere(open_ & np.isin(listed, new.item_rows)).tolist():
            item = int(listed[user, place])
            at = int(np.searchsorted(new.item_rows, item))
            own = slice(new.indptr[at], new.indptr[at + 1])
            columns, values = new.columns[own], new.values[own]
            factors = new.factors[columns]
            both = factors @ (shard.latent[user, :-1] + self.items[item, :-1])
            adds = values * (both + new.weights[columns] - values * np.square(factors).sum(axis=1))
            most = int(adds.argmax())
            if adds[most] > 0:
                found.setdefault(user, {})[item] = Reason("feature", _label(new.names[int(columns[most])]))
        return found

    def of_popular(self, segment: int, *, of_segment: bool) -> Reason:
        """The reason for an item that is listed since nothing is known of the user."""
        return Reason("popular", self.segments[segment] if of_segment else "")

    def _decided(self, shard: UserShard, fresh: Int32Array) -> tuple[Int64Array, Int32Array]:
        """For each place the part of the score that decides, and the purchase to name, −1 for none."""
        found = self._explainer.explain_all(
            shard.indptr, shard.item_rows, shard.weight, shard.latent, shard.prior, fresh
        )
        return np.stack([found.purchases, found.features, found.base]).argmax(axis=0), found.purchase


def _bought_before(shard: UserShard, listed: Int32Array) -> tuple[BoolArray, Int64Array]:
    """Whether the user of each place has bought its item, and at which of the shard's pairs."""
    n_items = int(max(shard.item_rows.max(initial=0), listed.max(initial=0))) + 2
    users = np.repeat(np.arange(len(listed)), np.diff(shard.indptr))
    keys = users * n_items + shard.item_rows
    wanted = np.arange(len(listed))[:, None] * n_items + listed
    at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    found: BoolArray = (keys[at] == wanted) & (listed >= 0) if len(keys) else np.zeros(listed.shape, np.bool_)
    return found, at


def _label(feature: str) -> str:
    """`product_type=BANANAS` as people read it: BANANAS (product type)."""
    field, _, value = feature.partition("=")
    field = field.replace("_", " ")
    return f"{value} ({field})" if value else field
