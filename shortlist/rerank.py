"""Each user's candidates, best first, in; the list that caps, worth, variety and promotion make of them out.

A list is filled place by place. Of the candidates whose category and brand have room, the next is the one with the
largest (1 − d) · utility − d · similarity to what stands on the list already: maximal marginal relevance (Carbonell and
Goldstein, SIGIR 1998, λ = 1 − d). Utility is relevance · value^weight; relevance is the score, scaled to 0 for the
least and 1 for the best of the user's candidates, so that a product means something whatever the model's scores are.
Without value and diversity the result is a walk down the whole ranking.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from shortlist.contracts.arrays import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from shortlist.topx import Ranking, ranked

WIDEN: Final = 4
"""How many times more candidates are looked at where caps have left a list short."""
USERS_AT_ONCE: Final = 256
"""256 users × 200 candidates × 64 dimensions: 13 MB of directions."""

Search = Callable[[Int64Array, int], Ranking]
"""`search(users, k)`: the k best candidates of these users, fewer only where there are no more."""


@dataclass(frozen=True, slots=True)
class Cap:
    """At most so many of a kind on one list.

    Attributes:
        codes: int32 (n_items,), the kind of each item, −1 for none, which has no limit.
        most: on one list.
    """

    codes: Int32Array
    most: int


@dataclass(frozen=True, slots=True)
class Traits:
    """What re-ranking asks of every item that may be listed (n_items), and how much it asks.

    Attributes:
        caps: on categories, on brands.
        value: float64 (n_items,), what relevance is multiplied by, 0 where it is not known; None: nothing.
        directions: float32 (n_items, d), unit rows; None where diversity is 0.
        diversity: 1 − λ.
        promoted: bool (n_items,).
        promoted_share: of the first n places ⌊share · n⌋ at least are promoted ones, as far as the user has candidates.
        candidates: how many value and diversity choose from.
    """

    caps: tuple[Cap, ...]
    value: Float64Array | None
    directions: Float32Array | None
    diversity: float
    promoted: BoolArray
    promoted_share: float
    candidates: int

    @property
    def reorders(self) -> bool:
        """Whether a list may be in another order than its candidates."""
        return self.value is not None or self.directions is not None

    @property
    def promotes(self) -> bool:
        return self.promoted_share > 0 and bool(self.promoted.any())


def make_lists(search: Search, search_promoted: Search, n_users: int, x: int, traits: Traits) -> Ranking:
    """Each user's list of x, in its order, with the candidates' scores.

    A list is short only where no further candidate keeps the caps: more are fetched until that is so.
    """
    everyone = np.arange(n_users)
    if not (traits.caps or traits.reorders or traits.promotes):
        return search(everyone, x)
    lists = Ranking.empty(n_users, x)
    if not len(traits.promoted):
        return lists
    users, k = everyone, max(WIDEN * x, traits.candidates if traits.reorders else 0)
    while len(users):
        pool = search(users, k)
        candidates = _united(pool, search_promoted(users, k)) if traits.promotes else pool
        lists.put(users, _selected(candidates, k, traits, x))
        unfinished = (lists.items[users, -1] < 0) & (pool.items[:, -1] >= 0)
        users, k = users[unfinished], k * WIDEN
    return lists


def _united(pool: Ranking, extra: Ranking) -> Ranking:
    """All candidates of two rankings of the same users, each once."""
    n_users, k = pool.items.shape
    items = np.concatenate([pool.items, extra.items], axis=1)
    scores = np.concatenate([pool.scores, extra.scores], axis=1)
    users, places = np.nonzero(items >= 0)
    stride = int(items.max(initial=0)) + 1
    _, first = np.unique(users * stride + items[users, places], return_index=True)
    users, places = users[first], places[first]
    return ranked(users, items[users, places], scores[users, places], n_users, k + extra.items.shape[1])


def _selected(candidates: Ranking, n_pool: int, traits: Traits, x: int) -> Ranking:
    """The list of each user; relevance is scaled over the first `n_pool` candidates."""
    lists = Ranking.empty(len(candidates.items), x)
    for start in range(0, len(candidates.items), USERS_AT_ONCE):
        block = slice(start, start + USERS_AT_ONCE)
        items, scores = candidates.items[block], candidates.scores[block]
        rows = np.arange(len(items))
        for place, chosen in enumerate(_choices(items, _utility(items, scores, n_pool, traits), traits, x)):
            found = rows[chosen >= 0]
            lists.items[start + found, place] = items[found, chosen[found]]
            lists.scores[start + found, place] = scores[found, chosen[found]]
    return lists


def _utility(items: Int32Array, scores: Float64Array, n_pool: int, traits: Traits) -> Float64Array:
    """float64 (n_users, k), over 0 to 1 where anything but rank matters; minus the place where nothing does."""
    if not traits.reorders:
        return np.broadcast_to(-np.arange(items.shape[1], dtype=np.float64), items.shape)
    there = (items >= 0) & (np.arange(items.shape[1]) < n_pool)
    best = scores[:, :1]
    least = np.where(there, scores, np.inf).min(axis=1, keepdims=True)
    span = np.where(there[:, :1] & (best > least), best - least, 1.0)
    relevance = np.where(items >= 0, np.clip(np.where(items >= 0, scores - least, 0.0) / span, 0.0, 1.0), 0.0)
    if traits.value is None:
        return relevance
    utility = relevance * traits.value[items]
    most: Float64Array = utility.max(axis=1, keepdims=True)
    scaled: Float64Array = utility / np.where(most > 0, most, 1.0)
    return scaled


def _choices(items: Int32Array, utility: Float64Array, traits: Traits, x: int) -> list[Int64Array]:
    """For every place of the list the column chosen for each user: int64 (n_users,), −1 where nothing is left."""
    rows = np.arange(len(items))
    free = items >= 0
    promoted, n_promoted = traits.promoted[items], np.zeros(len(items), np.int64)
    kinds = [(cap.codes[items], cap.most, np.zeros(items.shape, np.int16)) for cap in traits.caps]
    directions = None if traits.directions is None else traits.directions[items]
    nearest = np.full(items.shape, -1.0)  # cosine to the most similar of what is chosen
    choices: list[Int64Array] = []
    for place in range(x):
        room = free.copy()
        for codes, most, taken in kinds:
            room &= (taken < most) | (codes < 0)
        owed = n_promoted < int(traits.promoted_share * (place + 1) + 1e-9)
        due = room & promoted
        room = np.where((owed & due.any(axis=1))[:, None], due, room)
        wanted = utility
        if directions is not None and place:
            wanted = (1 - traits.diversity) * utility - traits.diversity * nearest
        best = np.where(room, wanted, -np.inf).argmax(axis=1)
        found = room[rows, best]
        choices.append(np.where(found, best, -1))
        free[rows[found], best[found]] = False
        n_promoted += found & promoted[rows, best]
        for codes, _, taken in kinds:
            taken += found[:, None] & (codes == codes[rows, best][:, None])
        if directions is not None:
            nearest = np.maximum(nearest, np.einsum("ukd,ud->uk", directions, directions[rows, best]))
    return choices
