"""Scores and held-out pairs in; rankings of the model and the baselines, and how many they hit, out. numpy only."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shortlist.contracts.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from shortlist.contracts.lists import ListKind
from shortlist.contracts.metrics import ListMetrics
from shortlist.fm.history import distinct
from shortlist.scan import ExactSearch
from shortlist.topx import Seen, score_pairs

NOTHING: Final = -1  # an empty place on a list


@dataclass(frozen=True, slots=True)
class Pairs:
    """Distinct (user, item) pairs.

    Attributes:
        indptr: int64 (n_users + 1,).
        item_rows: int32 (n_pairs,), ascending within a user.
        n_items: size of the catalogue.
    """

    indptr: Int64Array
    item_rows: Int32Array
    n_items: int

    @classmethod
    def of(cls, user_row: NDArray[np.integer], item_row: NDArray[np.integer], *, n_users: int, n_items: int) -> "Pairs":
        """Of interactions in any order, repeats allowed."""
        keys = distinct(user_row.astype(np.int64) * n_items + item_row)
        return cls._of_keys(keys, n_users, n_items)

    @classmethod
    def _of_keys(cls, keys: Int64Array, n_users: int, n_items: int) -> "Pairs":
        users, items = np.divmod(keys, max(n_items, 1))
        return cls(np.searchsorted(users, np.arange(n_users + 1)).astype(np.int64), items.astype(np.int32), n_items)

    @property
    def keys(self) -> Int64Array:
        """user_row · n_items + item_row of every pair, ascending."""
        return self.owners() * self.n_items + self.item_rows

    @property
    def n_users(self) -> int:
        return len(self.indptr) - 1

    def owners(self) -> Int64Array:
        """int64 (n_pairs,): the user row of every pair."""
        return np.repeat(np.arange(self.n_users), np.diff(self.indptr))

    def users(self) -> Int64Array:
        """Rows of the users with a pair."""
        return np.flatnonzero(np.diff(self.indptr))

    def split(self, other: "Pairs") -> tuple["Pairs", "Pairs"]:
        """These pairs without the other's, and these pairs that are the other's as well."""
        keys = self.keys
        shared = np.isin(keys, other.keys, assume_unique=True)
        return (
            self._of_keys(keys[~shared], self.n_users, self.n_items),
            self._of_keys(keys[shared], self.n_users, self.n_items),
        )


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a recommender makes of some users: its best unseen items, and its score of every seen one.

    Attributes:
        users: int64 (n,), user rows, ascending.
        unseen: int32 (n, x), best first, NOTHING where there is none.
        unseen_scores: float32 (n, x), −inf where there is none.
        seen_scores: float32 (n_seen_pairs,), of all users' seen pairs, in their order.
    """

    users: Int64Array
    unseen: Int32Array
    unseen_scores: Float32Array
    seen_scores: Float32Array


def rank(
    user_latent: Float32Array,
    item_latent: Float32Array,
    repeat: Float32Array,
    seen: Pairs,
    users: Int64Array,
    x: int,
) -> Ranked:
    """Rank by y = a_u · a_i + ρ.

    Args:
        user_latent: rows a_u of all users (n_users, d).
        item_latent: rows a_i (n_items, d).
        repeat: ρ of every seen pair (n_seen_pairs,), `Recommender.pair_repeat`.
        seen: what each user has bought.
        users: rows of the users to rank for, ascending.
        x: length of the longest list.
    """
    past = Seen(seen.indptr, seen.item_rows)
    unseen = ExactSearch(item_latent).rank_unseen(user_latent[users], past.take(users), x)
    seen_scores = np.full(len(seen.item_rows), -np.inf, np.float32)
    chosen = np.isin(seen.owners(), users)
    owners, items = seen.owners()[chosen], seen.item_rows[chosen]
    seen_scores[chosen] = score_pairs(user_latent, item_latent, owners, items) + repeat[chosen]
    return Ranked(users, unseen.items, unseen.scores.astype(np.float32), seen_scores)


def rank_by_popularity(seen: Pairs, users: Int64Array, x: int) -> Ranked:
    """Everybody gets what most users bought."""
    buyers = np.bincount(seen.item_rows, minlength=seen.n_items).astype(np.float32)
    order = np.argsort(-buyers, kind="stable").astype(np.int32)
    unseen = np.full((len(users), x), NOTHING, np.int32)
    for place, user in enumerate(users):
        bought = seen.item_rows[seen.indptr[user] : seen.indptr[user + 1]]
        candidates = order[: x + len(bought)]
        best = candidates[~np.isin(candidates, bought)][:x]
        unseen[place, : len(best)] = best
    scores = np.where(unseen == NOTHING, np.float32(-np.inf), buyers[unseen])
    return Ranked(users, unseen, scores, buyers[seen.item_rows])


def popular_where_unknown(model: Ranked, popular: Ranked, known: BoolArray) -> Ranked:
    """As the lists are made: who has neither bought anything nor a feature that the model knows gets what is popular.

    Args:
        model, popular: of the same users, who have bought nothing.
        known: bool (n_users,), users with a feature.
    """
    unknown = ~known[model.users, None]
    return Ranked(
        model.users,
        np.where(unknown, popular.unseen, model.unseen),
        np.where(unknown, popular.unseen_scores, model.unseen_scores),
        model.seen_scores,
    )


def rank_by_own_purchases(decayed: Float32Array, users: Int64Array, x: int) -> Ranked:
    """Everybody gets what they bought before, by `decayed` counts of every seen pair; nothing else is listed."""
    nothing = np.full((len(users), x), NOTHING, np.int32)
    return Ranked(users, nothing, np.full((len(users), x), -np.inf, np.float32), decayed)


def make_lists(ranked: Ranked, seen: Pairs, kind: ListKind, x: int) -> Int32Array:
    """Item rows of the users' lists, int32 (n, x), best first, NOTHING where candidates run out."""
    if kind == "new_for_you":
        return ranked.unseen[:, :x]
    lists = np.full((len(ranked.users), x), NOTHING, np.int32)
    for place, user in enumerate(ranked.users):
        pairs = slice(seen.indptr[user], seen.indptr[user + 1])
        items, scores = seen.item_rows[pairs], ranked.seen_scores[pairs]
        if kind == "everything":
            items = np.concatenate([items, ranked.unseen[place]])
            scores = np.concatenate([scores, ranked.unseen_scores[place]])
        best = np.lexsort((items, -scores))[:x]
        best = best[np.isfinite(scores[best])]
        lists[place, : len(best)] = items[best]
    return lists


def measure(lists: Int32Array, users: Int64Array, relevant: Pairs, x: int) -> ListMetrics:
    """Averages over the users who have something relevant; zeros where none has.

    recall = hits / min(x, relevant); average precision and the ideal of NDCG divide by the same.
    """
    n_relevant = np.diff(relevant.indptr)[users]
    counted = n_relevant > 0
    if not counted.any():
        return ListMetrics(recall=0.0, ndcg=0.0, average_precision=0.0, hit_rate=0.0, coverage=0.0)
    lists, most = lists[counted, :x], np.minimum(n_relevant[counted], x)
    found = hits(lists, users[counted], relevant)
    gains = 1 / np.log2(np.arange(2, x + 2))
    precision = np.cumsum(found, axis=1) / np.arange(1, x + 1)
    return ListMetrics(
        recall=float((found.sum(1) / most).mean()),
        ndcg=float(((found @ gains) / np.cumsum(gains)[most - 1]).mean()),
        average_precision=float(((precision * found).sum(1) / most).mean()),
        hit_rate=float(found.any(1).mean()),
        coverage=len(np.unique(lists[lists != NOTHING])) / relevant.n_items,
    )


def hits(lists: Int32Array, users: Int64Array, relevant: Pairs) -> BoolArray:
    """Which places (n, x) of the lists hold a relevant item of their user."""
    wanted = relevant.keys
    keys = np.where(lists == NOTHING, -1, users[:, None] * relevant.n_items + lists)
    found: BoolArray = wanted[np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)] == keys
    return found


def relevant_by_kind(seen: Pairs, held_out: Pairs) -> dict[ListKind, Pairs]:
    """everything: all held-out pairs; new_for_you: those that are not in the history; buy_again: those that are."""
    new, again = held_out.split(seen)
    return {"everything": held_out, "new_for_you": new, "buy_again": again}
