"""A user shard, the index and the rules in; lists of every kind out, as item rows with scores."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shortlist.cold_start import rank_popular, without_signal
from shortlist.contracts.arrays import BoolArray, Float64Array, Int32Array, Int64Array, Popular, UserShard
from shortlist.contracts.lists import ListKind
from shortlist.index import ItemIndex
from shortlist.rules import capped_lists
from shortlist.topx import Ranking, Seen, merged, positions, ranked, score_pairs


@dataclass(frozen=True, slots=True)
class Assortment:
    """What may be listed. A position is a row of the index.

    Attributes:
        index: over the items that may be listed.
        item_rows: int32 (n,), item row of each position, ascending.
        categories: int32 (n,), number of each position's category, −1 for none.
        popular: over all items.
    """

    index: ItemIndex
    item_rows: Int32Array
    categories: Int32Array
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
    """Makes the lists of one shard; what several kinds need is worked out once.

    Lists of `everything` and `new_for_you` hold x distinct items wherever the items that may be listed, the user's
    purchases and the cap leave so many; `buy_again` holds what the user has bought, which is less for many.
    """

    def __init__(self, shard: UserShard, assortment: Assortment) -> None:
        self._shard = shard
        self._assortment = assortment
        self._position = positions(assortment.item_rows, len(assortment.popular.everybody))
        self._seen, kept = Seen.among(shard.indptr, shard.item_rows, self._position)
        self._seen_users = self._seen.users()
        base = score_pairs(shard.latent, assortment.index.vectors, self._seen_users, self._seen.items)
        self._seen_scores = base + shard.repeat[kept]
        self._unknown = without_signal(shard.prior, shard.indptr)
        self._unseen: tuple[int, Ranking] | None = None

    def make(self, kind: ListKind, x: int, max_per_category: int | None = None) -> Lists:
        """The lists of one kind."""
        searches: dict[ListKind, Callable[[Int64Array, int], Ranking]] = {
            "everything": lambda users, k: merged(self._rank_unseen(users, k), self._rank_seen(users, k), k),
            "new_for_you": self._rank_unseen,
            "buy_again": self._rank_seen,
        }
        n_users = len(self._shard.latent)
        ranking = capped_lists(searches[kind], n_users, x, self._assortment.categories, max_per_category)
        filled = self._unknown[:, None] & (ranking.items >= 0)
        place = np.where(filled, -ranking.scores, np.inf)
        return Lists(
            items=np.append(self._assortment.item_rows, np.int32(-1))[ranking.items],
            scores=ranking.scores,
            filled=filled,
            of_segment=place < self._own_segment()[:, None],
        )

    def _rank_unseen(self, users: Int64Array, k: int) -> Ranking:
        """The k best unseen items, or most popular ones, of some users."""
        if len(users) < len(self._shard.latent):
            return self._rank_anew(users, k)
        if self._unseen is None or self._unseen[0] != k:
            self._unseen = k, self._rank_anew(users, k)
        return self._unseen[1]

    def _rank_anew(self, users: Int64Array, k: int) -> Ranking:
        ranking = Ranking.empty(len(users), k)
        known, unknown = np.flatnonzero(~self._unknown[users]), np.flatnonzero(self._unknown[users])
        seen = self._seen.take(users[known])
        ranking.put(known, self._assortment.index.rank_unseen(self._shard.latent[users[known]], seen, k))
        if len(unknown):
            segment = self._shard.segment[users[unknown]]
            ranking.put(unknown, rank_popular(self._assortment.popular, segment, self._position, k))
        return ranking

    def _rank_seen(self, users: Int64Array, k: int) -> Ranking:
        place = positions(users.astype(np.int32), len(self._shard.latent))[self._seen_users]
        wanted = place >= 0
        return ranked(
            place[wanted].astype(np.int64), self._seen.items[wanted], self._seen_scores[wanted], len(users), k
        )

    def _own_segment(self) -> Int64Array:
        """int64 (n_users,): of how many items the segment's own popular ones consist, as far as they may be listed."""
        popular = self._assortment.popular
        listable = np.concatenate([[0], np.cumsum(self._position[popular.items] >= 0)])
        own = np.append(np.diff(listable[popular.indptr]), 0)
        return own[self._shard.segment]
