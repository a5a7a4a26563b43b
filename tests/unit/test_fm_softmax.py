"""The softmax loss against its formula and finite differences, and what the estimator promises with it."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from shortlist.errors import DatasetError
from shortlist.fm.fold_in import RowSolver
from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.progress import EpochReport
from shortlist.fm.softmax import Drawn, batch_gradient, chances_to_be_drawn
from shortlist.fm.threads import threads
from shortlist.latent import item_latent, user_latent

T = 0.3


def shares(n_users: int, n_items: int, seed: int = 0) -> csr_array:
    """What each of a user's purchases counts; everybody has bought something."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((n_users, n_items)) < 0.3) * rng.uniform(0.5, 2, (n_users, n_items))
    dense[:, 0] += 0.7
    return csr_array(dense / dense.sum(1, keepdims=True))


def vectors(n_users: int, n_items: int, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(9)
    return rng.standard_normal((n_users, k)), rng.standard_normal((n_items, k))


def everybody(offset: np.ndarray) -> Drawn:
    return Drawn(np.arange(len(offset)), offset)


def loss(bought: csr_array, users: np.ndarray, items: np.ndarray, offset: np.ndarray) -> float:
    """The formula at the top of shortlist/fm/softmax.py."""
    cosines = (users @ items.T) / np.outer(np.linalg.norm(users, axis=1), np.linalg.norm(items, axis=1))
    chances = np.exp(cosines / T + offset)
    return -(bought.toarray() * np.log(chances / chances.sum(1, keepdims=True))).sum(1).mean()


def test_the_loss_is_its_formula_and_the_gradient_its_slope():
    bought, (users, items) = shares(260, 7), vectors(260, 7)  # more users than one block
    offset = np.linspace(0, 2, 7)

    with threads(2) as crew:
        gradient = batch_gradient(bought, users, items, offset, everybody(offset), T, crew)

    assert gradient.loss == pytest.approx(loss(bought, users, items, offset), rel=1e-6)
    for array, slope in ((users, gradient.users), (items, gradient.items)):
        expected = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            before = array[place]
            array[place] = before + 1e-5
            up = loss(bought, users, items, offset)
            array[place] = before - 1e-5
            expected[place] = (up - loss(bought, users, items, offset)) / 2e-5
            array[place] = before
        np.testing.assert_allclose(slope, expected, atol=1e-8)


@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.1, 1.0]))
@settings(max_examples=20, deadline=None)
def test_a_vector_s_length_changes_neither_loss_nor_direction_of_its_gradient(seed, temperature):
    bought, (users, items) = shares(9, 6, seed), vectors(9, 6)
    longer = items * np.random.default_rng(seed).uniform(0.1, 10, (6, 1))

    with threads(1) as crew:
        one, other = (
            batch_gradient(bought, users, rows, np.zeros(6), everybody(np.zeros(6)), temperature, crew)
            for rows in (items, longer)
        )

    assert other.loss == pytest.approx(one.loss, rel=1e-9)
    ratio = np.linalg.norm(longer, axis=1) / np.linalg.norm(items, axis=1)
    np.testing.assert_allclose(other.items * ratio[:, None], one.items, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(np.einsum("nk,nk->n", one.items, items), 0, atol=1e-6)


def test_drawn_negatives_estimate_the_sum_over_all_items():
    bought, (users, items) = shares(20, 40), vectors(20, 40)
    offset = np.linspace(0, 2, 40)
    chances = chances_to_be_drawn(np.exp(offset), 20)
    rng = np.random.default_rng(3)

    with threads(1) as crew:
        exact = batch_gradient(bought, users, items, offset, everybody(offset), T, crew)
        drawn = []
        for _ in range(400):
            rows = np.flatnonzero(rng.random(40) < chances)
            sample = Drawn(rows, offset[rows] - np.log(chances[rows]))
            drawn.append(batch_gradient(bought, users, items, offset, sample, T, crew))

    assert np.mean([one.loss for one in drawn]) == pytest.approx(exact.loss, rel=0.01)
    mean = np.mean([one.items for one in drawn], axis=0)
    assert np.linalg.norm(mean - exact.items) < 0.1 * np.linalg.norm(exact.items)


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=30), st.integers(1, 40))
def test_chances_to_be_drawn_are_proportional_below_one_and_sum_to_the_number_wanted(weights, wanted):
    weights = np.array(weights)

    chances = chances_to_be_drawn(weights, wanted)

    assert chances.sum() == pytest.approx(min(wanted, len(weights)))
    below = chances < 1 - 1e-9
    np.testing.assert_allclose(chances[below] / weights[below], (chances / weights)[below][:1].repeat(below.sum()))
    assert weights[~below].min(initial=np.inf) >= weights[below].max(initial=0) * (1 - 1e-9)


def test_without_a_number_of_negatives_all_items_are_drawn():
    assert chances_to_be_drawn(np.array([1.0, 100.0]), None).tolist() == [1.0, 1.0]


def planted(n_users: int = 300, n_items: int = 60, groups: int = 6) -> tuple[csr_array, csr_array]:
    """Users who buy from one group of items each; a fifth of it is held out."""
    rng = np.random.default_rng(5)
    likes = np.arange(n_users)[:, None] % groups == np.arange(n_items)[None, :] % groups
    bought = rng.random(likes.shape) < np.where(likes, 0.7, 0.02)
    held = rng.random(likes.shape) < 0.2
    return csr_array((bought & ~held).astype(np.float32)), csr_array((bought & held & likes).astype(np.float32))


def softmax(**settings) -> FactorizationMachine:
    return FactorizationMachine(loss="softmax", **{"n_factors": 6, "epochs": 8, "learning_rate": 0.03} | settings)


@pytest.mark.parametrize("negatives", [None, 20])
def test_it_finds_the_groups_and_the_loss_falls(negatives):
    train, held_out = planted()
    reports: list[EpochReport] = []

    machine = softmax(negatives=negatives).fit(train, on_epoch=reports.append)

    scores = user_latent(machine.model) @ item_latent(machine.model).T
    scores[train.toarray() > 0] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :5]
    hits = np.take_along_axis(held_out.toarray(), best, axis=1).sum()
    assert hits > 0.85 * np.minimum(np.diff(held_out.indptr), 5).sum()
    assert reports[-1].loss < reports[0].loss
    assert [report.epoch for report in reports] == list(range(1, 9))


def digest(machine: FactorizationMachine) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in machine.model.arrays().values())).hexdigest()


@pytest.mark.parametrize("negatives", [None, 20])
def test_the_number_of_threads_changes_no_byte_and_the_seed_does(negatives):
    train, _ = planted(1500)

    one, two, other = (
        softmax(epochs=2, negatives=negatives, **given).fit(train)
        for given in ({"n_threads": 1}, {"n_threads": 2}, {"seed": 1})
    )

    assert digest(one) == digest(two)
    assert digest(one) != digest(other)


def test_users_without_purchases_and_items_without_buyers_are_defined():
    pairs = planted()[0].toarray()
    pairs[7], pairs[:, 11] = 0, 0

    model = softmax(epochs=2).fit(csr_array(pairs)).model

    assert not user_latent(model)[7, :-1].any()
    assert np.isfinite(item_latent(model)).all()


def test_no_interactions_at_all_give_a_model_that_knows_nothing():
    machine = softmax(epochs=2).fit(csr_array((3, 4), dtype=np.float32))

    assert not machine.predict(np.array([0, 1]), np.array([3, 0])).any()


def test_what_it_cannot_use_is_refused():
    train, _ = planted()
    one_feature = csr_array(np.ones((train.shape[1], 1), np.float32))

    for refused in ({"item_features": one_feature}, {"item_interactions": train}):
        with pytest.raises(DatasetError, match="softmax loss takes interactions alone"):
            softmax().fit(train, **refused)


def test_a_fit_that_was_cut_off_ends_with_the_same_bytes(tmp_path):
    train, _ = planted(400)

    def stop_after_two(report: EpochReport) -> None:
        if report.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        softmax(epochs=4).fit(train, checkpoint=tmp_path, on_epoch=stop_after_two)
    reports: list[EpochReport] = []
    resumed = softmax(epochs=4).fit(train, checkpoint=tmp_path, on_epoch=reports.append)

    assert [report.epoch for report in reports] == [3, 4]
    assert digest(resumed) == digest(softmax(epochs=4).fit(train))


def test_a_checkpoint_of_another_number_of_epochs_is_not_taken_up(tmp_path):
    train, _ = planted()
    softmax(epochs=2).fit(train, checkpoint=tmp_path)
    reports: list[EpochReport] = []

    softmax(epochs=3).fit(train, checkpoint=tmp_path, on_epoch=reports.append)

    assert [report.epoch for report in reports] == [1, 2, 3]


def test_the_bias_of_an_item_is_the_popularity_it_was_trained_with():
    train, _ = planted()

    model = softmax(epochs=1, popularity=0.5).fit(train).model

    np.testing.assert_allclose(item_latent(model)[:, -1], 0.5 * np.log1p(train.sum(0)), rtol=1e-6)


def test_a_fit_that_goes_on_from_a_model_starts_where_it_was():
    train, _ = planted()
    first: list[EpochReport] = []
    machine = softmax(learning_rate=0.01).fit(train, on_epoch=first.append)

    second: list[EpochReport] = []
    softmax(epochs=1, learning_rate=0.001).fit(train, start_from=machine.model, on_epoch=second.append)

    assert second[0].loss == pytest.approx(first[-1].loss, rel=0.02)
    assert second[0].loss < first[0].loss


def test_nobody_is_folded_in_to_it():
    model = softmax(epochs=1).fit(planted()[0]).model

    with pytest.raises(DatasetError, match="folds nobody in"):
        RowSolver.for_users(item_latent(model), model.settings)


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match="loss is one of"):
        FactorizationMachine(loss="hinge")


def test_it_is_saved_and_loaded_with_its_settings(tmp_path):
    machine = softmax(epochs=1, negatives=10).fit(planted()[0])

    machine.save(tmp_path)

    assert FactorizationMachine.load(tmp_path).get_params() == machine.get_params()
