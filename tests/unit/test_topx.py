"""Exact search gives what sorting all scores gives: whatever the vectors, ties, seen items, tiles and threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist import topx
from shortlist.topx import Ranking, Seen, merged, positions, rank_unseen, ranked, score_pairs
from tests.searching import brute_force, seen_csr, shops


@settings(deadline=None)
@given(
    shop=shops(),
    items_per_tile=st.integers(1, 50),
    users_per_tile=st.integers(1, 7),
    group=st.integers(1, 9),
    at_once=st.integers(1, 30),
)
def test_unseen_items_are_ranked_as_by_brute_force(shop, items_per_tile, users_per_tile, group, at_once):
    queries, vectors, seen_of, k = shop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(topx, "ITEMS_PER_TILE", items_per_tile)
        patch.setattr(topx, "USERS_PER_TILE", users_per_tile)
        patch.setattr(topx, "GROUP", group)
        patch.setattr(topx, "GROUPS_AT_ONCE", at_once)
        patch.setattr(topx, "PAIRS_AT_ONCE", at_once)
        found = rank_unseen(queries, vectors, seen_csr(seen_of), k, threads=2)

    items, scores = brute_force(queries, vectors, seen_of, k)
    assert found.items.tolist() == items.tolist()
    assert found.scores.tolist() == scores.tolist()


def test_float32_rounding_does_not_reorder_a_list():
    # GIVEN scores that differ by less than float32 can tell, around a large common part
    rng = np.random.default_rng(5)
    vectors = np.zeros((5_000, 65), np.float32)
    vectors[:, 0] = 1_000
    vectors[:, 1:] = rng.normal(0, 1e-3, (5_000, 64))
    queries = rng.normal(1, 0.1, (40, 65)).astype(np.float32)
    nothing_seen = seen_csr([set()] * 40)

    found = rank_unseen(queries, vectors, nothing_seen, 10)

    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    rounded = queries @ vectors.T
    by_float64 = np.argsort(-exact, axis=1, kind="stable")[:, :10]
    assert found.items.tolist() == by_float64.tolist()
    assert (np.argsort(-rounded, axis=1, kind="stable")[:, :10] != by_float64).any()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(threads):
    rng = np.random.default_rng(1)
    queries = rng.normal(size=(300, 9)).astype(np.float32)
    vectors = rng.normal(size=(1_000, 9)).astype(np.float32)
    seen = seen_csr([set(rng.choice(1_000, 50, replace=False).tolist()) for _ in range(300)])

    found = rank_unseen(queries, vectors, seen, 7, threads=threads)

    alone = rank_unseen(queries, vectors, seen, 7, threads=1)
    assert found.items.tobytes() == alone.items.tobytes()
    assert found.scores.tobytes() == alone.scores.tobytes()


def test_a_user_ranks_the_same_in_any_company():
    rng = np.random.default_rng(2)
    queries = rng.normal(size=(200, 33)).astype(np.float32)
    vectors = rng.normal(size=(3_000, 33)).astype(np.float32)
    together = rank_unseen(queries, vectors, seen_csr([set()] * 200), 5)

    alone = rank_unseen(queries[77:78], vectors, seen_csr([set()]), 5)

    assert alone.items[0].tobytes() == together.items[77].tobytes()
    assert alone.scores[0].tobytes() == together.scores[77].tobytes()


def test_a_catalogue_of_identical_items_is_ranked_by_row():
    found = rank_unseen(np.ones((3, 4), np.float32), np.ones((9_000, 4), np.float32), seen_csr([{0}, {1, 2}, set()]), 3)

    assert found.items.tolist() == [[1, 2, 3], [0, 3, 4], [0, 1, 2]]


@settings(deadline=None)
@given(shop=shops(), repeat=st.integers(0, 8))
def test_merged_lists_are_those_of_a_search_over_everything(shop, repeat):
    queries, vectors, seen_of, k = shop
    seen = seen_csr(seen_of)
    again = score_pairs(queries, vectors, seen.users(), seen.items) + repeat
    best_again = ranked(seen.users(), seen.items, again, len(queries), k)

    found = merged(rank_unseen(queries, vectors, seen, k), best_again, k)

    users, items = np.divmod(np.arange(len(queries) * len(vectors)), max(len(vectors), 1))
    bonus = np.array([repeat * (i in seen_of[u]) for u, i in zip(users.tolist(), items.tolist(), strict=True)])
    scores = score_pairs(queries, vectors, users, items.astype(np.int32)) + bonus
    wanted = ranked(users, items.astype(np.int32), scores, len(queries), k)
    assert found.items.tolist() == wanted.items.tolist()
    assert found.scores.tolist() == wanted.scores.tolist()


@pytest.mark.parametrize("dims", [1, 7, 8, 65])
def test_scores_are_added_up_in_eight_sums_and_then_pairwise(dims):
    rng = np.random.default_rng(4)
    queries, vectors = rng.normal(size=(2, 50, dims)).astype(np.float32)
    everyone = np.arange(50)

    scores = score_pairs(queries, vectors, everyone, everyone.astype(np.int32))

    for user, item, score in zip(queries.tolist(), vectors.tolist(), scores.tolist(), strict=True):
        lane = [0.0] * 8
        for place, (left, right) in enumerate(zip(user, item, strict=True)):
            lane[place % 8] += left * right
        assert score == ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]))


def test_pairs_may_come_in_any_order():
    users = np.array([1, 0, 1, 0, 1])
    items = np.array([5, 7, 2, 3, 9], np.int32)
    scores = np.array([0.5, 1.0, 0.5, 2.0, 0.1])

    found = ranked(users, items, scores, 3, 2)

    assert found.items.tolist() == [[3, 7], [2, 5], [-1, -1]]
    assert found.scores.tolist() == [[2.0, 1.0], [0.5, 0.5], [-np.inf, -np.inf]]


def test_users_are_taken_in_the_order_asked_for():
    taken = seen_csr([{1, 4}, set(), {0}]).take(np.array([2, 0, 2]))

    assert taken.indptr.tolist() == [0, 1, 3, 4]
    assert taken.items.tolist() == [0, 1, 4, 0]


def test_rows_of_some_users_are_replaced():
    ranking = Ranking.empty(3, 1)

    ranking.put(np.array([2, 0]), Ranking(np.array([[5], [6]], np.int32), np.array([[0.5], [0.6]])))

    assert ranking.items.tolist() == [[6], [-1], [5]]
    assert ranking.scores.tolist() == [[0.6], [-np.inf], [0.5]]


@pytest.mark.parametrize("dims", [1, 7, 33, 65])
def test_copies_of_an_item_tie_wherever_they_stand(dims):
    rng = np.random.default_rng(3)
    vectors = np.tile(rng.normal(size=(70, dims)).astype(np.float32), (30, 1))
    queries = rng.normal(size=(20, dims)).astype(np.float32)

    found = rank_unseen(queries, vectors, seen_csr([set()] * 20), 60)

    best_two = found.items.reshape(20, 2, 30)
    assert (np.diff(best_two, axis=2) == 70).all()
    assert (found.scores.reshape(20, 2, 30) == found.scores.reshape(20, 2, 30)[:, :, :1]).all()


@given(seen_of=st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=5), searched=st.sets(st.integers(0, 9)))
def test_seen_items_that_are_not_searched_are_left_behind(seen_of, searched):
    item_rows = np.array(sorted(searched), np.int32)
    everything = seen_csr(seen_of)

    seen, kept = Seen.among(everything.indptr, everything.items, positions(item_rows, 10))

    for user, items in enumerate(seen_of):
        own = seen.items[seen.indptr[user] : seen.indptr[user + 1]]
        assert item_rows[own].tolist() == sorted(items & searched)
    assert everything.items[kept].tolist() == item_rows[seen.items].tolist()


@given(seen_of=st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=5))
def test_it_is_known_which_pairs_were_seen(seen_of):
    users, items = np.divmod(np.arange(len(seen_of) * 12), 12)

    found = seen_csr(seen_of).contains(users, items.astype(np.int32))

    assert found.tolist() == [item in seen_of[user] for user, item in zip(users, items, strict=True)]
