"""Rows beside the machine: what they are, and that scores are the sum of both."""

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.spectral import POPULARITY_EXPONENT, beside, spectral_rows
from shortlist.fm.threads import threads
from shortlist.latent import item_latent, item_prior, user_latent

N_USERS, N_ITEMS, K = 60, 45, 5


@pytest.fixture
def pairs() -> csr_array:
    """In three groups, so that there is something to find; the first user has bought nothing."""
    rng = np.random.default_rng(3)
    users, items = np.arange(N_USERS)[:, None], np.arange(N_ITEMS)[None]
    chance = np.where(users % 3 == items % 3, 0.4, 0.05)
    bought = (rng.random((N_USERS, N_ITEMS)) < chance) * rng.uniform(0.2, 1.8, (N_USERS, N_ITEMS))
    bought[0] = 0
    return csr_array(bought.astype(np.float32))


def rows_of(for_users, for_items, n_factors=K, n_threads=1):
    with threads(n_threads) as crew:
        return spectral_rows(for_users, for_items, n_factors, seed=1, crew=crew)


def joined_to(model, rows, features=None, n_threads=1, **options):
    with threads(n_threads) as crew:
        return beside(model, *rows, features, crew=crew, **options)


def test_scores_are_those_of_smoothed_recent_purchases(pairs, monkeypatch):
    monkeypatch.setattr("shortlist.fm.spectral.ROUNDS", 40)
    recent = csr_array(pairs.toarray() * (np.arange(N_ITEMS) % 2))

    users, items = rows_of(pairs, recent)

    dense = pairs.toarray().astype(np.float64) * (np.count_nonzero(pairs.toarray(), 0) + 1.0) ** -POPULARITY_EXPONENT
    lengths = np.linalg.norm(dense, axis=1, keepdims=True)
    left, values, _ = np.linalg.svd(np.divide(dense, lengths, where=lengths > 0, out=np.zeros_like(dense)))
    shrunk = values[:K] ** 2 / (values[:K] ** 2 + values[K - 1] ** 2)
    expected = (left[:, :K] * shrunk) @ left[:, :K].T @ recent.toarray()
    np.testing.assert_allclose(users @ items.T, expected, atol=1e-4)
    assert not users[0].any()


def test_any_number_of_threads_gives_the_same_bytes(pairs, monkeypatch):
    monkeypatch.setattr("shortlist.fm.threads.BLOCK_ROWS", 16)
    model = FactorizationMachine(n_factors=2, epochs=1, n_threads=1).fit(pairs).model

    alone, together = (joined_to(model, rows_of(pairs, pairs, n_threads=n), n_threads=n) for n in (1, 2))

    assert [array.tobytes() for array in alone.arrays().values()] == [a.tobytes() for a in together.arrays().values()]


@pytest.mark.parametrize(("shape", "k"), [((40, 90), 5), ((90, 16), 2), ((7, 90), 0), ((1, 1), 0), ((3, 0), 0)])
def test_a_small_shop_has_fewer_dimensions(shape, k):
    pairs = csr_array(np.ones(shape, np.float32))

    for rows, n in zip(rows_of(pairs, pairs, 12), shape, strict=True):
        assert rows.shape == (n, k)
        assert np.isfinite(rows).all()


def test_a_shop_too_small_for_any_keeps_the_machine_as_it_is():
    pairs, groups = csr_array(np.ones((7, 7), np.float32)), csr_array(np.eye(7, dtype=np.float32))
    model = FactorizationMachine(n_factors=2, epochs=1, n_threads=1).fit(pairs, None, groups).model

    assert joined_to(model, rows_of(pairs, pairs), groups) is model


def test_no_purchases_add_nothing_to_the_scores():
    nothing = csr_array((25, 24), dtype=np.float32)
    model = FactorizationMachine(n_factors=2, epochs=1, n_threads=1).fit(nothing).model

    joined = joined_to(model, rows_of(nothing, nothing, 3))

    assert joined.n_factors == 5
    assert not joined.users.factors[:, 2:].any()
    assert not joined.items.factors[:, 2:].any()


def test_scores_of_both_add_up_with_features_too(pairs):
    features = [random_array((n, 6), density=0.4, rng=n, dtype=np.float32) for n in (N_USERS, N_ITEMS)]
    users, items = map(csr_array, features)
    machine = FactorizationMachine(n_factors=4, epochs=3, n_threads=1).fit(pairs, users, items)
    rows = rows_of(pairs, pairs)

    joined = joined_to(machine.model, rows, items, weight=0.7)

    alone = user_latent(machine.model, users) @ item_latent(machine.model, items).T
    added = user_latent(joined, users) @ item_latent(joined, items).T - alone
    products = rows[0] @ rows[1].T
    own = machine.model.users.factors @ machine.model.items.factors.T
    np.testing.assert_allclose(added, products * 0.7 * np.sqrt((own**2).sum() / (products**2).sum()), atol=1e-5)
    plain = joined_to(machine.model, rows)
    shares = [np.linalg.norm(s.factors[:, 4:]) / np.linalg.norm(s.factors[:, :4]) for s in (plain.users, plain.items)]
    assert shares[0] == pytest.approx(shares[1], rel=1e-4)


def test_an_item_that_nobody_has_bought_has_the_row_of_its_features(pairs):
    # GIVEN items of three groups that say which group they are of, and one of the second group that nobody has bought
    groups = csr_array(np.eye(3, dtype=np.float32)[np.arange(N_ITEMS) % 3])
    bought = pairs.toarray()
    bought[:, 4] = 0
    bought = csr_array(bought)
    machine = FactorizationMachine(n_factors=4, epochs=3, n_threads=1).fit(bought, None, groups)

    joined = joined_to(machine.model, rows_of(bought, bought), groups)

    new = item_latent(joined, groups)[4]
    np.testing.assert_allclose(new[4:-1], item_prior(joined, groups)[4, 4:-1], atol=1e-6)
    scores = user_latent(joined)[:, 4:-1] @ new[4:-1]
    assert scores[1::3].mean() > 2 * max(scores[2::3].mean(), scores[3::3].mean())
