"""A recommender and what it never saw in; its figures beside those of the baselines, by kind of list, out."""

from typing import Final

import msgspec
import numpy as np

from shortlist.config import Campaign, Model
from shortlist.contracts.arrays import BoolArray, Int64Array
from shortlist.contracts.lists import LIST_KINDS
from shortlist.contracts.metrics import HoldoutMetrics
from shortlist.evaluate import Pairs, Ranked, popular_where_unknown, rank, rank_by_own_purchases, rank_by_popularity
from shortlist.holdout import HoldOut, measure_kinds
from shortlist.recommender import Recommender, Shop, latent
from shortlist.training_data import TrainingData

OWN_PURCHASES_HALF_LIFE_DAYS: Final = 90.0
"""Of the buy-it-again baseline."""


def measured(recommender: Recommender, data: TrainingData, campaign: Campaign, split: str) -> HoldoutMetrics:
    """Figures, on `data.later`, of a recommender that learned from `data.known`; `split` says how the two part."""
    shop, settings, x = data.shop, campaign.model, campaign.x
    later = data.later
    past = recommender.past(data.known, shop)
    users, items = latent(recommender.model, shop)
    seen = Pairs(past.indptr, past.item_rows, shop.n_items)
    bought = Pairs.of(later.user_row, later.item_row, n_users=shop.n_users, n_items=shop.n_items)
    repeat = recommender.pair_repeat(past, shop, users, items)
    decayed = past.decayed_days(OWN_PURCHASES_HALF_LIFE_DAYS).astype(np.float32)

    def ranked(whom: Int64Array) -> dict[str, Ranked]:
        return {
            "model": rank(users, items, repeat, seen, whom, x),
            "popularity": rank_by_popularity(seen, whom, x),
            "buy_it_again": rank_by_own_purchases(decayed, whom, x),
        }

    customers = _sample(np.intersect1d(bought.users(), seen.users()), campaign)
    newcomers = ranked(_sample(np.setdiff1d(bought.users(), seen.users()), campaign))
    known = _with_features(shop, settings)
    newcomers["model"] = popular_where_unknown(newcomers["model"], newcomers["popularity"], known)
    return HoldoutMetrics(
        x=x,
        split=split,
        users=len(customers),
        kinds=measure_kinds(ranked(customers), newcomers, HoldOut(seen, bought, items, x), LIST_KINDS),
        settings=msgspec.to_builtins(settings),
    )


def _sample(users: Int64Array, campaign: Campaign) -> Int64Array:
    most = campaign.evaluation.max_users
    if len(users) <= most:
        return users
    return np.sort(np.random.default_rng(campaign.model.seed).choice(users, most, replace=False))


def _with_features(shop: Shop, settings: Model) -> BoolArray:
    """Users of whom the model knows a feature: bool (n_users,)."""
    if shop.user_features is None or not settings.use_features:
        return np.zeros(shop.n_users, np.bool_)
    known: BoolArray = np.diff(shop.user_features.indptr) > 0
    return known
