"""The campaign's rules: catalogue and moment in; items that may be listed, and what re-ranking asks of each, out."""

from collections.abc import Collection

import numpy as np

from shortlist.config import Promoted, Rules
from shortlist.contracts.arrays import BoolArray, Catalogue, Float32Array, Int32Array, Int64Array, StringTable
from shortlist.rerank import Cap, Traits

DAY_S = 86_400


def allowed_items(catalogue: Catalogue, rules: Rules, as_of_s: int) -> BoolArray:
    """Which items may be on a list at `as_of_s` (epoch seconds): bool (n_items,).

    `available_until` and `offer_until` are the first second at which an item is no longer on offer.
    """
    allowed = np.ones(len(catalogue.title), np.bool_)
    if rules.include_categories:
        allowed &= _among(catalogue.category, rules.include_categories)
    if rules.exclude_categories:
        allowed &= ~_among(catalogue.category, rules.exclude_categories)
    if rules.min_price is not None:
        allowed &= catalogue.price >= rules.min_price
    if rules.max_price is not None:
        allowed &= catalogue.price <= rules.max_price
    until_s = as_of_s + int(rules.available_for_days * DAY_S)
    if rules.only_available:
        begins, ends = catalogue.available_from, catalogue.available_until
        allowed &= catalogue.in_stock & ((begins < 0) | (begins <= as_of_s)) & ((ends < 0) | (until_s < ends))
    if rules.only_deals:
        allowed &= offered(catalogue, as_of_s) & ((catalogue.offer_until < 0) | (until_s < catalogue.offer_until))
    return allowed


def offered(catalogue: Catalogue, as_of_s: int) -> BoolArray:
    """Which items have an offer that is open at `as_of_s`: bool (n_items,)."""
    begins, ends = catalogue.offer_from, catalogue.offer_until
    open_now: BoolArray = (begins >= 0) & (begins <= as_of_s) & ((ends < 0) | (as_of_s < ends))
    return open_now


def promoted_items(catalogue: Catalogue, item_ids: StringTable, promoted: Promoted | None) -> BoolArray:
    """Which items the campaign promotes: bool (n_items,)."""
    if promoted is None:
        return np.zeros(len(item_ids), np.bool_)
    return (
        _among(item_ids, promoted.items)
        | _among(catalogue.category, promoted.categories)
        | _among(catalogue.brand, promoted.brands)
    )


def traits_of(
    catalogue: Catalogue, item_ids: StringTable, vectors: Float32Array, item_rows: Int32Array, rules: Rules
) -> Traits:
    """What re-ranking asks of the items that may be listed.

    Args:
        vectors: float32 (n, d), latent rows of these items.
        item_rows: int32 (n,), their rows in the catalogue.
    """
    caps = ((catalogue.category, rules.max_per_category), (catalogue.brand, rules.max_per_brand))
    worth = {"relevance": None, "price": catalogue.price, "margin": catalogue.margin}[rules.rank_by]
    return Traits(
        caps=tuple(Cap(codes_of(names)[item_rows], most) for names, most in caps if most is not None),
        value=None if worth is None else np.maximum(np.nan_to_num(worth[item_rows]), 0.0) ** rules.value_weight,
        directions=_directions(vectors) if rules.diversity else None,
        diversity=rules.diversity,
        promoted=promoted_items(catalogue, item_ids, rules.promoted)[item_rows],
        promoted_share=rules.promoted.share if rules.promoted else 0.0,
        candidates=rules.candidates,
    )


def recently_bought(last_seen: Int64Array, rules: Rules, as_of_s: int) -> BoolArray:
    """Which pairs of a user and an item the user took too recently to be listed: bool (n_pairs,)."""
    if rules.rest_bought_days is None:
        return np.zeros(len(last_seen), np.bool_)
    recent: BoolArray = last_seen > as_of_s - rules.rest_bought_days * DAY_S
    return recent


def codes_of(names: StringTable) -> Int32Array:
    """A number for each category or brand: int32 (n_items,), −1 for items without one, which no cap touches."""
    codes = {"": -1}
    return np.fromiter((codes.setdefault(name, len(codes) - 1) for name in names.to_list()), np.int32, len(names))


def _directions(vectors: Float32Array) -> Float32Array:
    """Unit rows of what an item is like, without the part of its score that is the same for everybody."""
    likes = vectors[:, :-1]
    lengths = np.linalg.norm(likes, axis=1, keepdims=True)
    directions: Float32Array = likes / np.maximum(lengths, np.finfo(np.float32).tiny)
    return directions


def _among(names: StringTable, wanted: Collection[str]) -> BoolArray:
    if not wanted:
        return np.zeros(len(names), np.bool_)
    chosen = frozenset(wanted)
    return np.fromiter((name in chosen for name in names.to_list()), np.bool_, len(names))
