"""Folding in gives trained users their own rows, reasons add up to scores, last week's model fits this week's rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from shortlist.fm import explain as explain_module
from shortlist.fm.align import align, match
from shortlist.fm.explain import Explainer, explain
from shortlist.fm.fold_in import RowSolver, fold_in_users
from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.sparse import SparseRows
from shortlist.latent import item_latent, user_latent, user_prior

N_USERS, N_ITEMS = 50, 30


@pytest.fixture(scope="module")
def shop():
    rng = np.random.default_rng(3)
    likes = (np.arange(N_USERS)[:, None] % 2) == (np.arange(N_ITEMS)[None, :] % 2)
    bought = rng.random((N_USERS, N_ITEMS)) < np.where(likes, 0.5, 0.05)
    bought[7] = False  # nothing is known of this user but features
    pairs = csr_array((bought * rng.uniform(0.5, 2, bought.shape)).astype(np.float32))
    users = csr_array(
        (np.ones(N_USERS, np.float32), np.arange(N_USERS) % 2, np.arange(N_USERS + 1)), shape=(N_USERS, 2)
    )
    machine = FactorizationMachine(n_factors=4, epochs=5).fit(pairs, users)
    return pairs, users, machine.model


def test_folding_in_a_trained_user_gives_the_row_they_have(shop):
    pairs, features, model = shop
    solver = RowSolver.for_users(item_latent(model), model.settings)

    rows = fold_in_users(solver, pairs.indptr, pairs.indices, pairs.data, user_prior(model, features))

    np.testing.assert_allclose(rows, user_latent(model, features), atol=1e-4)


def test_an_items_row_answers_its_own_least_squares(shop):
    _, features, model = shop
    users = user_latent(model, features)
    buyers = np.array([0, 2, 9], np.int32)
    confidence = np.array([1, 2, 0.5], np.float32)

    row = RowSolver.for_items(users, model.settings).solve(buyers, confidence)

    p = model.settings
    c = np.zeros(N_USERS)
    c[buyers] = confidence
    alpha = p["unobserved_weight"]
    strength = p["regularization"] * (3 + alpha * N_USERS) ** p["regularization_exponent"]
    matrix = users.T.astype(float) @ ((c + alpha)[:, None] * users) + strength * np.eye(users.shape[1])
    np.testing.assert_allclose(row, np.linalg.solve(matrix, users.T @ c), atol=1e-4)


@pytest.mark.parametrize("user", [0, 7, 31])
def test_the_parts_add_up_to_the_score(shop, user):
    pairs, features, model = shop
    items, prior = item_latent(model), user_prior(model, features)
    mine = slice(pairs.indptr[user], pairs.indptr[user + 1])
    bought, repeat = pairs.indices[mine], np.linspace(1, 2, mine.stop - mine.start, dtype=np.float32)
    listed = np.arange(N_ITEMS, dtype=np.int32)

    solver, latent = RowSolver.for_users(items, model.settings), user_latent(model, features)
    parts = explain(solver, items, bought, pairs.data[mine], repeat, latent[user], prior[user], listed)

    scores = items @ user_latent(model, features)[user]
    scores[bought] += repeat
    np.testing.assert_allclose(parts.scores, scores, atol=1e-4)
    assert parts.purchases.shape == (N_ITEMS, len(bought))


@pytest.mark.parametrize("without", [None, "library", "tiles_here"])
def test_many_users_are_explained_as_one_by_one(shop, monkeypatch, without):
    # GIVEN users with none, few and more purchases than the model has factors, and lists with gaps
    if without:
        monkeypatch.setattr(explain_module, without, lambda: None)
    pairs, features, model = shop
    items, latent, prior = item_latent(model), user_latent(model, features), user_prior(model, features)
    solver = RowSolver.for_users(items, model.settings)
    listed = np.random.default_rng(1).integers(-1, N_ITEMS, (N_USERS, 30)).astype(np.int32)

    found = Explainer(solver, items).explain_all(pairs.indptr, pairs.indices, pairs.data, latent, prior, listed)

    for user in range(N_USERS):
        mine, held = slice(pairs.indptr[user], pairs.indptr[user + 1]), listed[user] >= 0
        bought, nothing = pairs.indices[mine], np.zeros(mine.stop - mine.start, np.float32)
        here = (latent[user], prior[user], listed[user][held])
        one = explain(solver, items, bought, pairs.data[mine], nothing, *here)
        missing = solver.wanted[bought] - items[bought, :-1] @ latent[user, :-1]
        credited = np.where(missing > 0, one.purchases, -1).max(axis=1, initial=0)
        named = np.where(found.purchase[user, held] == -1, -1, np.searchsorted(bought, found.purchase[user, held]))
        best = np.concatenate([one.purchases, np.zeros((len(one.purchases), 1), np.float32)], axis=1)
        np.testing.assert_allclose(best[np.arange(len(best)), named], credited, atol=1e-5)
        np.testing.assert_allclose(found.purchases[user, held], one.purchases.sum(axis=1), atol=1e-4)
        np.testing.assert_allclose(found.features[user, held], one.features, atol=1e-5)
        np.testing.assert_allclose(found.base[user, held], one.base, atol=1e-5)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_users=st.integers(1, 9),
    n_items=st.integers(1, 200),
    dims=st.integers(1, 40),
    most=st.integers(0, 150),
    n_places=st.integers(1, 60),
    alike=st.booleans(),
)
def test_numpy_explains_as_the_compiled_code_to_the_last_bit(seed, n_users, n_items, dims, most, n_places, alike):
    rng = np.random.default_rng(seed)
    items = rng.normal(0, rng.lognormal(-1, 1), (n_items, dims + 1)).astype(np.float32)
    if alike:  # ties
        items[:] = items[rng.integers(0, min(3, n_items), n_items)]
    counts = rng.integers(0, min(most, n_items) + 1, n_users)
    bought = [np.sort(rng.choice(n_items, count, replace=False)).astype(np.int32) for count in counts]
    indptr, item_rows = np.concatenate([[0], np.cumsum(counts)]), np.concatenate(bought)
    weight = rng.lognormal(0, 1, len(item_rows)).astype(np.float32)
    latent, prior = rng.normal(0, 0.5, (2, n_users, dims + 1)).astype(np.float32)
    listed = rng.integers(-1, n_items, (n_users, n_places)).astype(np.int32)
    model = {"unobserved_weight": 0.1, "regularization": 0.5, "regularization_exponent": 0.5}
    explainer = Explainer(RowSolver.for_users(items, model), items)

    compiled = explainer.explain_all(indptr, item_rows, weight, latent, prior, listed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explain_module, "library", lambda: None)
        patch.setattr(explain_module, "CELLS_AT_ONCE", int(rng.integers(1, 100_000)))
        plain = explainer.explain_all(indptr, item_rows, weight, latent, prior, listed)

    held = listed >= 0
    for name in ("purchase", "purchases", "features", "base"):
        assert getattr(compiled, name)[held].tobytes() == getattr(plain, name)[held].tobytes()


def test_what_the_user_bought_of_the_same_kind_explains_most(shop):
    pairs, features, model = shop
    items = item_latent(model)
    mine = slice(pairs.indptr[0], pairs.indptr[1])
    bought = pairs.indices[mine]
    unseen = np.setdiff1d(np.arange(0, N_ITEMS, 2), bought).astype(np.int32)

    parts = explain(
        RowSolver.for_users(items, model.settings),
        items,
        bought,
        pairs.data[mine],
        np.zeros(len(bought), np.float32),
        user_latent(model, features)[0],
        user_prior(model, features)[0],
        unseen,
    )

    assert (bought[parts.purchases.argmax(1)] % 2 == 0).all()


def test_features_carry_the_score_of_somebody_without_purchases(shop):
    _, features, model = shop
    items, nobody = item_latent(model), np.zeros(0, np.int32)

    parts = explain(
        RowSolver.for_users(items, model.settings),
        items,
        nobody,
        np.zeros(0, np.float32),
        np.zeros(0, np.float32),
        user_latent(model, features)[7],
        user_prior(model, features)[7],
        np.arange(N_ITEMS, dtype=np.int32),
    )

    assert parts.features[1::2].mean() > parts.features[0::2].mean()  # user 7 is odd


def test_matching_finds_old_rows_by_name():
    assert match(["a", "b", "c"], ["c", "x", "a"]).tolist() == [2, -1, 0]


def test_an_aligned_model_scores_those_it_knows_as_before(shop):
    _, features, model = shop
    users, items = np.array([5, -1, 0]), np.array([-1, 3, 4])
    columns = np.array([1, 0])  # the features changed places

    moved = align(model, users=users, items=items, user_features=columns, item_features=np.zeros(0, np.int64))

    swapped = SparseRows(np.arange(4), np.array([0, 0, 1], np.int32), np.ones(3, np.float32), 2)  # odd, odd, even
    before, after = user_latent(model, features), user_latent(moved, swapped)
    np.testing.assert_allclose(after[[0, 2]], before[[5, 0]], atol=1e-6)
    np.testing.assert_allclose(after[1], user_prior(model, features)[1], atol=1e-6)  # new: what odd users are like
    np.testing.assert_array_equal(item_latent(moved)[1:], item_latent(model)[[3, 4]])
    assert not item_latent(moved)[0].any()


def test_products_of_sparse_rows_are_those_of_the_dense_matrix():
    rng = np.random.default_rng(0)
    dense = (rng.random((40, 7)) * (rng.random((40, 7)) < 0.3)).astype(np.float32)
    dense[[0, 13, 39]] = 0
    rows, right = SparseRows.of(csr_array(dense)), rng.standard_normal((7, 3)).astype(np.float32)

    np.testing.assert_allclose(rows.times(right), dense @ right, atol=1e-6)
    np.testing.assert_allclose(rows.rows(10, 15).times(right[:, 0]), (dense @ right)[10:15, 0], atol=1e-6)
    np.testing.assert_allclose(rows.squared().times(right), dense**2 @ right, atol=1e-6)
    assert not SparseRows.empty(4, 7).times(right).any()
