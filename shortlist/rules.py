"""The campaign's rules: catalogue and moment in, items that may be listed out; rankings in, capped lists out."""

from collections.abc import Callable, Collection
from typing import Final

import numpy as np

from shortlist.config import Rules
from shortlist.contracts.arrays import BoolArray, Catalogue, Int32Array, Int64Array, StringTable
from shortlist.topx import Ranking

WIDEN: Final = 4
"""How many times more candidates are looked at where a cap has left a list short."""

Search = Callable[[Int64Array, int], Ranking]
"""`search(users, k)`: the k best candidates of these users, fewer only where there are no more."""


def allowed_items(catalogue: Catalogue, rules: Rules, as_of_s: int) -> BoolArray:
    """Which items may be on a list at `as_of_s` (epoch seconds): bool (n_items,).

    `available_until` is the first second at which an item is no longer on offer.
    """
    allowed = np.ones(len(catalogue.title), np.bool_)
    if rules.include_categories:
        allowed &= _in_categories(catalogue.category, rules.include_categories)
    if rules.exclude_categories:
        allowed &= ~_in_categories(catalogue.category, rules.exclude_categories)
    if rules.min_price is not None:
        allowed &= catalogue.price >= rules.min_price
    if rules.max_price is not None:
        allowed &= catalogue.price <= rules.max_price
    if rules.only_available:
        begins, ends = catalogue.available_from, catalogue.available_until
        allowed &= catalogue.in_stock & ((begins < 0) | (begins <= as_of_s)) & ((ends < 0) | (as_of_s < ends))
    return allowed


def category_codes(category: StringTable) -> Int32Array:
    """A number for each category: int32 (n_items,), −1 for items without one, which no cap touches."""
    codes = {"": -1}
    return np.fromiter((codes.setdefault(name, len(codes) - 1) for name in category.to_list()), np.int32, len(category))


def capped_lists(search: Search, n_users: int, x: int, categories: Int32Array, max_per_category: int | None) -> Ranking:
    """Each user's list of x: walk down the full ranking and take every item whose category is not yet full.

    Args:
        categories: `category_codes` of the items that `search` ranks.
    """
    everyone = np.arange(n_users)
    if max_per_category is None:
        return search(everyone, x)
    lists = Ranking.empty(n_users, x)
    users, k = everyone, WIDEN * x
    while len(users):
        candidates = search(users, k)
        taken = _walked(candidates, categories, max_per_category, x)
        lists.put(users, taken)
        unfinished = (taken.items[:, -1] < 0) & (candidates.items[:, -1] >= 0)
        users, k = users[unfinished], k * WIDEN
    return lists


def _in_categories(category: StringTable, names: Collection[str]) -> BoolArray:
    return np.fromiter((name in names for name in category.to_list()), np.bool_, len(category))


def _walked(candidates: Ranking, categories: Int32Array, max_per_category: int, x: int) -> Ranking:
    """The first x of each ranking that are within the cap."""
    n_users, k = candidates.items.shape
    users, places = np.nonzero(candidates.items >= 0)
    codes = categories[candidates.items[users, places]]
    order = np.lexsort((places, codes, users))
    starts = np.flatnonzero(np.diff(users[order], prepend=-1) | np.diff(codes[order], prepend=-2))
    nth = np.empty(len(order), np.int64)
    nth[order] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    kept = np.zeros((n_users, k), np.bool_)
    kept[users, places] = (nth < max_per_category) | (codes < 0)
    position = kept.cumsum(axis=1) - 1
    users, places = np.nonzero(kept & (position < x))
    lists = Ranking.empty(n_users, x)
    lists.items[users, position[users, places]] = candidates.items[users, places]
    lists.scores[users, position[users, places]] = candidates.scores[users, places]
    return lists
