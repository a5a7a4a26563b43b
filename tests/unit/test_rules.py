"""Rules: what may be listed at all, and lists that a cap shortens at the right places and nowhere else."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.config import Rules
from shortlist.contracts.arrays import Catalogue, StringTable
from shortlist.rules import allowed_items, capped_lists, category_codes
from shortlist.topx import Ranking

AS_OF = 1_000
CATEGORIES = ("Dairy", "Dairy", "Bread", "", "Tobacco")
CATALOGUE = Catalogue(
    title=StringTable.of(("milk", "cheese", "rye", "gift", "cigars")),
    url=StringTable.of([""] * 5),
    image_url=StringTable.of([""] * 5),
    currency=StringTable.of(["EUR"] * 5),
    category=StringTable.of(CATEGORIES),
    price=np.array([1.0, 8.0, 3.0, np.nan, 20.0]),
    available_from=np.array([-1, 1_000, 1_001, -1, -1], np.int64),
    available_until=np.array([-1, 1_001, -1, 1_000, -1], np.int64),
    in_stock=np.array([True, True, True, True, False]),
)
ANY_TIME = {"only_available": False}


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        pytest.param({}, ["milk", "cheese"], id="in stock and on offer now"),
        pytest.param(ANY_TIME, ["milk", "cheese", "rye", "gift", "cigars"], id="availability does not matter"),
        pytest.param(ANY_TIME | {"exclude_categories": ["Tobacco"]}, ["milk", "cheese", "rye", "gift"], id="excluded"),
        pytest.param(ANY_TIME | {"include_categories": ["Dairy", "Bread"]}, ["milk", "cheese", "rye"], id="included"),
        pytest.param(
            ANY_TIME | {"include_categories": ["Dairy", "Bread"], "exclude_categories": ["Dairy"]},
            ["rye"],
            id="included and excluded",
        ),
        pytest.param(ANY_TIME | {"min_price": 3.0}, ["cheese", "rye", "cigars"], id="from a price, unknown ones out"),
        pytest.param(ANY_TIME | {"max_price": 3.0}, ["milk", "rye"], id="up to a price, unknown ones out"),
        pytest.param(ANY_TIME | {"min_price": 2.0, "max_price": 9.0}, ["cheese", "rye"], id="a price range"),
    ],
)
def test_the_rules_say_what_may_be_listed(rules, allowed):
    mask = allowed_items(CATALOGUE, msgspec.convert(rules, Rules), AS_OF)

    assert [CATALOGUE.title[row] for row in np.flatnonzero(mask)] == allowed


@pytest.mark.parametrize(("as_of", "listed"), [(999, False), (1_000, True), (1_001, False)])
def test_an_offer_begins_with_its_first_second_and_ends_with_its_last(as_of, listed):
    assert allowed_items(CATALOGUE, Rules(), as_of)[1] == listed


def test_categories_are_numbered_and_a_missing_one_is_none():
    assert category_codes(CATALOGUE.category).tolist() == [0, 0, 1, -1, 2]
    assert category_codes(StringTable.of(())).tolist() == []


def search_over(rankings, asked=None):
    """A search that knows each user's full ranking."""

    def search(users, k):
        if asked is not None:
            asked.append((users.tolist(), k))
        items = np.full((len(users), k), -1, np.int32)
        scores = np.full((len(users), k), -np.inf)
        for place, user in enumerate(users.tolist()):
            best = rankings[user][:k]
            items[place, : len(best)] = best
            scores[place, : len(best)] = -np.arange(len(best))
        return Ranking(items, scores)

    return search


@given(
    codes=st.lists(st.integers(-1, 4), min_size=1, max_size=60),
    data=st.data(),
    x=st.integers(1, 5),
    cap=st.integers(1, 3),
)
def test_a_capped_list_is_a_walk_down_the_full_ranking(codes, data, x, cap):
    rankings = [data.draw(st.permutations(range(len(codes)))) for _ in range(3)]

    lists = capped_lists(search_over(rankings), 3, x, np.array(codes, np.int32), cap)

    for user, ranking in enumerate(rankings):
        walked = []
        for item in ranking:
            full = codes[item] >= 0 and sum(codes[i] == codes[item] for i in walked) >= cap
            if not full and len(walked) < x:
                walked.append(item)
        assert lists.items[user].tolist() == walked + [-1] * (x - len(walked))
        assert lists.scores[user, : len(walked)].tolist() == [-float(ranking.index(item)) for item in walked]


def test_items_without_a_category_are_not_capped():
    codes = np.array([-1, -1, 0, 0, -1], np.int32)

    lists = capped_lists(search_over([[0, 1, 2, 3, 4]]), 1, 4, codes, 1)

    assert lists.items.tolist() == [[0, 1, 2, 4]]


def test_only_users_whose_list_is_short_are_searched_again():
    codes = np.array([0] * 50 + [1, 2], np.int32)
    varied, monotone = [50, 51, *range(50)], [*range(50), 50, 51]
    asked = []

    lists = capped_lists(search_over([varied, monotone], asked), 2, 3, codes, 1)

    assert lists.items.tolist() == [[50, 51, 0], [0, 50, 51]]
    assert asked == [([0, 1], 12), ([1], 48), ([1], 192)]


def test_without_a_cap_the_search_is_asked_for_the_list_itself():
    asked = []

    lists = capped_lists(search_over([[3, 1, 2]], asked), 1, 2, np.zeros(4, np.int32), None)

    assert lists.items.tolist() == [[3, 1]]
    assert asked == [([0], 2)]
