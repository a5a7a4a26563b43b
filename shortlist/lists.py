"""A user shard, the assortment and the rules in; lists of every kind, as item rows with scores, out.

    candidates of a kind (candidates.py) -> re-ranking (rerank.py) -> marks of what was filled (cold_start.py)

What may not be listed at all is not in the assortment (rules.py).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shortlist.candidates import Candidates, Hidden, Index, among
from shortlist.contracts.arrays import BoolArray, Float64Array, Int32Array, Popular, UserShard
from shortlist.contracts.lists import ListKind
from shortlist.rerank import Search, Traits, make_lists
from shortlist.scan import ExactSearch


@dataclass(frozen=True, slots=True)
class Assortment:
    """What may be listed. A position is a row of the index.

    Attributes:
        index: over the items that may be listed.
        item_rows: int32 (n,), item row of each position, ascending.
        traits: what re-ranking asks of each position.
        popular: over all items.
    """

    index: Index
    item_rows: Int32Array
    traits: Traits
    popular: Popular


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of one kind, a row a user.

    Attributes:
        items: int32 (n_users, x), item rows, best first, −1 where a list is shorter.
        scores: float64 (n_users, x), −inf there.
        filled: bool (n_users, x), what is popular, for users of whom nothing is known.
        of_segment: bool (n_users, x), those of them that are popular in the user's own segment.
    """

    items: Int32Array
    scores: Float64Array
    filled: BoolArray
    of_segment: BoolArray


class ShardLists:
    """Makes the lists of one shard.

    Lists of `everything` and `new_for_you` hold x distinct items wherever the items that may be listed, the user's
    purchases and the caps leave so many; `buy_again` holds what the user has bought, which is less for many.
    """

    def __init__(self, shard: UserShard, assortment: Assortment, hidden: Hidden) -> None:
        self._n_users = len(shard.latent)
        self._assortment = assortment
        self._candidates = Candidates(shard, assortment.index, assortment.item_rows, assortment.popular, hidden)
        self._search_promoted = self._promoted(shard, hidden)

    def make(self, kind: ListKind, x: int) -> Lists:
        """The lists of one kind."""
        search = self._candidates.search(kind)
        ranking = make_lists(search, self._search_promoted(kind), self._n_users, x, self._assortment.traits)
        filled = self._candidates.unknown[:, None] & (ranking.items >= 0)
        place = np.where(filled, -ranking.scores, np.inf)
        return Lists(
            items=np.append(self._assortment.item_rows, np.int32(-1))[ranking.items],
            scores=ranking.scores,
            filled=filled,
            of_segment=place < self._candidates.own_segment()[:, None],
        )

    def _promoted(self, shard: UserShard, hidden: Hidden) -> Callable[[ListKind], Search]:
        """The search for a kind of list over the promoted items alone."""
        shown = self._assortment
        if not shown.traits.promotes:
            return self._candidates.search
        chosen = np.flatnonzero(shown.traits.promoted).astype(np.int32)
        index = ExactSearch(shown.index.vectors[chosen])
        candidates = Candidates(shard, index, shown.item_rows[chosen], shown.popular, hidden)
        return lambda kind: among(candidates.search(kind), chosen)
