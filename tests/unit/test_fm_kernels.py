"""The row kernel against dense solutions, and what must not be seen in its bytes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from shortlist.fm.als import RankingProblem, RankingSettings, State
from shortlist.fm.kernels import NEAR
from shortlist.fm.threads import Threads, aligned, threads

N_USERS, N_ITEMS, K = 120, 80, 8


def purchases(n_users: int = N_USERS) -> csr_array:
    pairs = random_array((n_users, N_ITEMS), density=0.1, format="csr", dtype=np.float32, rng=np.random.default_rng(1))
    return csr_array(pairs)


def settings(steps: int = 3) -> RankingSettings:
    return RankingSettings(K, 1.0, 0.7, 0.3, 3.0, 0.1, steps)


def trained(crew: Threads, *, steps: int = 3, epochs: int = 3) -> State:
    features = csr_array((np.ones(N_ITEMS, np.float32), np.arange(N_ITEMS) % 5, np.arange(N_ITEMS + 1)))
    problem = RankingProblem(purchases(), purchases(), None, features, settings(steps), crew)
    state = problem.start(1)
    for _ in range(epochs):
        problem.epoch(state)
    return state


@pytest.mark.parametrize(
    ("n_users", "near"), [(N_USERS, 2e-6), (NEAR // K + 5, 5e-5)], ids=["few pairs", "more than caches hold"]
)
def test_items_and_their_biases_are_the_exact_answer_to_the_users(n_users, near):
    bought, p = purchases(n_users).toarray(), settings()
    bought[:, 3] = 0.5  # everybody has it
    pairs = csr_array(bought)

    with threads(1) as crew:
        problem = RankingProblem(pairs, pairs, None, None, settings(steps=40), crew)
        state = problem.start(1)
        problem.epoch(state)

    users = np.column_stack([state.users, np.ones(n_users)]).astype(float)
    for item in range(N_ITEMS):
        weights = bought[:, item].astype(float)
        n = np.count_nonzero(weights)
        strength = p.regularization * (n + p.unobserved_weight * n_users) ** p.regularization_exponent
        matrix = users.T @ ((weights + p.unobserved_weight)[:, None] * users) + strength * np.eye(K + 1)
        exact = np.linalg.solve(matrix, users.T @ weights)
        np.testing.assert_allclose([*state.items[item], state.biases[item]], exact, atol=near)


@pytest.mark.parametrize("n_shares", [1, 3, 64, 500])
def test_into_how_many_shares_rows_are_cut_changes_no_byte(n_shares):
    with threads(1) as crew:
        whole = trained(crew)

    with threads(2), ThreadPoolExecutor(2) as pool:
        cut = trained(Threads(n_shares, pool))

    for name in ("users", "items", "biases", "item_weights"):
        assert getattr(cut, name).tobytes() == getattr(whole, name).tobytes()


def test_where_arrays_lie_in_memory_changes_no_byte():
    rng = np.random.default_rng(0)
    states, others = [], []

    with threads(2) as crew:
        for _ in range(12):
            states.append(trained(crew))
            others.append(np.empty(rng.integers(1, 5000)))

    assert len({state.users.tobytes() + state.items.tobytes() for state in states}) == 1


def test_a_state_leaves_the_arrays_it_was_made_from_as_they_were():
    rng = np.random.default_rng(0)
    given = [rng.standard_normal(shape).astype(np.float32) for shape in ((6, 4), (5, 4), (5,), (2, 4), (3, 5))]
    before = [array.copy() for array in given]
    scores = given[0] @ given[1].T
    basis = np.linalg.qr(rng.standard_normal((4, 4)))[0]

    with threads(1) as crew:
        state = State(*given)
        state.rotate(basis, crew)

    for array, kept in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, kept)
    np.testing.assert_allclose(state.users @ state.items.T, scores, atol=1e-6)
    np.testing.assert_allclose(state.item_weights[:, :4], given[4][:, :4] @ basis, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (300, 65)])
def test_an_aligned_copy_begins_on_a_cache_line(shape):
    rows = np.random.default_rng(0).standard_normal(shape).astype(np.float32)

    copy = aligned(rows)

    assert copy.ctypes.data % 64 == 0
    assert not np.shares_memory(copy, rows)
    np.testing.assert_array_equal(copy, rows)
