"""The last fit of item features' factors: against a dense solution, and what it leaves as it was."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.new_items import fit_to_purchases
from shortlist.latent import item_latent, item_prior, user_latent


def shop(n_users: int = 80, n_items: int = 60, seed: int = 0) -> csr_array:
    """Two kinds of items for two kinds of users; one kind sells ten times as much."""
    rng = np.random.default_rng(seed)
    likes = np.arange(n_users)[:, None] % 2 == np.arange(n_items) % 2
    sells = np.where(np.arange(n_items) % 2 == 0, 0.5, 0.05)
    return csr_array((rng.random((n_users, n_items)) < np.where(likes, sells, 0.01)).astype(np.float32))


def kinds(n: int) -> csr_array:
    """One feature with two values: the parity of the row."""
    return csr_array((np.ones(n, np.float32), np.arange(n) % 2, np.arange(n + 1)), shape=(n, 2))


def test_it_is_the_dense_ridge_regression_towards_what_meets_the_purchases():
    rng = np.random.default_rng(1)
    users = np.column_stack([rng.standard_normal((80, 3)), np.ones(80)]).astype(np.float32)
    purchases, alpha, strength = shop(), 0.3, 2.0
    features = csr_array((rng.random((60, 5)) < [0.1, 0.3, 0.5, 0.7, 1.0]).astype(np.float32))

    found = fit_to_purchases(
        np.zeros((5, 4), np.float32),
        users,
        csr_array(purchases.T),
        features,
        unobserved_weight=alpha,
        strength=strength,
    )

    pairs, x, u = purchases.toarray().T.astype(float), features.toarray().astype(float), users.astype(float)
    of_item, of_user = (pairs.sum(1) + 1) ** -0.4, (pairs.sum(0) + 1) ** -1.25
    of_item, of_user = of_item / of_item.mean(), of_user / of_user.mean()
    gram = (u.T * of_user) @ u
    targets = (pairs * of_user) @ u @ np.linalg.inv(gram)
    scores, weight = targets @ u.T, of_item[:, None] * of_user
    targets *= (weight * pairs * scores).sum() / (weight * (pairs + alpha) * scores**2).sum()
    among = (x.T * of_item) @ x
    pull = strength * np.diag(x.sum(0) ** 0.4 * (1 - x.mean(0)))
    by_feature = np.linalg.solve(
        np.kron(among, gram) + np.trace(gram) / 4 * np.kron(pull, np.eye(4)),
        ((x.T * of_item) @ targets @ gram).ravel(),
    ).reshape(5, 4)
    by_feature[:, -1] *= 0.6
    factors = by_feature[:, :-1]
    crossed = (((x @ factors) ** 2).sum(1) - x**2 @ (factors**2).sum(1)) / 2
    by_feature[:, -1] -= np.linalg.solve(among + pull, (x.T * of_item) @ crossed)
    np.testing.assert_allclose(found, by_feature, rtol=1e-3, atol=1e-4)


def test_what_all_items_have_in_common_is_not_held_back():
    common = csr_array(np.ones((60, 1), np.float32))
    users = np.ones((80, 1), np.float32)
    weak, strong = (
        fit_to_purchases(
            np.zeros((1, 1), np.float32), users, csr_array(shop().T), common, unobserved_weight=0.3, strength=strength
        )
        for strength in (0.1, 1e4)
    )

    np.testing.assert_allclose(strong, weak, rtol=1e-5)
    assert strong[0, 0] > 0


def test_what_has_been_bought_is_scored_as_before():
    joint = FactorizationMachine(n_factors=4).fit(shop(), None, kinds(60)).model

    refitted = FactorizationMachine(n_factors=4, new_item_regularization=1.0).fit(shop(), None, kinds(60)).model

    np.testing.assert_array_equal(user_latent(refitted), user_latent(joint))
    np.testing.assert_allclose(item_latent(refitted, kinds(60)), item_latent(joint, kinds(60)), atol=1e-5)
    assert not np.allclose(item_prior(refitted, kinds(2)), item_prior(joint, kinds(2)), atol=1e-2)


def test_a_new_item_of_the_kind_that_sells_little_goes_to_those_who_buy_it():
    model = FactorizationMachine(n_factors=4, new_item_regularization=1.0).fit(shop(), None, kinds(60)).model

    scores = user_latent(model) @ item_prior(model, kinds(2)).T

    assert scores[0::2, 0].min() > scores[1::2, 0].max()
    assert scores[1::2, 1].mean() > scores[0::2, 1].mean()


@pytest.mark.parametrize("purchases", [csr_array((80, 60), dtype=np.float32), shop()[:, :1]])
def test_without_purchases_or_with_one_item_it_is_defined(purchases: csr_array):
    features = kinds(purchases.shape[1])

    model = FactorizationMachine(n_factors=4, new_item_regularization=1.0).fit(purchases, None, features).model

    assert all(np.isfinite(array).all() for array in model.arrays().values())


def test_the_number_of_threads_changes_no_byte():
    settings = {"n_factors": 4, "new_item_regularization": 1.0}

    one, two = (FactorizationMachine(**settings, n_threads=n).fit(shop(), None, kinds(60)).model for n in (1, 2))

    assert one.items.feature_factors.tobytes() == two.items.feature_factors.tobytes()
