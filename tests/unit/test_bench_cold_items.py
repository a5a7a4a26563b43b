"""Removing items or users: what is left and what is gone, and that features alone carry what training never saw."""

import numpy as np
from scipy.sparse import csr_array

from bench import cold_users
from bench._figures import recall_and_ndcg
from bench._removals import Contender, Shop, choose, with_constant
from bench.cold_items import ours


def shop(n_users: int = 120, n_items: int = 200) -> Shop:
    """Users of two kinds buy items of their kind; an item's only feature says which."""
    rng = np.random.default_rng(0)
    kind = np.arange(n_items) % 2
    bought = rng.random((n_users, n_items)) < np.where(np.arange(n_users)[:, None] % 2 == kind, 0.3, 0.01)
    features = csr_array((np.ones(n_items, np.float32), (np.arange(n_items), kind)))
    return Shop(csr_array(bought.astype(np.float32)), features)


def test_every_item_is_either_kept_or_removed():
    whole = shop()

    kept, removed = whole.remove(3)

    assert kept.purchases.shape[1] + removed.purchases.shape[1] == 200
    assert 8 <= removed.purchases.shape[1] <= 32
    assert kept.purchases.nnz + removed.purchases.nnz == whole.purchases.nnz
    assert kept.features.shape[0] == kept.purchases.shape[1]


def test_an_items_kind_alone_ranks_it_for_the_users_of_that_kind():
    kept, removed = shop().remove(3)
    settings = {"n_factors": 4, "epochs": 5, "unobserved_weight": 0.3, "regularization": 0.3}

    users, items = ours(kept, removed.features, settings)

    kinds = removed.features.toarray()[:, 1]
    scores = users @ items.T
    assert (scores[1::2][:, kinds == 1].min(1) > scores[1::2][:, kinds == 0].max(1)).mean() > 0.95
    nothing = csr_array(removed.purchases.shape, dtype=np.float32)
    assert recall_and_ndcg(users, items, nothing, removed.purchases)[0] > 0.9


def households() -> Shop:
    """The same shop, of whose users three in four have said which kind they are."""
    purchases = shop(n_users=400, n_items=60).purchases
    said = np.flatnonzero(np.arange(400) % 8 < 6)
    kinds = csr_array((np.ones(len(said), np.float32), (said, said % 2)), shape=(400, 2))
    return Shop(purchases, with_constant(kinds), "users")


def test_only_users_who_have_said_something_are_removed():
    whole = households()

    kept, removed = whole.remove(3)

    assert kept.purchases.shape[0] + removed.purchases.shape[0] == 400
    assert removed.purchases.shape[1] == 60
    assert 12 <= removed.purchases.shape[0] <= 60
    assert (np.diff(removed.features.indptr) == 2).all()


def test_a_users_kind_alone_finds_the_items_of_that_kind():
    kept, removed = households().remove(3)
    settings = {"n_factors": 4, "epochs": 5, "unobserved_weight": 0.3, "regularization": 0.3}
    nothing = csr_array(removed.purchases.shape, dtype=np.float32)

    found, popular = (
        recall_and_ndcg(*recommend(kept, removed.features, settings), nothing, removed.purchases)[0]
        for recommend in (cold_users.ours, cold_users.popularity)
    )

    assert found > 0.6
    assert popular < 0.45


def test_the_settings_with_the_best_recall_on_validation_are_chosen():
    contender = Contender(
        lambda kept, features, settings: ours(kept, features, {"n_factors": 4} | dict(settings)),
        [{"epochs": 5, "unobserved_weight": 0.3}, {"epochs": 0}],
    )

    assert choose("ours", contender, shop(), 1) == contender.candidates[0]
