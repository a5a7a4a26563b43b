"""Alternating least squares against a dense solution of the same problem, and what the estimator promises."""

import hashlib

import numpy as np
import pytest
from scipy.sparse import csr_array

from shortlist.errors import ContractError, DatasetError
from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.progress import EpochReport
from shortlist.latent import item_latent, item_prior, user_latent


def taste(n_users: int = 60, n_items: int = 40, seed: int = 0) -> csr_array:
    """Two groups of users who buy from two halves of the catalogue."""
    rng = np.random.default_rng(seed)
    likes = (np.arange(n_users)[:, None] % 2) == (np.arange(n_items)[None, :] % 2)
    bought = rng.random((n_users, n_items)) < np.where(likes, 0.4, 0.03)
    return csr_array((bought * rng.uniform(0.5, 2, bought.shape)).astype(np.float32))


def groups(n: int) -> csr_array:
    """One categorical feature with two values: the parity of the row."""
    return csr_array((np.ones(n, np.float32), np.arange(n) % 2, np.arange(n + 1)), shape=(n, 2))


def digest(machine: FactorizationMachine) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in machine.model.arrays().values())).hexdigest()


def test_users_are_the_exact_answer_to_the_final_items():
    pairs = taste()
    machine = FactorizationMachine(n_factors=5, epochs=3).fit(pairs)

    users, items = user_latent(machine.model), item_latent(machine.model)

    p = machine.get_params()
    alpha, v, b, dense = (
        p["unobserved_weight"],
        items[:, :-1].astype(float),
        items[:, -1].astype(float),
        pairs.toarray(),
    )
    for row in range(pairs.shape[0]):
        c = dense[row].astype(float)
        strength = p["regularization"] * (np.count_nonzero(c) + alpha * len(v)) ** p["regularization_exponent"]
        matrix = v.T @ ((c + alpha)[:, None] * v) + strength * np.eye(v.shape[1])
        exact = np.linalg.solve(matrix, v.T @ (c * (1 - b) - alpha * b))
        np.testing.assert_allclose(users[row, :-1], exact, rtol=1e-3, atol=1e-4)


def test_the_loss_falls_and_the_groups_separate():
    reports: list[EpochReport] = []
    machine = FactorizationMachine(n_factors=4, epochs=6).fit(taste(), on_epoch=reports.append)

    scores = user_latent(machine.model) @ item_latent(machine.model).T

    assert [r.epoch for r in reports] == [1, 2, 3, 4, 5, 6]
    assert reports[-1].loss < reports[0].loss
    same = (np.arange(60)[:, None] % 2) == (np.arange(40)[None, :] % 2)
    assert scores[same].mean() > scores[~same].mean() + 0.2


def test_predict_is_the_inner_product_of_the_latent_rows():
    machine = FactorizationMachine(n_factors=4, epochs=2).fit(taste(), groups(60), groups(40))
    users, items = np.array([0, 7, 59]), np.array([39, 3, 3])

    scores = machine.predict(users, items, groups(60), groups(40))

    latent = user_latent(machine.model, groups(60))[users] * item_latent(machine.model, groups(40))[items]
    np.testing.assert_allclose(scores, latent.sum(1), atol=1e-6)


def test_a_new_item_is_placed_by_its_features():
    machine = FactorizationMachine(n_factors=4, epochs=6).fit(taste(), groups(60), groups(40))

    new = item_prior(machine.model, groups(2))
    scores = user_latent(machine.model, groups(60)) @ new.T

    assert (scores[0::2, 0] > scores[0::2, 1]).all()
    assert (scores[1::2, 1] > scores[1::2, 0]).all()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_number_of_threads_changes_no_byte(n_threads):
    pairs = taste(9_000, 50, seed=1)  # more rows than one block of a dense product

    machine = FactorizationMachine(n_factors=3, epochs=2, n_threads=n_threads).fit(pairs, None, groups(50))

    again = FactorizationMachine(n_factors=3, epochs=2).fit(pairs, None, groups(50))
    assert digest(machine) == digest(again)


def test_items_can_be_learned_from_weights_of_their_own():
    pairs = taste()
    recent = pairs.copy()
    recent.data[recent.indices == 8] *= 10  # everybody who ever bought item 8 did so lately

    plain = FactorizationMachine(n_factors=3, epochs=4).fit(pairs)
    weighted = FactorizationMachine(n_factors=3, epochs=4).fit(pairs, item_interactions=recent)

    users = np.arange(60)
    eight = np.full(60, 8)
    assert weighted.predict(users, eight).mean() > plain.predict(users, eight).mean() + 0.05


def test_weights_for_items_of_another_shape_are_refused():
    with pytest.raises(DatasetError, match="those to learn items from"):
        FactorizationMachine().fit(taste(), item_interactions=taste(60, 41))


def test_another_seed_is_another_model():
    one, other = (FactorizationMachine(n_factors=3, epochs=1, seed=s).fit(taste()) for s in (1, 2))

    assert digest(one) != digest(other)


def test_duplicate_pairs_add_up():
    once = csr_array(np.array([[2.0, 0, 1], [0, 3, 0]], np.float32))
    twice = csr_array(
        (np.array([0.5, 1.5, 1, 3], np.float32), np.array([0, 0, 2, 1]), np.array([0, 3, 4])), shape=(2, 3)
    )

    one, other = (FactorizationMachine(n_factors=2, epochs=2).fit(pairs) for pairs in (once, twice))

    assert digest(one) == digest(other)


def test_a_row_without_purchases_is_what_its_features_say():
    pairs = taste()
    pairs.data[pairs.indptr[4] : pairs.indptr[5]] = 0

    machine = FactorizationMachine(n_factors=4, epochs=4).fit(pairs, groups(60), groups(40))

    everybody = user_latent(machine.model, groups(60))[:, :-1]
    like, unlike = everybody[0::2].mean(0), everybody[1::2].mean(0)
    assert np.isfinite(everybody).all()
    assert np.linalg.norm(everybody[4] - like) < np.linalg.norm(everybody[4] - unlike)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_one_user_or_one_item_is_enough(shape):
    machine = FactorizationMachine(n_factors=2, epochs=2).fit(csr_array(np.ones(shape, np.float32)))

    assert np.isfinite(item_latent(machine.model)).all()


def test_no_interactions_at_all_give_a_model_that_knows_nothing():
    machine = FactorizationMachine(n_factors=2, epochs=2).fit(csr_array((3, 4), dtype=np.float32))

    assert not machine.predict(np.array([0, 1]), np.array([3, 0])).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_confidence_that_is_no_positive_number_is_refused(bad):
    pairs = taste()
    pairs.data[3] = bad

    with pytest.raises(DatasetError, match="negative, NaN or infinite"):
        FactorizationMachine().fit(pairs)


@pytest.mark.parametrize("side", ["user", "item"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_feature_that_is_no_number_is_refused(side, bad):
    features = {"user": groups(60), "item": groups(40)}
    features[side].data[7] = bad

    with pytest.raises(DatasetError, match=f"{side} feature is NaN or infinite"):
        FactorizationMachine().fit(taste(), features["user"], features["item"])


def test_confidences_that_are_all_equal_and_leave_no_pair_out_give_equal_scores():
    everything = csr_array(np.full((12, 7), 2, np.float32))

    machine = FactorizationMachine(n_factors=3, epochs=8).fit(everything)

    scores = user_latent(machine.model) @ item_latent(machine.model).T
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores, scores.mean(), atol=0.02)
    assert 0.5 < scores.mean() < 2 / 3  # c / (c + α₀) of two and one, drawn to zero


def test_the_callers_matrices_stay_as_they_were():
    pairs, users = taste(), groups(60)
    pairs.data[2] = 0
    before = [array.copy() for array in (pairs.data, pairs.indices, pairs.indptr, users.data, users.indices)]

    FactorizationMachine(n_factors=3, epochs=1).fit(pairs, users)

    for array, kept in zip((pairs.data, pairs.indices, pairs.indptr, users.data, users.indices), before, strict=True):
        np.testing.assert_array_equal(array, kept)


def test_features_of_another_number_of_rows_are_refused():
    with pytest.raises(DatasetError, match="item features have 39 rows"):
        FactorizationMachine().fit(taste(), None, groups(39))


def test_a_saved_machine_comes_back_and_the_same_model_is_the_same_bytes(tmp_path):
    machine = FactorizationMachine(n_factors=3, epochs=2).fit(taste(), groups(60), groups(40))

    machine.save(tmp_path / "a")
    loaded = FactorizationMachine.load(tmp_path / "a")
    loaded.save(tmp_path / "b")

    assert loaded.get_params() == machine.get_params()
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_an_altered_file_is_noticed(tmp_path):
    FactorizationMachine(n_factors=3, epochs=1).fit(taste()).save(tmp_path)
    raw = bytearray((tmp_path / "item_factors.npy").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "item_factors.npy").write_bytes(raw)

    with pytest.raises(ContractError, match="is not the file that was written"):
        FactorizationMachine.load(tmp_path)


def test_a_folder_whose_writing_broke_off_is_no_model(tmp_path):
    FactorizationMachine(n_factors=3, epochs=1).fit(taste()).save(tmp_path)
    (tmp_path / "manifest.json").unlink()

    with pytest.raises(ContractError, match="no complete factorization-machine"):
        FactorizationMachine.load(tmp_path)


class ReclaimedError(Exception):
    pass


@pytest.mark.parametrize("last_epoch", [1, 2, 3])
def test_a_fit_that_was_cut_off_ends_with_the_same_bytes(tmp_path, last_epoch):
    undisturbed = FactorizationMachine(n_factors=3, epochs=4).fit(taste(), groups(60), groups(40))

    def reclaim(report: EpochReport) -> None:
        if report.epoch == last_epoch:
            raise ReclaimedError

    with pytest.raises(ReclaimedError):
        FactorizationMachine(n_factors=3, epochs=4).fit(
            taste(), groups(60), groups(40), on_epoch=reclaim, checkpoint=tmp_path
        )
    resumed_from: list[int] = []
    resumed = FactorizationMachine(n_factors=3, epochs=4).fit(
        taste(), groups(60), groups(40), on_epoch=lambda r: resumed_from.append(r.epoch), checkpoint=tmp_path
    )

    assert resumed_from[:1] == [last_epoch + 1]
    assert digest(resumed) == digest(undisturbed)


def test_a_checkpoint_broken_in_its_writing_falls_back_to_the_one_before(tmp_path):
    undisturbed = FactorizationMachine(n_factors=3, epochs=3).fit(taste())
    FactorizationMachine(n_factors=3, epochs=2).fit(taste(), checkpoint=tmp_path)
    (tmp_path / "0" / "manifest.json").unlink()  # of epoch 2

    epochs: list[int] = []
    resumed = FactorizationMachine(n_factors=3, epochs=3).fit(
        taste(), checkpoint=tmp_path, on_epoch=lambda r: epochs.append(r.epoch)
    )

    assert epochs == [2, 3]
    assert digest(resumed) == digest(undisturbed)


def test_a_checkpoint_of_other_data_is_not_taken_up(tmp_path):
    FactorizationMachine(n_factors=3, epochs=2).fit(taste(seed=5), checkpoint=tmp_path)

    epochs: list[int] = []
    FactorizationMachine(n_factors=3, epochs=2).fit(
        taste(seed=6), checkpoint=tmp_path, on_epoch=lambda r: epochs.append(r.epoch)
    )

    assert epochs == [1, 2]


def test_training_stops_when_the_metric_no_longer_rises():
    metrics = iter([0.1, 0.3, 0.2, 0.3, 0.9])

    machine = FactorizationMachine(n_factors=2, epochs=5, patience=2).fit(taste(), validate=lambda model: next(metrics))

    assert machine.n_epochs == 4


def test_a_fit_cut_off_remembers_its_metrics_and_stops_where_an_undisturbed_one_does(tmp_path):
    metrics = iter([0.1, 0.3, 0.2, 0.2, 0.9])
    FactorizationMachine(n_factors=2, epochs=3).fit(taste(), validate=lambda model: next(metrics), checkpoint=tmp_path)
    reports: list[EpochReport] = []

    machine = FactorizationMachine(n_factors=2, epochs=5, patience=2).fit(
        taste(), validate=lambda model: next(metrics), on_epoch=reports.append, checkpoint=tmp_path
    )

    assert machine.n_epochs == 4
    assert [(report.epoch, report.metric) for report in reports] == [(4, 0.2)]


def test_no_epoch_starts_after_the_time_budget():
    machine = FactorizationMachine(n_factors=2, epochs=50, max_seconds=0.0).fit(taste())

    assert machine.n_epochs == 1


def test_going_on_from_a_model_starts_where_it_stood():
    first = FactorizationMachine(n_factors=4, epochs=12).fit(taste(), groups(60), groups(40))

    reports: list[EpochReport] = []
    FactorizationMachine(n_factors=4, epochs=1).fit(
        taste(), groups(60), groups(40), start_from=first.model, on_epoch=reports.append
    )
    cold: list[EpochReport] = []
    FactorizationMachine(n_factors=4, epochs=1).fit(taste(), groups(60), groups(40), on_epoch=cold.append)

    assert reports[0].loss < cold[0].loss


def test_unknown_objectives_are_refused():
    with pytest.raises(ValueError, match="objective is one of"):
        FactorizationMachine("pairwise")


def test_settings_come_back_by_name():
    machine = FactorizationMachine(n_factors=9, seed=3)

    params = machine.get_params()

    assert params["n_factors"] == 9
    assert FactorizationMachine(**params).get_params() == params
