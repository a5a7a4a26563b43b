"""Rules: what may be listed at all, and what re-ranking asks of it."""

import msgspec
import numpy as np
import pytest

from shortlist.config import Promoted, Rules
from shortlist.contracts.arrays import StringTable
from shortlist.rules import allowed_items, codes_of, promoted_items, recently_bought, traits_of
from tests.catalogues import catalogue

AS_OF = 1_000
CATEGORIES = ("Dairy", "Dairy", "Bread", "", "Tobacco")
CATALOGUE = catalogue(
    ("milk", "cheese", "rye", "gift", "cigars"),
    category=CATEGORIES,
    brand=("Alm", "Alm", "", "Alm", "Rauch"),
    price=(1.0, 8.0, 3.0, np.nan, 20.0),
    margin=(0.5, -1.0, np.nan, 2.0, 4.0),
    available_from=(-1, 1_000, 1_001, -1, -1),
    available_until=(-1, 1_001, -1, 1_000, -1),
    in_stock=(True, True, True, True, False),
    offer_from=(-1, 0, 1_000, 1_001, 900),
    offer_until=(-1, -1, 1_001, 2_000, 1_000),
)
IDS = StringTable.of(CATALOGUE.title.to_list())
ANY_TIME = {"only_available": False}


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        pytest.param({}, ["milk", "cheese"], id="in stock and on offer now"),
        pytest.param(ANY_TIME, ["milk", "cheese", "rye", "gift", "cigars"], id="availability does not matter"),
        pytest.param(ANY_TIME | {"exclude_categories": ["Tobacco"]}, ["milk", "cheese", "rye", "gift"], id="excluded"),
        pytest.param(ANY_TIME | {"include_categories": ["Dairy", "Bread"]}, ["milk", "cheese", "rye"], id="included"),
        pytest.param(ANY_TIME | {"min_price": 3.0}, ["cheese", "rye", "cigars"], id="from a price, unknown ones out"),
        pytest.param(ANY_TIME | {"max_price": 3.0}, ["milk", "rye"], id="up to a price, unknown ones out"),
        pytest.param(ANY_TIME | {"min_price": 2.0, "max_price": 9.0}, ["cheese", "rye"], id="a price range"),
        pytest.param({"available_for_days": 1}, ["milk"], id="on offer tomorrow as well"),
        pytest.param(ANY_TIME | {"only_deals": True}, ["cheese", "rye"], id="deals that are open"),
        pytest.param(
            ANY_TIME | {"only_deals": True, "available_for_days": 1},
            ["cheese"],
            id="deals that are open tomorrow as well",
        ),
    ],
)
def test_the_rules_say_what_may_be_listed(rules, allowed):
    mask = allowed_items(CATALOGUE, msgspec.convert(rules, Rules), AS_OF)

    assert [CATALOGUE.title[row] for row in np.flatnonzero(mask)] == allowed


@pytest.mark.parametrize(("as_of", "listed"), [(999, False), (1_000, True), (1_001, False)])
def test_an_offer_begins_with_its_first_second_and_ends_with_its_last(as_of, listed):
    assert allowed_items(CATALOGUE, Rules(), as_of)[1] == listed


def test_categories_are_numbered_and_a_missing_one_is_none():
    assert codes_of(CATALOGUE.category).tolist() == [0, 0, 1, -1, 2]
    assert codes_of(StringTable.of(())).tolist() == []


def test_what_is_promoted_is_named_by_item_category_or_brand():
    promoted = Promoted(share=0.5, items=("rye", "unknown"), categories=("Tobacco",), brands=("Alm",))

    assert promoted_items(CATALOGUE, IDS, promoted).tolist() == [True, True, True, True, True]
    assert promoted_items(CATALOGUE, IDS, Promoted(share=0.5, items=("rye",))).tolist() == [0, 0, 1, 0, 0]
    assert not promoted_items(CATALOGUE, IDS, None).any()


@pytest.mark.parametrize(
    ("rules", "value"),
    [
        pytest.param({"rank_by": "price"}, [8.0, 0.0], id="an unknown price is worth nothing"),
        pytest.param({"rank_by": "margin"}, [0.0, 2.0], id="a loss is worth nothing"),
        pytest.param({"rank_by": "price", "value_weight": 0.5}, [8.0**0.5, 0.0], id="a mix"),
    ],
)
def test_what_relevance_is_multiplied_by(rules, value):
    rows = np.array([1, 3], np.int32)

    traits = traits_of(CATALOGUE, IDS, np.ones((2, 3), np.float32), rows, msgspec.convert(rules, Rules))

    assert traits.value.tolist() == value
    assert traits.directions is None


def test_without_rules_nothing_is_asked_of_an_item():
    traits = traits_of(CATALOGUE, IDS, np.ones((5, 3), np.float32), np.arange(5, dtype=np.int32), Rules())

    assert (traits.caps, traits.value, traits.directions, traits.promotes) == ((), None, None, False)


def test_purchases_of_the_last_days_are_recent():
    last_seen = np.array([0, 86_400, 86_401, 3 * 86_400], np.int64)

    assert recently_bought(last_seen, Rules(rest_bought_days=2), 3 * 86_400).tolist() == [False, False, True, True]
    assert not recently_bought(last_seen, Rules(), 3 * 86_400).any()
