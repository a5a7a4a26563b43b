"""Regression and classification: the promises of the estimator, and data whose truth is known."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.special import ndtr

from shortlist.errors import ContractError, DatasetError
from shortlist.fm.inputs import Examples, FeatureGroups
from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.posterior import average
from shortlist.fm.progress import EpochReport
from shortlist.latent import in_context, item_latent, user_latent, user_offset
from tests.double_loop import double_loop

SOLVERS = ("gibbs", "variational", "als")
OBJECTIVES = ("regression", "classification")


def random_rows(rng, n, width):
    """Sparse feature rows, some empty, with more than one feature in a row."""
    return csr_array((rng.random((n, width)) < 0.5) * rng.uniform(-1.5, 1.5, (n, width)).astype(np.float32))


def random_examples(rng, n=40, n_users=6, n_items=5, width=3, classes=False):
    targets = rng.standard_normal(n)
    return Examples(
        rng.integers(0, n_users, n),
        rng.integers(0, n_items, n),
        targets > 0 if classes else targets,
        n_users,
        n_items,
        random_rows(rng, n, width) if width else None,
    )


def taste(n=6_000, n_users=80, n_items=50, seed=0, noise=0.5):
    """Examples of a machine with two factors and biases, and its scores without noise."""
    rng = np.random.default_rng(seed)
    u, i = rng.integers(0, n_users, n), rng.integers(0, n_items, n)
    users, items = rng.standard_normal((n_users, 2)), rng.standard_normal((n_items, 2))
    truth = 3 + (users[u] * items[i]).sum(1) + 0.5 * rng.standard_normal(n_items)[i]
    return Examples(u, i, truth + noise * rng.standard_normal(n), n_users, n_items), truth


def part(examples, chosen):
    return replace(
        examples,
        user_rows=examples.user_rows[chosen],
        item_rows=examples.item_rows[chosen],
        targets=examples.targets[chosen],
    )


def digest(machine):
    return hashlib.sha256(b"".join(array.tobytes() for array in machine.model.arrays().values())).hexdigest()


def as_dict(rows, row):
    place = slice(rows.indptr[row], rows.indptr[row + 1])
    return dict(zip(rows.indices[place].tolist(), rows.data[place].tolist(), strict=True))


@settings(max_examples=24, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 2**32),
    st.sampled_from(OBJECTIVES),
    st.sampled_from(SOLVERS),
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
)
def test_a_prediction_is_the_double_loop_and_the_inner_product(seed, objective, solver, widths):
    # GIVEN a machine trained on any mix of user, item and context features
    rng = np.random.default_rng(seed)
    examples = random_examples(rng, width=widths[2], classes=objective == "classification")
    user_features = random_rows(rng, 6, widths[0]) if widths[0] else None
    item_features = random_rows(rng, 5, widths[1]) if widths[1] else None
    machine = FactorizationMachine(objective, n_factors=3, solver=solver, epochs=4, n_samples=2, seed=seed)
    machine.fit(examples, user_features, item_features)
    u, i, context = examples.user_rows, examples.item_rows, examples.context

    # WHEN it predicts its examples
    predicted = machine.predict(u, i, user_features, item_features, context)

    # THEN that is the formula, and the inner product of the latent rows
    model = machine.model
    looped = [
        double_loop(
            model,
            (a, as_dict(user_features, a) if widths[0] else {}),
            (b, as_dict(item_features, b) if widths[1] else {}),
            as_dict(context, row) if widths[2] else None,
        )
        for row, (a, b) in enumerate(zip(u, i, strict=True))
    ]
    users, offset = user_latent(model, user_features), user_offset(model, user_features)
    a_u, c_u = in_context(model, users[u], offset[u], context)
    scores = c_u + (a_u * item_latent(model, item_features)[i]).sum(1)
    np.testing.assert_allclose(scores, looped, rtol=1e-4, atol=2e-4)
    np.testing.assert_allclose(
        predicted, ndtr(scores) if objective == "classification" else scores, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_same_seed_same_bytes_whatever_the_number_of_threads(objective, solver):
    rng = np.random.default_rng(1)
    examples = random_examples(rng, n=9_000, n_users=300, n_items=200, classes=objective == "classification")
    items = random_rows(rng, 200, 4)

    one, two, again, other = (
        FactorizationMachine(objective, n_factors=4, solver=solver, epochs=3, n_threads=n, seed=seed).fit(
            examples, None, items
        )
        for n, seed in ((1, 5), (2, 5), (2, 5), (2, 6))
    )

    assert digest(one) == digest(two) == digest(again)
    assert digest(one) != digest(other)


@pytest.mark.parametrize(("solver", "close"), [("gibbs", 0.16), ("variational", 0.17), ("als", 0.3)])
def test_the_scores_without_noise_are_found_again(solver, close):
    examples, truth = taste()
    chosen = np.arange(6_000) < 5_000

    machine = FactorizationMachine("regression", n_factors=4, solver=solver, epochs=60, seed=2)
    machine.fit(part(examples, chosen))

    predicted = machine.predict(examples.user_rows[~chosen], examples.item_rows[~chosen])
    assert np.sqrt(np.mean((predicted - truth[~chosen]) ** 2)) < close


def test_the_average_of_draws_is_nearer_to_the_truth_than_one_draw():
    examples, truth = taste(n=3_000)
    chosen = np.arange(3_000) < 2_500

    def error(n_samples):
        machine = FactorizationMachine("regression", n_factors=4, epochs=60, n_samples=n_samples)
        machine.fit(part(examples, chosen))
        predicted = machine.predict(examples.user_rows[~chosen], examples.item_rows[~chosen])
        return np.sqrt(np.mean((predicted - truth[~chosen]) ** 2))

    assert error(30) < 0.85 * error(1)


@pytest.mark.parametrize(("objective", "close"), [("regression", 0.63), ("classification", 0.38)])
def test_a_short_chain_has_left_its_start(objective, close):
    # from a start that the noise drowns, thirty epochs find .55 and .29
    examples, truth = taste(5_000, 200, 150, noise=1.5)
    if objective == "classification":
        examples = replace(examples, targets=(examples.targets > 3).astype(np.float32))
    test = np.arange(len(truth)) % 5 == 0

    machine = FactorizationMachine(objective, n_factors=8, epochs=30, warm_up=10, n_samples=20, seed=1)
    machine.fit(part(examples, ~test))

    predicted = machine.predict(examples.user_rows[test], examples.item_rows[test])
    assert np.corrcoef(predicted, truth[test])[0, 1] > close


def test_machines_laid_end_to_end_give_the_mean_of_their_scores():
    rng = np.random.default_rng(3)
    examples, users, items = random_examples(rng), random_rows(rng, 6, 2), random_rows(rng, 5, 3)
    machines = [
        FactorizationMachine("regression", n_factors=3, solver="als", epochs=2, seed=seed).fit(examples, users, items)
        for seed in range(5)
    ]
    asked = (examples.user_rows, examples.item_rows, users, items, examples.context)

    mean = np.mean([machine.predict(*asked) for machine in machines], axis=0)
    together = FactorizationMachine("regression")
    together.model = average([machine.model for machine in machines])

    assert together.model.n_factors == 15
    np.testing.assert_allclose(together.predict(*asked), mean, rtol=1e-4, atol=1e-5)


def test_a_careless_user_is_not_listened_to_as_much_as_the_others():
    # GIVEN every item rated 0 or 2 by nine careful users, and anything at all by a tenth, far off and often
    rng = np.random.default_rng(4)
    good = np.where(np.arange(40) % 2, 2.0, 0.0)
    u, i = np.repeat(np.arange(10), 40), np.tile(np.arange(40), 10)
    targets = good[i] + np.where(u == 9, 6, 0.2) * rng.standard_normal(400)

    machine = FactorizationMachine("regression", n_factors=1, epochs=60).fit(Examples(u, i, targets, 10, 40))

    of_careful = machine.predict(np.zeros(40, int), np.arange(40))
    assert np.abs(of_careful - good).max() < 0.5


@pytest.mark.parametrize("solver", ["gibbs", "variational"])
def test_probabilities_are_what_comes_of_them(solver):
    # GIVEN classes drawn from known chances
    examples, truth = taste(n=20_000, noise=0.0)
    rng = np.random.default_rng(7)
    classes = rng.random(20_000) < ndtr(truth - 3)
    chosen = np.arange(20_000) < 10_000

    machine = FactorizationMachine("classification", n_factors=4, solver=solver, epochs=50)
    machine.fit(part(replace(examples, targets=classes), chosen))
    predicted = machine.predict(examples.user_rows[~chosen], examples.item_rows[~chosen])

    # THEN a tenth of them that says 70 % comes true in 70 % of the cases, four standard errors aside
    came, order = classes[~chosen], np.argsort(predicted)
    for bin_ in np.array_split(order, 10):
        p = predicted[bin_].mean()
        assert abs(came[bin_].mean() - p) < 4 * np.sqrt(p * (1 - p) / len(bin_)) + 0.01
    assert np.sqrt(np.mean((predicted - ndtr(truth[~chosen] - 3)) ** 2)) < 0.12  # .32 for 0.5


def test_a_new_item_is_predicted_from_its_features():
    # GIVEN items of two kinds, liked by the users of one kind each; the last ten items were never rated
    rng = np.random.default_rng(8)
    u, i = rng.integers(0, 60, 5_000), rng.integers(0, 40, 5_000)
    likes = (u % 2) == (i % 2)
    examples = Examples(u, i, likes + 0.1 * rng.standard_normal(5_000), 60, 50)
    kinds = csr_array((np.ones(50, np.float32), np.arange(50) % 2, np.arange(51)), shape=(50, 2))

    machine = FactorizationMachine("regression", n_factors=3, epochs=60).fit(examples, None, kinds)

    asked = [(user, item) for user in range(60) for item in range(40, 50)]
    predicted = machine.predict(*np.array(asked).T, None, kinds)
    expected = np.array([(user % 2) == (item % 2) for user, item in asked], float)
    assert np.abs(predicted - expected).max() < 0.25


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_id_without_examples_is_what_its_features_say(solver):
    # GIVEN users and items of which some were never seen
    rng = np.random.default_rng(5)
    examples = random_examples(rng, n=30, n_users=9, n_items=8)
    seen = replace(examples, user_rows=examples.user_rows % 6, item_rows=examples.item_rows % 5)
    features = random_rows(rng, 9, 3), random_rows(rng, 8, 3)

    machine = FactorizationMachine("regression", n_factors=3, solver=solver, epochs=12, warm_up=4, n_samples=5)
    machine.fit(seen, *features)

    for side, unseen in ((machine.model.users, slice(6, 9)), (machine.model.items, slice(5, 8))):
        assert not side.factors[unseen].any()
        assert not side.weights[unseen].any()
        assert side.factors[:5].any(axis=1).all()


def test_context_is_learned_with_what_it_does_to_users_and_items():
    # GIVEN an item that is liked in winter alone, another that is liked in summer alone
    rng = np.random.default_rng(9)
    u, i, winter = rng.integers(0, 30, 4_000), rng.integers(0, 2, 4_000), rng.integers(0, 2, 4_000)
    season = csr_array((np.ones(4_000, np.float32), winter, np.arange(4_001)), shape=(4_000, 2))
    examples = Examples(u, i, (i == winter) + 0.1 * rng.standard_normal(4_000), 30, 2, season)

    machine = FactorizationMachine("regression", n_factors=2, epochs=80).fit(examples)

    cases = csr_array((np.ones(4, np.float32), [0, 1, 0, 1], np.arange(5)), shape=(4, 2))
    predicted = machine.predict(np.zeros(4, int), np.array([0, 0, 1, 1]), context=cases)
    np.testing.assert_allclose(predicted, [1, 0, 0, 1], atol=0.15)


def test_groups_of_features_have_priors_of_their_own():
    rng = np.random.default_rng(10)
    u, i = rng.integers(0, 40, 2_000), rng.integers(0, 40, 2_000)
    features = csr_array(rng.standard_normal((40, 12)).astype(np.float32))
    strength = np.array([2.0] * 2 + [0.0] * 10)  # two features matter, ten do not
    examples = Examples(u, i, features[i] @ strength + rng.standard_normal(2_000), 40, 40)
    groups = FeatureGroups(items=np.array([0] * 2 + [1] * 10))

    machine = FactorizationMachine("regression", n_factors=1, epochs=80, seed=1)
    machine.fit(examples, None, features, feature_groups=groups)

    weights = machine.model.items.feature_weights
    assert np.abs(weights[:2] - 2).max() < 0.4
    assert np.abs(weights[2:]).max() < 0.4


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_saved_machine_comes_back(objective, tmp_path):
    rng = np.random.default_rng(11)
    examples, items = random_examples(rng, classes=objective == "classification"), random_rows(rng, 5, 2)
    machine = FactorizationMachine(objective, n_factors=3, epochs=6, n_samples=3).fit(examples, None, items)

    machine.save(tmp_path)
    loaded = FactorizationMachine.load(tmp_path)

    asked = (examples.user_rows, examples.item_rows, None, items, examples.context)
    assert loaded.get_params() == machine.get_params()
    np.testing.assert_array_equal(loaded.predict(*asked), machine.predict(*asked))


def test_an_altered_context_file_is_noticed(tmp_path):
    machine = FactorizationMachine("regression", n_factors=2, epochs=2).fit(random_examples(np.random.default_rng(12)))
    machine.save(tmp_path)
    raw = bytearray((tmp_path / "context_feature_factors.npy").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "context_feature_factors.npy").write_bytes(raw)

    with pytest.raises(ContractError, match="is not the file that was written"):
        FactorizationMachine.load(tmp_path)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("n", "n_users", "n_items"), [(0, 3, 2), (1, 1, 1), (5, 1, 4), (5, 4, 1)])
def test_the_smallest_problems_give_finite_predictions(objective, solver, n, n_users, n_items):
    rng = np.random.default_rng(13)
    examples = random_examples(rng, n, n_users, n_items, width=0, classes=objective == "classification")

    machine = FactorizationMachine(objective, n_factors=2, solver=solver, epochs=5).fit(examples)

    assert np.isfinite(machine.predict(np.zeros(n_items, int), np.arange(n_items))).all()


@pytest.mark.parametrize("solver", ["gibbs", "variational"])
def test_targets_that_are_all_equal_are_predicted(solver):
    u, i = np.divmod(np.arange(60), 10)

    machine = FactorizationMachine("regression", n_factors=2, solver=solver, epochs=40)
    machine.fit(Examples(u, i, np.full(60, 4.0), 6, 10))

    np.testing.assert_allclose(machine.predict(u, i), 4.0, atol=0.25)


@pytest.mark.parametrize("solver", SOLVERS)
def test_targets_without_any_noise_are_learned_and_not_believed_beyond_measure(solver):
    rng = np.random.default_rng(14)
    u, i = rng.integers(0, 30, 1_200), rng.integers(0, 20, 1_200)
    exact = np.where((u % 2) == (i % 2), 5.0, 1.0)

    machine = FactorizationMachine("regression", n_factors=4, solver=solver, epochs=150, regularization=0.1)
    machine.fit(Examples(u, i, exact, 31, 21))

    np.testing.assert_allclose(machine.predict(u, i), exact, atol=0.3)
    assert np.isfinite(machine.predict(np.array([30, 0]), np.array([0, 20]))).all()


def test_every_epoch_is_reported_and_patience_ends_the_fit():
    reports: list[EpochReport] = []
    metrics = iter([1.0, 0.5, 0.4, 0.3])
    examples, _ = taste(n=500)

    machine = FactorizationMachine("regression", n_factors=2, epochs=9, patience=2)
    machine.fit(examples, validate=lambda model: next(metrics), on_epoch=reports.append)

    assert [report.epoch for report in reports] == [1, 2, 3]
    assert machine.n_epochs == 3
    assert reports[-1].loss < reports[0].loss


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"targets": np.array([1.0, np.nan])}, "NaN or infinite"),
        ({"targets": np.array([1.0, 3.0, 2.0])}, "3 targets, but 2 user_rows"),
        ({"user_rows": np.array([0, 2])}, "user_rows go from 0 to 2, expected 0 to 1"),
        ({"item_rows": np.array([-1, 0])}, "item_rows go from -1 to 0"),
        ({"context": csr_array(np.ones((3, 1), np.float32))}, "context features have 3 rows, the examples are 2"),
    ],
)
def test_examples_that_cannot_be_learned_from_are_refused(change, says):
    examples = Examples(np.array([0, 1]), np.array([0, 1]), np.array([1.0, 2.0]), 2, 2)

    with pytest.raises(DatasetError, match=says):
        FactorizationMachine("regression").fit(replace(examples, **change))


def test_a_class_is_zero_or_one():
    with pytest.raises(DatasetError, match="Classes are 0 or 1"):
        FactorizationMachine("classification").fit(Examples(np.array([0]), np.array([0]), np.array([2.0]), 1, 1))


def test_groups_have_one_entry_a_feature():
    features = csr_array(np.ones((1, 2), np.float32))

    with pytest.raises(DatasetError, match="1 groups for 2 item features"):
        FactorizationMachine("regression").fit(
            Examples(np.array([0]), np.array([0]), np.array([2.0]), 1, 1),
            None,
            features,
            feature_groups=FeatureGroups(items=np.array([0])),
        )


def test_an_objective_says_what_it_learns_from():
    matrix = csr_array(np.ones((1, 1), np.float32))
    examples = Examples(np.array([0]), np.array([0]), np.array([1.0]), 1, 1)

    with pytest.raises(TypeError, match="regression learns from Examples"):
        FactorizationMachine("regression").fit(matrix)
    with pytest.raises(TypeError, match="ranking learns from a CSR matrix"):
        FactorizationMachine().fit(examples)
    with pytest.raises(ValueError, match="for the ranking objective"):
        FactorizationMachine("regression").fit(examples, item_interactions=matrix)
    with pytest.raises(ValueError, match="ranking is trained by 'als'"):
        FactorizationMachine(solver="gibbs")
    with pytest.raises(ValueError, match="solver is one of"):
        FactorizationMachine("regression", solver="sgd")
