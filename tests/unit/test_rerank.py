"""Re-ranking: lists that caps shorten at the right places and nowhere else; worth, variety and promotion."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.rerank import Cap, Traits, make_lists
from shortlist.topx import Ranking

PLAIN = Traits(
    caps=(),
    value=None,
    directions=None,
    diversity=0.0,
    promoted=np.zeros(60, np.bool_),
    promoted_share=0.0,
    candidates=30,
)


def capped(codes, most):
    return replace(PLAIN, caps=(Cap(np.array(codes, np.int32), most),))


def search_over(rankings, asked=None, scores=None):
    """A search that knows each user's full ranking, with scores by item or minus the place."""

    def search(users, k):
        if asked is not None:
            asked.append((users.tolist(), k))
        ranking = Ranking.empty(len(users), k)
        for place, user in enumerate(users.tolist()):
            best = rankings[user][:k]
            ranking.items[place, : len(best)] = best
            ranking.scores[place, : len(best)] = -np.arange(len(best)) if scores is None else scores[best]
        return ranking

    return search


def lists_of(rankings, traits, x, asked=None, scores=None):
    chosen = [[item for item in ranking if traits.promoted[item]] for ranking in rankings]
    places = None if scores is not None else -np.argsort(np.array(rankings), axis=1).astype(float)
    of_promoted = search_over(chosen, scores=places[0] if scores is None else scores)
    return make_lists(search_over(rankings, asked, scores), of_promoted, len(rankings), x, traits)


@given(
    codes=st.lists(st.integers(-1, 4), min_size=1, max_size=60),
    data=st.data(),
    x=st.integers(1, 5),
    most=st.integers(1, 3),
)
def test_a_capped_list_is_a_walk_down_the_full_ranking(codes, data, x, most):
    rankings = [data.draw(st.permutations(range(len(codes)))) for _ in range(3)]

    lists = lists_of(rankings, capped(codes, most), x)

    for user, ranking in enumerate(rankings):
        walked = []
        for item in ranking:
            full = codes[item] >= 0 and sum(codes[i] == codes[item] for i in walked) >= most
            if not full and len(walked) < x:
                walked.append(item)
        assert lists.items[user].tolist() == walked + [-1] * (x - len(walked))
        assert lists.scores[user, : len(walked)].tolist() == [-float(ranking.index(item)) for item in walked]


def test_items_of_no_kind_are_not_capped():
    lists = lists_of([[0, 1, 2, 3, 4]], capped([-1, -1, 0, 0, -1], 1), 4)

    assert lists.items.tolist() == [[0, 1, 2, 4]]


def test_two_caps_hold_at_once():
    categories, brands = Cap(np.array([0, 0, 0, 1, 1], np.int32), 2), Cap(np.array([0, 1, 2, 0, 3], np.int32), 1)

    lists = lists_of([[0, 1, 2, 3, 4]], replace(PLAIN, caps=(categories, brands)), 4)

    assert lists.items.tolist() == [[0, 1, 4, -1]]


def test_only_users_whose_list_is_short_are_searched_again():
    codes = [0] * 50 + [1, 2]
    varied, monotone = [50, 51, *range(50)], [*range(50), 50, 51]
    asked = []

    lists = lists_of([varied, monotone], capped(codes, 1), 3, asked)

    assert lists.items.tolist() == [[50, 51, 0], [0, 50, 51]]
    assert asked == [([0, 1], 12), ([1], 48), ([1], 192)]


def test_without_a_rule_the_search_is_asked_for_the_list_itself():
    asked = []

    lists = lists_of([[3, 1, 2]], PLAIN, 2, asked)

    assert lists.items.tolist() == [[3, 1]]
    assert asked == [([0], 2)]


def test_worth_multiplies_relevance_among_the_candidates():
    # relevance 1, 0.75, 0.5, 0.25, 0
    scores, value = np.array([9.0, 8.0, 7.0, 6.0, 5.0]), np.array([1.0, 2.0, 2.5, 9.0, 100.0])

    lists = lists_of([[0, 1, 2, 3, 4]], replace(PLAIN, value=value), 5, scores=scores)

    assert lists.items.tolist() == [[3, 1, 2, 0, 4]]
    assert lists.scores[0].tolist() == scores[[3, 1, 2, 0, 4]].tolist()


@given(seed=st.integers(0, 10_000), diversity=st.sampled_from([0.0, 0.3, 0.9]), worth=st.booleans())
def test_variety_is_that_of_choosing_one_by_one(seed, diversity, worth):
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(12, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    scores, value = np.sort(rng.normal(size=12))[::-1], rng.uniform(1, 9, 12)
    traits = replace(
        PLAIN,
        value=value if worth else None,
        directions=directions.astype(np.float32) if diversity else None,
        diversity=diversity,
    )

    lists = lists_of([list(range(12))], traits, 5, scores=scores)

    utility = (scores - scores.min()) / (scores.max() - scores.min()) * (value if worth else 1)
    utility /= utility.max()
    chosen = []
    for _ in range(5):
        rest = [item for item in range(12) if item not in chosen]
        near = [max((float(directions[i] @ directions[j]) for j in chosen), default=0.0) for i in rest]
        merit = [(1 - diversity) * utility[i] - diversity * n for i, n in zip(rest, near, strict=True)]
        chosen.append(rest[int(np.argmax(merit))])
    assert lists.items[0].tolist() == chosen


@pytest.mark.parametrize(("share", "listed"), [(0.25, [0, 1, 2, 50]), (0.5, [0, 50, 1, 51]), (1.0, [50, 51, 52, 0])])
def test_of_the_first_places_so_many_are_promoted(share, listed):
    promoted = np.isin(np.arange(60), [50, 51, 52])

    lists = lists_of([list(range(60))], replace(PLAIN, promoted=promoted, promoted_share=share), 4)

    assert lists.items.tolist() == [listed]


def test_what_is_promoted_and_liked_anyway_takes_no_further_place():
    promoted = np.isin(np.arange(60), [0, 50])

    lists = lists_of([list(range(60))], replace(PLAIN, promoted=promoted, promoted_share=0.25), 4)

    assert lists.items.tolist() == [[0, 1, 2, 3]]


def test_a_cap_holds_for_what_is_promoted():
    promoted = np.isin(np.arange(60), [50, 51, 52])
    codes = np.where(promoted, 0, -1)

    lists = lists_of([list(range(60))], replace(capped(codes, 1), promoted=promoted, promoted_share=1.0), 4)

    assert lists.items.tolist() == [[50, 0, 1, 2]]
