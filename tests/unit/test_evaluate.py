"""Figures of quality on lists whose answer can be worked out by hand, and against a slower ranking."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.evaluate import (
    NOTHING,
    Pairs,
    make_lists,
    measure,
    popular_where_unknown,
    rank,
    rank_by_own_purchases,
    rank_by_popularity,
)


def pairs_of(rows: list[list[int]], n_items: int) -> Pairs:
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    items = np.array([i for row in rows for i in row], np.int64)
    return Pairs.of(users, items, n_users=len(rows), n_items=n_items)


def test_recall_divides_by_what_fits_on_the_list():
    relevant = pairs_of([[0, 1, 2, 3, 4]], 9)

    figures = measure(np.array([[0, 8]], np.int32), np.array([0]), relevant, 2)

    assert figures.recall == 0.5  # one hit, two places, five relevant


def test_each_figure_by_hand():
    relevant = pairs_of([[1, 3], [0]], 5)
    lists = np.array([[3, 0, 1], [4, NOTHING, NOTHING]], np.int32)

    figures = measure(lists, np.array([0, 1]), relevant, 3)

    assert figures.recall == pytest.approx((1.0 + 0.0) / 2)
    assert figures.hit_rate == 0.5
    assert figures.average_precision == pytest.approx(((1 / 1 + 2 / 3) / 2) / 2)
    gain = (1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3))
    assert figures.ndcg == pytest.approx(gain / 2)
    assert figures.coverage == pytest.approx(4 / 5)


def test_users_without_anything_relevant_are_not_counted():
    relevant = pairs_of([[1], []], 3)

    figures = measure(np.array([[1], [0]], np.int32), np.array([0, 1]), relevant, 1)

    assert figures.recall == 1.0
    assert figures.coverage == pytest.approx(1 / 3)


def test_nobody_with_anything_relevant_gives_zeros():
    figures = measure(np.array([[0]], np.int32), np.array([0]), pairs_of([[]], 3), 1)

    assert (figures.recall, figures.ndcg, figures.hit_rate) == (0.0, 0.0, 0.0)


def test_splitting_separates_new_from_bought_again():
    held_out, seen = pairs_of([[0, 2], [1], []], 4), pairs_of([[2, 3], [], [0]], 4)

    new, again = held_out.split(seen)

    assert new.keys.tolist() == [0, 5]
    assert again.keys.tolist() == [2]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from(["everything", "new_for_you", "buy_again"]))
def test_a_list_is_the_sorted_scores_of_its_candidates(seed, x, kind):
    rng = np.random.default_rng(seed)
    n_users, n_items = 5, 9
    users, items = rng.standard_normal((n_users, 3)).astype("f4"), rng.standard_normal((n_items, 3)).astype("f4")
    bought = rng.random((n_users, n_items)) < 0.4
    seen = pairs_of([np.flatnonzero(row).tolist() for row in bought], n_items)
    repeat = rng.random(len(seen.item_rows)).astype("f4")
    everybody = np.arange(n_users)

    lists = make_lists(rank(users, items, repeat, seen, everybody, x), seen, kind, x)

    scores = users @ items.T
    scores[np.nonzero(bought)] += repeat
    allowed = {"everything": np.ones_like(bought), "new_for_you": ~bought, "buy_again": bought}[kind]
    for user in everybody:
        candidates = np.flatnonzero(allowed[user])
        expected = candidates[np.argsort(-scores[user, candidates], kind="stable")][:x]
        assert lists[user][lists[user] != NOTHING].tolist() == expected.tolist()


def test_popularity_counts_buyers_and_leaves_out_what_the_user_has():
    seen = pairs_of([[0, 1], [0, 1], [0, 2]], 4)

    ranked = rank_by_popularity(seen, np.array([2]), 2)

    assert ranked.unseen.tolist() == [[1, 3]]


def test_own_purchases_list_nothing_new():
    seen = pairs_of([[0, 3]], 5)

    ranked = rank_by_own_purchases(np.array([1.0, 2.0], np.float32), np.array([0]), 3)

    assert make_lists(ranked, seen, "everything", 3).tolist() == [[3, 0, NOTHING]]
    assert make_lists(ranked, seen, "new_for_you", 3).tolist() == [[NOTHING] * 3]


def test_a_list_longer_than_the_catalogue_has_empty_places():
    seen = pairs_of([[0]], 2)
    one = np.ones((1, 1), np.float32)

    ranked = rank(one, np.ones((2, 1), np.float32), np.zeros(1, np.float32), seen, np.array([0]), 4)

    assert make_lists(ranked, seen, "everything", 4).tolist() == [[0, 1, NOTHING, NOTHING]]


def test_who_is_unknown_gets_what_is_popular_and_who_has_a_feature_what_the_model_says():
    users, seen = np.array([0, 1]), pairs_of([[], [], [2]], 3)
    model = rank(np.ones((3, 1), np.float32), np.array([[3], [2], [1]], np.float32), np.zeros(1), seen, users, 2)

    served = popular_where_unknown(model, rank_by_popularity(seen, users, 2), np.array([True, False, True]))

    assert served.unseen.tolist() == [[0, 1], [2, 0]]
