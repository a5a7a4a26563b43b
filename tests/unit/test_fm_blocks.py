"""The kernels' draws against posteriors known in closed form, written with dense matrices."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_array

from shortlist.fm.bayes import BayesProblem
from shortlist.fm.bayes_state import BayesSettings, to_model
from shortlist.fm.feature_kernels import draw_features
from shortlist.fm.inputs import CheckedExamples
from shortlist.fm.row_kernels import draw_rows, side_by_side
from shortlist.fm.threads import threads
from shortlist.latent import item_latent, user_latent, user_offset

ALPHA = 2.0


@pytest.fixture(autouse=True)
def kernels():
    with threads(1, "ratings"):  # a second thread would wait longer than a few rows take
        yield


def draws_of_one_row(n_examples, *, copies, noisy, shift=None, spread=None, means=None):
    """The same row many times over: its draws, their posterior's mean and covariance, and the variances given."""
    rng = np.random.default_rng(n_examples)
    k = 3
    fixed = rng.standard_normal((6, k + 1)).astype(np.float32)
    others = rng.integers(0, 6, n_examples).astype(np.int32)
    targets = rng.standard_normal(n_examples).astype(np.float32)
    precision = np.array([0.5, 1, 2, 4], np.float32)
    prior = np.array([1, -1, 0.5, 0], np.float32)
    moments = np.zeros((0, k), np.float32) if shift is None else shift[:n_examples]
    unsure = np.zeros((0, k + 1), np.float32) if spread is None else spread
    few = n_examples < k + 1
    drawn = np.zeros((copies, k + 1), np.float32)
    variance = np.zeros((copies, k + 1), np.float32)
    noise = rng.standard_normal(drawn.shape, dtype=np.float32) * noisy
    of_few = rng.standard_normal(copies * n_examples if few else 0, dtype=np.float32) * noisy
    draw_rows(
        np.arange(0, (copies + 1) * n_examples, n_examples) if n_examples else np.zeros(copies + 1, np.int64),
        np.tile(others, copies),
        np.tile(np.arange(n_examples), copies),
        np.tile(targets, copies),
        np.full(copies, ALPHA, np.float32),
        np.ones(6, np.float32),
        *side_by_side(np.full(copies, n_examples), k + 1),
        fixed,
        moments,
        unsure,
        precision,
        prior[None],
        noise,
        of_few,
        np.arange(copies) * n_examples,
        drawn,
        np.zeros((0, k + 1), np.float32) if means is None else means,
        variance,
        3,
    )
    factors = fixed[others, :k].astype(float)
    left = targets - fixed[others, k]
    if shift is not None:
        left = left - (moments * factors).sum(1)
        factors = factors + moments
    x = np.column_stack([factors, np.ones(n_examples)])
    diagonal = precision.astype(float)
    if spread is not None:
        diagonal[:k] += ALPHA * spread[others, :k].sum(0)
    matrix = np.diag(diagonal) + ALPHA * x.T @ x
    mean = np.linalg.solve(matrix, ALPHA * x.T @ left + diagonal * prior)
    return drawn, mean, matrix, variance


@pytest.mark.parametrize("n_examples", [0, 1, 3, 4, 9, 300])
def test_without_noise_a_row_is_the_mean_of_its_posterior(n_examples):
    drawn, mean, matrix, variance = draws_of_one_row(n_examples, copies=2, noisy=False)

    np.testing.assert_allclose(drawn, np.tile(mean, (2, 1)), rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(variance[0], 1 / np.diag(matrix), rtol=1e-4)


@pytest.mark.parametrize("n_examples", [2, 7])
def test_context_and_what_the_other_side_is_unsure_of_enter_a_rows_posterior(n_examples):
    rng = np.random.default_rng(1)
    shift = rng.standard_normal((9, 3)).astype(np.float32)
    spread = rng.random((6, 4)).astype(np.float32)

    drawn, mean, _, _ = draws_of_one_row(n_examples, copies=1, noisy=False, shift=shift, spread=spread)

    np.testing.assert_allclose(drawn[0], mean, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("n_examples", [0, 2, 8])  # fewer and more examples than numbers: two ways to draw
def test_the_draws_of_a_row_have_the_mean_and_covariance_of_its_posterior(n_examples):
    drawn, mean, matrix, _ = draws_of_one_row(n_examples, copies=40_000, noisy=True)

    covariance = np.linalg.inv(matrix)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=5 * np.sqrt(covariance.max() / 40_000))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.04 * covariance.max())


@pytest.mark.parametrize("n_examples", [0, 1, 3, 4, 9])
@pytest.mark.parametrize("known_exactly", [True, False])
def test_a_row_gives_what_it_was_drawn_around_and_asking_changes_no_draw(n_examples, known_exactly):
    spread = None if known_exactly else np.random.default_rng(2).random((6, 4)).astype(np.float32)
    means = np.full((40, 4), np.nan, np.float32)

    drawn, mean, _, _ = draws_of_one_row(n_examples, copies=40, noisy=True, spread=spread, means=means)
    unasked, *_ = draws_of_one_row(n_examples, copies=40, noisy=True, spread=spread)

    np.testing.assert_allclose(means, np.tile(mean, (40, 1)), rtol=2e-3, atol=1e-4)
    np.testing.assert_array_equal(drawn, unasked)
    assert np.abs(drawn - means).mean() > 0.1


@pytest.mark.parametrize(("n_users", "n_items"), [(9, 5), (5, 9)])
def test_a_kept_draw_has_the_side_with_more_rows_at_its_mean_given_the_other(n_users, n_items):
    # GIVEN a state that an epoch has left, to be kept
    rng = np.random.default_rng(15)
    u, i = rng.integers(0, n_users, 60).astype(np.int32), rng.integers(0, n_items, 60).astype(np.int32)
    examples = CheckedExamples(u, i, rng.standard_normal(60).astype(np.float32), n_users, n_items, None)
    shares = rng.uniform(-1.5, 1.5, (9, 2)).astype(np.float32) * (rng.random((9, 2)) < 0.5)
    features = (csr_array(shares), None) if n_users > n_items else (None, csr_array(shares))
    groups = tuple(np.zeros(0 if side is None else 2, np.int64) for side in (*features, None))
    with threads(1, "ratings") as crew:
        problem = BayesProblem(examples, BayesSettings(3, "gibbs", False, 1.0, 0.1), crew)
        state = problem.start(features, groups, rng)
        problem.epoch(state, rng)
        problem.epoch(state, rng, kept=True)
    many, few = (state.users, state.items) if n_users > n_items else (state.items, state.users)

    # WHEN its mean is worked out with dense matrices
    wanted = problem.examples.targets[many.examples] - state.bias - few.totals[many.others, -1]
    user_of = problem.examples.user_rows[many.examples]
    x = np.column_stack([few.totals[many.others, :-1], np.ones(60)])
    means = []
    for row, prior in enumerate(many.prior.mean + many.features.totals):
        its = slice(many.indptr[row], many.indptr[row + 1])
        weighted = x[its].T * state.noise.precision[user_of[its]]
        matrix = np.diag(many.prior.precision) + weighted @ x[its]
        means.append(np.linalg.solve(matrix, weighted @ wanted[its] + many.prior.precision * prior))

    # THEN the machine that is kept scores by it, and by the draw of the other side
    of_many, of_few = np.array(means), few.totals
    scores = state.bias + of_many[:, :-1] @ of_few[:, :-1].T + of_many[:, -1:] + of_few[:, -1]
    model = to_model(state)
    latent = user_latent(model, features[0]) @ item_latent(model, features[1]).T
    kept = user_offset(model, features[0])[:, None] + latent
    np.testing.assert_allclose(kept, scores if n_users > n_items else scores.T, rtol=1e-3, atol=1e-3)
    assert np.abs(many.totals - of_many).mean() > 0.05


def test_alternating_draws_of_users_and_items_have_their_joint_posterior():
    # GIVEN y = c_u + c_i + noise with known precisions: linear and Gaussian, so the posterior is known
    rng = np.random.default_rng(3)
    user_rows, item_rows = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 1])
    targets = np.array([1.0, 2.0, 0.5, -1.0, 3.0], np.float32)
    design = np.zeros((5, 5))
    design[np.arange(5), user_rows] = 1
    design[np.arange(5), 3 + item_rows] = 1
    covariance = np.linalg.inv(np.eye(5) + ALPHA * design.T @ design)
    mean = covariance @ (ALPHA * design.T @ targets)

    # WHEN users and items are drawn in turn, many chains at once would be no chain: one long one
    users, items = np.zeros((3, 1), np.float32), np.zeros((2, 1), np.float32)
    seen = []
    for _ in range(6_000):
        for mine, other, rows, others in ((users, items, user_rows, item_rows), (items, users, item_rows, user_rows)):
            draw_offsets(mine, other, rows, others, targets, rng)
        seen.append(np.concatenate([users[:, 0], items[:, 0]]))

    # THEN their moments agree
    chain = np.array(seen[100:])
    np.testing.assert_allclose(chain.mean(0), mean, atol=0.07)
    np.testing.assert_allclose(np.cov(chain.T), covariance, atol=0.06)


def draw_offsets(mine, other, rows, others, targets, rng):
    """One half of a sweep of a model without factors."""
    n = len(mine)
    counts = np.bincount(rows, minlength=n)
    examples = np.argsort(rows, kind="stable")
    nothing = np.zeros((0, 0), np.float32)
    draw_rows(
        np.concatenate([[0], np.cumsum(counts)]),
        others[examples].astype(np.int32),
        examples,
        targets[examples],
        np.full(n, ALPHA, np.float32),
        np.ones(len(other), np.float32),
        *side_by_side(counts, 1),
        other,
        nothing,
        np.zeros((0, 1), np.float32),
        np.ones(1, np.float32),
        np.zeros((n, 1), np.float32),
        rng.standard_normal((n, 1), dtype=np.float32),
        np.zeros(0, np.float32),
        np.zeros(n, np.int64),
        mine,
        np.zeros((0, 1), np.float32),
        np.zeros((0, 1), np.float32),
        2,
    )


def draws_of_a_feature(n_rows, k, *, copies, noisy, shows):
    """The first of two features many times over, the other held: its draws, and their posterior's mean and matrix."""
    rng = np.random.default_rng(n_rows)
    x = rng.standard_normal((n_rows, 2)).astype(np.float32)
    v = 0.5 * rng.standard_normal((2, k + 1)).astype(np.float32)
    precision = np.append(rng.uniform(0.5, 2, k), 3).astype(np.float32) * shows
    of_offset = rng.uniform(0.5, 2, n_rows).astype(np.float32)
    missed = rng.standard_normal((n_rows, k + 1)).astype(np.float32)
    prior_precision, prior = np.full((2, k + 1), 0.4, np.float32), np.full((2, k + 1), 0.2, np.float32)
    prior_precision[1], prior[1] = 1e12, v[1]
    draws = []
    for _ in range(copies):
        weights, noise = v.copy(), np.zeros((2, k + 1), np.float32)
        noise[0] = noisy * rng.standard_normal(k + 1)
        draw_features(
            np.array([0, n_rows, 2 * n_rows]),
            np.tile(np.arange(n_rows, dtype=np.int32), 2),
            x.T.reshape(-1).copy(),
            (x @ v).astype(np.float32),
            missed.copy(),
            precision,
            of_offset,
            prior_precision,
            prior,
            noise,
            weights,
            np.zeros((2, k + 1), np.float32),
        )
        draws.append(weights[0])
    slopes = np.column_stack([x[:, :1] * x[:, 1:] * v[1, :k], x[:, 0]]).astype(float)
    shown = np.append(precision[:k], 0).astype(float)
    matrix = np.diag(0.4 + shown * (x[:, 0].astype(float) ** 2).sum()) + slopes.T @ (of_offset[:, None] * slopes)
    left = missed[:, k] + slopes @ v[0]
    pull = 0.4 * 0.2 + slopes.T @ (of_offset * left) + shown * (x[:, :1] * (missed + x[:, :1] * v[0])).sum(0)
    return np.array(draws), np.linalg.solve(matrix, pull), matrix


def test_a_feature_of_more_numbers_than_a_block_goes_block_by_block_to_its_mean():
    drawn, mean, matrix = draws_of_a_feature(60, 19, copies=1, noisy=False, shows=True)

    # given the numbers of the first block, the last four are at their own mean
    given = np.linalg.solve(matrix[16:, 16:], matrix[16:] @ mean - matrix[16:, :16] @ drawn[0, :16])
    np.testing.assert_allclose(drawn[0, 16:], given, rtol=2e-3, atol=1e-4)


def test_every_row_is_in_one_batch_and_short_rows_are_among_themselves():
    counts = np.random.default_rng(0).integers(0, 40, 301)

    order, batches = side_by_side(counts, 9)

    assert sorted(order) == list(range(301))
    assert batches[0] == 0
    assert batches[-1] == 301
    assert (np.diff(batches) <= 32).all()
    for start, end in pairwise(batches):
        batch = counts[order[start:end]]
        assert batch[0] == batch.max()
        assert (batch >= 9).all() or (batch < 9).all()


@pytest.mark.parametrize("shows", [True, False])
@pytest.mark.parametrize("n_rows", [3, 8, 700])
def test_without_noise_a_feature_is_the_mean_of_its_posterior_given_all_others(n_rows, shows):
    drawn, mean, _ = draws_of_a_feature(n_rows, 3, copies=1, noisy=False, shows=shows)

    np.testing.assert_allclose(drawn[0], mean, rtol=2e-3, atol=1e-4)


def test_the_draws_of_a_feature_have_the_mean_and_covariance_of_its_posterior():
    drawn, mean, matrix = draws_of_a_feature(5, 2, copies=20_000, noisy=True, shows=True)

    covariance = np.linalg.inv(matrix)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=5 * np.sqrt(covariance.max() / 20_000))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.05 * covariance.max())
