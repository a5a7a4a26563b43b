"""A user shard and the items that may be listed in; each user's best candidates for a kind of list out.

What the user may not see is left out before anything is ranked, so that k candidates come wherever there are k.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shortlist.cold_start import rank_popular, without_signal
from shortlist.contracts.arrays import BoolArray, Float32Array, Int32Array, Int64Array, Popular, UserShard
from shortlist.contracts.lists import ListKind
from shortlist.rerank import Search
from shortlist.topx import Ranking, Seen, merged, positions, ranked, score_pairs


class Index(Protocol):
    """What is searched: the latent rows of the items that may be listed."""

    @property
    def vectors(self) -> Float32Array:
        """float32 (n_items, d)."""

    def rank_unseen(self, queries: Float32Array, seen: Seen, k: int) -> Ranking: ...


@dataclass(frozen=True, slots=True)
class Hidden:
    """What a shard's users may not see.

    Attributes:
        seen: bool (nnz,), of the shard's seen items those that are on no list for the time being.
        popularity: factor of the part of every score that is the same for all users.
    """

    seen: BoolArray
    popularity: float = 1.0


class Candidates:
    """Candidates of one shard; what several kinds of lists need is worked out once.

    Args:
        index: over the items that may be listed.
        item_rows: int32 (n,), item row of each row of the index, ascending.
        popular: over all items.
        hidden: what is left out although it may be listed.
    """

    def __init__(self, shard: UserShard, index: Index, item_rows: Int32Array, popular: Popular, hidden: Hidden) -> None:
        self._shard = shard
        self._index = index
        self._popular = popular
        self._position = positions(item_rows, len(popular.everybody))
        self._queries = with_popularity(shard.latent, hidden.popularity)
        seen, kept = Seen.among(shard.indptr, shard.item_rows, self._position)
        withheld, _ = Seen.among(shard.withheld_indptr, shard.withheld_rows, self._position)
        self._struck = _united(seen, withheld)
        users = seen.users()
        listable = ~hidden.seen[kept] & ~withheld.contains(users, seen.items)
        self._again_users, self._again_items = users[listable], seen.items[listable]
        base = score_pairs(self._queries, index.vectors, self._again_users, self._again_items)
        self._again_scores = base + shard.repeat[kept][listable]
        self.unknown = without_signal(shard.prior, shard.indptr)
        self._unseen: tuple[int, Ranking] | None = None

    def search(self, kind: ListKind) -> Search:
        """The search for a kind of list."""
        searches: Mapping[ListKind, Search] = {
            "everything": lambda users, k: merged(self._rank_new(users, k), self._rank_again(users, k), k),
            "new_for_you": self._rank_new,
            "buy_again": self._rank_again,
        }
        return searches[kind]

    def own_segment(self) -> Int64Array:
        """int64 (n_users,): how many popular items are those of the user's segment."""
        return np.append(np.diff(self._popular.indptr), 0)[self._shard.segment]

    def _rank_new(self, users: Int64Array, k: int) -> Ranking:
        """The k best items that some users have not bought, or most popular ones; of all users the last k is kept."""
        if len(users) < len(self._shard.latent):
            return self._rank_anew(users, k)
        if self._unseen is None or self._unseen[0] != k:
            self._unseen = k, self._rank_anew(users, k)
        return self._unseen[1]

    def _rank_anew(self, users: Int64Array, k: int) -> Ranking:
        ranking = Ranking.empty(len(users), k)
        known, unknown = np.flatnonzero(~self.unknown[users]), np.flatnonzero(self.unknown[users])
        struck = self._struck.take(users[known])
        ranking.put(known, self._index.rank_unseen(self._queries[users[known]], struck, k))
        if len(unknown):
            ranking.put(unknown, self._rank_popular(users[unknown], k))
        return ranking

    def _rank_popular(self, users: Int64Array, k: int) -> Ranking:
        """Popular items of users without a signal; such a user has bought nothing, but may have blocked something."""
        struck = self._struck.take(users)
        most = int(np.diff(struck.indptr).max(initial=0))
        ranking = rank_popular(self._popular, self._shard.segment[users], self._position, k + most)
        if most == 0:
            return ranking
        rows, places = np.nonzero(ranking.items >= 0)
        items = ranking.items[rows, places]
        kept = ~struck.contains(rows, items)
        rows, places, items = rows[kept], places[kept], items[kept]
        return ranked(rows, items, ranking.scores[rows, places], len(users), k)

    def _rank_again(self, users: Int64Array, k: int) -> Ranking:
        place = positions(users.astype(np.int32), len(self._shard.latent))[self._again_users]
        wanted = place >= 0
        return ranked(
            place[wanted].astype(np.int64), self._again_items[wanted], self._again_scores[wanted], len(users), k
        )


def among(search: Search, chosen: Int32Array) -> Search:
    """A search over some of the items, whose results are numbered as all items are.

    Args:
        search: over the chosen items.
        chosen: int32 (n,), their numbers, ascending.
    """

    def renumbered(users: Int64Array, k: int) -> Ranking:
        found = search(users, k)
        return Ranking(np.append(chosen, np.int32(-1))[found.items], found.scores)

    return renumbered


def with_popularity(latent: Float32Array, popularity: float) -> Float32Array:
    """Users' rows whose last number, 1, which the item's own part of the score meets, is `popularity`."""
    if popularity == 1.0:
        return latent
    queries = latent.copy()
    queries[:, -1] *= popularity
    return queries


def _united(first: Seen, second: Seen) -> Seen:
    """The pairs of either, each once."""
    if not len(second.items):
        return first
    users = np.concatenate([first.users(), second.users()])
    items = np.concatenate([first.items, second.items])
    stride = int(items.max(initial=0)) + 1
    users, united = np.divmod(np.unique(users * stride + items), stride)
    return Seen(np.searchsorted(users, np.arange(len(first.indptr))), united.astype(np.int32))
