"""Moves that rows make together: each is a draw from its exact conditional, and what is held stays as it is."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.sparse import csc_array, csr_array

from shortlist.fm.bayes import BayesProblem
from shortlist.fm.bayes_state import BayesSettings, Rows, State
from shortlist.fm.hyper import Prior
from shortlist.fm.inputs import CheckedExamples, Examples
from shortlist.fm.interweave import interweave
from shortlist.fm.interweave_kernels import BLOCK, draw_scales, move_features, take_in
from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.threads import threads
from shortlist.fm.vectors import WIDTH

N_EXAMPLES, N_USERS, N_ITEMS, N_FEATURES = 60, 7, 5, 3


@dataclass(frozen=True)
class Before:
    """A state with random unknowns, users and items as a sampler has them."""

    state: State
    certainty: tuple[np.ndarray, np.ndarray]
    shift: np.ndarray
    missed: np.ndarray

    @property
    def users(self) -> Rows:
        return self.state.users

    def interweave(self, rng, n_threads=1):
        interweave(self.users, self.state.items, self.missed.copy(), self.certainty, self.shift, rng, n_threads)


def before(k=3, *, context=False, spread=False, features=True) -> Before:
    rng = np.random.default_rng(4)
    rows = csr_array((rng.random((N_USERS, N_FEATURES)) < 0.6) * rng.uniform(0.5, 1.5, (N_USERS, N_FEATURES)))
    examples = CheckedExamples(
        rng.integers(0, N_USERS, N_EXAMPLES).astype(np.int32),
        rng.integers(0, N_ITEMS, N_EXAMPLES).astype(np.int32),
        rng.standard_normal(N_EXAMPLES).astype(np.float32),
        N_USERS,
        N_ITEMS,
        None,
    )
    settings = BayesSettings(k, "variational" if spread else "gibbs", False, 1.0, 0.1)
    with threads(1, "ratings") as crew:
        problem = BayesProblem(examples, settings, crew)
        groups = (np.zeros(N_FEATURES, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
        state = problem.start((csr_array(rows, dtype=np.float32) if features else None, None), groups, rng)
    for side in (state.users, state.items):
        side.totals[:] = rng.normal(0, 0.7, side.totals.shape)
        side.variance[:] = rng.random(side.variance.shape)
        side.prior = Prior(rng.normal(0, 0.5, k + 1), rng.uniform(0.5, 2, k + 1))
    if state.users.features is not None:
        state.users.features.weights[:] = rng.normal(0, 0.7, (N_FEATURES, k + 1))
        state.users.features.settle()
    shift = rng.normal(0, 0.7, (N_EXAMPLES if context else 0, k)).astype(np.float32)
    certainty = rng.uniform(0.5, 2, N_USERS).astype(np.float32), rng.uniform(0.5, 2, N_ITEMS).astype(np.float32)
    missed = np.random.default_rng(5).standard_normal(N_EXAMPLES).astype(np.float32)
    return Before(state, certainty, shift, missed)


def respond(of: Before):
    """What every example's score answers to its user's total, (n, K), and its precision."""
    users, items = of.users, of.state.items
    user = np.repeat(np.arange(N_USERS), np.diff(users.indptr))
    x = np.column_stack([items.totals[users.others, :-1], np.ones(N_EXAMPLES)]).astype(np.float64)
    if len(of.shift):
        x[:, :-1] += of.shift[users.examples]
    return user, x, of.certainty[0][user].astype(np.float64) * of.certainty[1][users.others]


def accounts_of(of: Before, missed, m, first=0):
    users, items = of.users, of.state.items
    accounts = np.empty((N_USERS, m + 2, WIDTH), np.float32)
    places = (users.indptr, users.others, users.examples)
    others = (*of.certainty, items.totals, of.shift, items.variance)
    take_in(*places, missed.astype(np.float32), *others, users.totals, first, accounts, 2)
    return accounts


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("spread", [False, True])
def test_an_account_sums_what_a_rows_examples_say(context, spread):
    of = before(context=context, spread=spread)
    user, x, precision = respond(of)

    accounts = accounts_of(of, of.missed, 3)

    for row in range(N_USERS):
        mine = user == row
        gram = (precision[mine, None] * x[mine]).T @ x[mine]
        goal = x[mine].T @ (precision[mine] * of.missed[mine])
        if spread:
            unsure = precision[mine] @ of.state.items.variance[of.users.others[mine], :-1]
            gram[np.diag_indices(3)] += unsure
            goal[:3] -= unsure * of.users.totals[row, :-1]
        np.testing.assert_allclose(accounts[row, :4, :4], gram, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(accounts[row, 4, :4], goal, rtol=1e-4, atol=1e-4)


def draw_of_first_feature(of: Before, noise):
    """New weights (K,), rows' totals and accounts' last lines, of one draw of one feature."""
    users, features = of.users, of.users.features
    m = of.users.totals.shape[1] - 1
    accounts = accounts_of(of, of.missed, m).reshape(N_USERS, -1)
    columns = csc_array(features.rows)
    its = slice(columns.indptr[0], columns.indptr[1])
    weights, beside, totals = features.weights.copy(), features.totals.copy(), users.totals.copy()
    one = (np.array([0, its.stop - its.start]), columns.indices[its].astype(np.int32), columns.data[its])
    believed = (np.full((1, m + 1), 0.7, np.float32), np.full((1, m + 1), 0.2, np.float32), noise)
    move_features(*one, 0, m, accounts, *believed, weights, beside, totals)
    return weights, beside, totals, accounts


def conditional_of_first_feature(of: Before):
    """Mean and covariance of its weights given what ids add, by writing down how every score answers to them."""
    user, x, precision = respond(of)
    features = of.users.features
    value = features.rows.toarray()[:, 0].astype(np.float64)[user]
    old = features.weights[0].astype(np.float64)
    of_others = features.totals[user, :-1] - value[:, None] * old[:-1]
    answer = value[:, None] * np.column_stack([x[:, :-1] + of_others, np.ones(N_EXAMPLES)])
    covariance = np.linalg.inv((precision[:, None] * answer).T @ answer + 0.7 * np.eye(len(old)))
    return covariance @ (answer.T @ (precision * (of.missed + answer @ old)) + 0.7 * 0.2), covariance


@pytest.mark.parametrize("context", [False, True])
def test_a_feature_is_drawn_from_its_posterior_given_what_ids_add(context):
    of = before(context=context)
    mean, covariance = conditional_of_first_feature(of)
    rng = np.random.default_rng(0)

    drawn = np.array(
        [draw_of_first_feature(of, rng.standard_normal((1, 4)).astype(np.float32))[0][0] for _ in range(8_000)]
    )
    without_noise = draw_of_first_feature(of, np.zeros((1, 4), np.float32))[0][0]

    np.testing.assert_allclose(without_noise, mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(drawn.mean(0), mean, atol=5 * np.sqrt(covariance.max() / 8_000))
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.06 * covariance.max())


def test_rows_follow_their_features_and_nothing_else_changes():
    of = before()
    user, x, _ = respond(of)

    weights, beside, totals, accounts = draw_of_first_feature(of, np.ones((1, 4), np.float32))

    # THEN other features stand, totals moved by what features say, and accounts know of what is missed now
    np.testing.assert_array_equal(weights[1:], of.users.features.weights[1:])
    said = replace(of.users.features, weights=weights)
    said.settle()
    moved = totals - of.users.totals
    np.testing.assert_allclose(moved, said.totals - of.users.features.totals, atol=1e-5)
    np.testing.assert_allclose(beside[:, :-1], said.totals[:, :-1], atol=1e-5)
    left = of.missed - (x * moved[user]).sum(1)
    np.testing.assert_allclose(accounts[:, -WIDTH:][:, :4], accounts_of(of, left, 3)[:, 4, :4], atol=1e-3)


@pytest.mark.parametrize("features", [False, True])
@pytest.mark.parametrize("k", [0, 3, WIDTH + 3])  # no factors, one block of them, two
def test_without_chance_a_side_climbs_and_what_ids_add_is_held(k, features):
    of = before(k, features=features)
    own = of.users.totals - of.users.prior.mean - (of.users.features.totals if features else 0)
    user, x, precision = respond(of)

    def misery(moved):
        weights = of.users.features.weights.astype(np.float64) if features else np.zeros((0, k + 1))
        left = of.missed - (x * moved[user]).sum(1)
        return precision @ left**2 + (weights**2).sum() + of.users.prior.precision @ of.users.prior.mean**2

    start, totals = misery(np.zeros_like(of.users.totals)), of.users.totals.copy()
    of.interweave(None)

    assert misery(of.users.totals - totals) < 0.97 * start
    after = of.users.totals - of.users.prior.mean - (of.users.features.totals if features else 0)
    np.testing.assert_allclose(after, own, atol=1e-4)


def test_means_are_drawn_from_their_posterior_given_what_ids_add():
    of = before(features=False)
    _, x, precision = respond(of)
    covariance = np.linalg.inv((precision[:, None] * x).T @ x + np.diag(of.users.prior.precision))
    mean = covariance @ (x.T @ (precision * (of.missed + x @ of.users.prior.mean)))

    of.interweave(None)

    np.testing.assert_allclose(of.users.prior.mean, mean, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("context", [False, True])
def test_a_block_of_factors_moves_by_what_the_blocks_before_it_left(context):
    of = before(WIDTH + 3, context=context, features=False)
    user, x, precision = respond(of)
    totals = of.users.totals.copy()

    of.interweave(None)

    # THEN the means of the last block are where the examples and the prior pull as hard as each other
    left = of.missed - (x * (of.users.totals - totals)[user]).sum(1)
    pull = x.T @ (precision * left) - of.users.prior.precision * of.users.prior.mean
    last = np.r_[BLOCK : WIDTH + 4]
    np.testing.assert_allclose(pull[last], 0, atol=2e-3)
    assert np.abs(pull[:BLOCK]).max() > 0.1  # others were solved before these moved


def test_scales_have_their_posterior():
    # GIVEN what the examples say of two scales, s = precision and goal from s = 1, and the priors of deviation and mean
    precision, goal = np.array([[6.0, 2.0], [2.0, 4.0]], np.float32), np.array([3.0, -1.5], np.float32)
    deviation, mean = np.array([0.8, 1.3]), np.array([0.4, -0.7])
    grid = np.linspace(-6, 6, 1201)
    a, b = np.meshgrid(grid, grid, indexing="ij")
    told = goal[0] * (a - 1) + goal[1] * (b - 1)
    told -= (
        precision[0, 0] * (a - 1) ** 2 + 2 * precision[0, 1] * (a - 1) * (b - 1) + precision[1, 1] * (b - 1) ** 2
    ) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        for scale, d, m in ((a, deviation[0], mean[0]), (b, deviation[1], mean[1])):
            wide = np.abs(scale) * d
            told = told - 3 * np.log(wide) - (1 + m**2) / (2 * wide**2)
    posterior = np.exp(np.where(np.isfinite(told), told, -np.inf))
    posterior /= posterior.sum()

    # WHEN a long chain is drawn, each step from where the last one stands
    rng, scales, chain = np.random.default_rng(2), np.ones(2), []
    for _ in range(60_000):
        left = goal - precision @ (scales - 1)
        turned = precision * np.outer(scales, scales)
        step = draw_scales(
            turned.astype(np.float32),
            (left * scales).astype(np.float32),
            deviation * np.abs(scales),
            mean,
            rng.standard_normal(2),
            rng.random(2),
        )
        scales = scales * step
        chain.append(scales)

    # THEN its moments are those of the posterior
    chain = np.array(chain)
    for place, axis in ((0, a), (1, b)):
        expected = (posterior * axis).sum()
        assert chain[:, place].mean() == pytest.approx(expected, abs=0.03)
        assert chain[:, place].std() == pytest.approx(np.sqrt((posterior * axis**2).sum() - expected**2), rel=0.06)
    assert (chain[:, 0] * chain[:, 1]).mean() == pytest.approx((posterior * a * b).sum(), abs=0.05)


def test_scales_stretch_what_ids_add_and_their_deviation_alike():
    of = before()
    deviation = of.users.prior.precision**-0.5
    of.interweave(None)
    own = of.users.totals - of.users.prior.mean - of.users.features.totals

    of.interweave(np.random.default_rng(1))

    after = of.users.totals - of.users.prior.mean - of.users.features.totals
    stretched = of.users.prior.precision**-0.5 / deviation
    assert not np.allclose(stretched, 1)
    np.testing.assert_allclose(np.abs(after), np.abs(own) * stretched, rtol=2e-3, atol=1e-4)


def test_any_number_of_threads_moves_alike():
    moved = []
    for n_threads in (1, 2, 3):
        of = before(WIDTH + 3, context=True)
        of.interweave(np.random.default_rng(1), n_threads)
        moved.append(of.users.totals)

    np.testing.assert_array_equal(moved[0], moved[1])
    np.testing.assert_array_equal(moved[0], moved[2])


@pytest.mark.parametrize("solver", ["gibbs", "variational"])
def test_features_of_users_with_few_examples_are_learned_in_few_epochs(solver):
    # GIVEN 4,000 users with three examples each, whose taste is that of their group, and one user of each without any
    rng = np.random.default_rng(0)
    n_users, n_items, n = 4_000, 40, 12_000
    groups, items = np.append(rng.integers(0, 8, n_users), np.arange(8)), rng.standard_normal((n_items, 2))
    u, i = np.repeat(np.arange(n_users), 3), rng.integers(0, n_items, n)
    taste, offsets = rng.standard_normal((8, 2)), rng.normal(0, 0.8, n_users)
    targets = (taste[groups[u]] * items[i]).sum(1) + offsets[u] + rng.normal(0, 0.7, n)
    features = csr_array((np.ones(n_users + 8, np.float32), (np.arange(n_users + 8), groups)))

    # WHEN a short chain has run
    machine = FactorizationMachine("regression", n_factors=4, solver=solver, epochs=16, warm_up=8, n_samples=8, seed=1)
    machine.fit(Examples(u, i, targets, n_users + 8, n_items), features)

    # THEN a user without examples is known by the group
    asked = np.repeat(np.arange(n_users, n_users + 8), n_items), np.tile(np.arange(n_items), 8)
    predicted = machine.predict(*asked, features).reshape(8, n_items)
    assert np.sqrt(((predicted - taste @ items.T) ** 2).mean()) < 0.15
