"""Histories grouped as a slow loop groups them, and a repeat term that finds who comes back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.fm.history import DAY_S, VISIT, Interactions, history
from shortlist.fm.repeat import FACTS, RepeatModel, repeat_facts
from shortlist.fm.repeat_fit import fit_repeat
from shortlist.fm.threads import threads

NOW = 20_000 * DAY_S


def interactions(rows: list[tuple[int, int, float, float]]) -> Interactions:
    """Of (user, item, days ago, weight)."""
    user, item, ago, weight = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Interactions(
        np.array(user, np.int32),
        np.array(item, np.int32),
        (NOW - np.array(ago) * DAY_S).astype(np.int64),
        np.array(weight, np.float32),
    )


rows = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 400).map(lambda n: n / 4), st.floats(0.25, 3)),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_history_is_what_a_loop_over_the_interactions_finds(drawn):
    past = history(interactions(drawn), n_users=4, n_items=5, reference_time=NOW, half_life_days=30)

    pairs = sorted({(u, i) for u, i, _, _ in drawn})
    assert list(zip(past.user_rows.tolist(), past.item_rows.tolist(), strict=True)) == pairs
    for place, pair in enumerate(pairs):
        mine = [(ago, weight) for u, i, ago, weight in drawn if (u, i) == pair]
        days = slice(past.day_start[place], past.day_start[place + 1])
        assert past.age[days].tolist() == sorted({float(int(ago)) for ago, _ in mine})
        assert past.weight[place] == pytest.approx(sum(w * 0.5 ** (ago / 30) for ago, w in mine), rel=1e-5)
        assert past.last_seen[place] == NOW - min(ago for ago, _ in mine) * DAY_S
    visits = sorted({u * VISIT + int(ago) for u, _, ago, _ in drawn})
    assert past.visits.tolist() == visits


@settings(max_examples=30, deadline=None)
@given(rows, st.randoms(use_true_random=False))
def test_the_order_of_interactions_does_not_matter(drawn, random):
    shuffled = drawn.copy()
    random.shuffle(shuffled)
    sizes = {"n_users": 4, "n_items": 5, "reference_time": NOW, "half_life_days": None}

    one, other = history(interactions(drawn), **sizes), history(interactions(shuffled), **sizes)

    np.testing.assert_array_equal(one.age, other.age)
    np.testing.assert_array_equal(one.item_rows, other.item_rows)
    np.testing.assert_allclose(one.weight, other.weight, rtol=1e-6)


def test_two_purchases_of_a_day_count_as_one_of_the_days_largest_weight():
    past = history(
        interactions([(0, 0, 10.0, 0.2), (0, 0, 10.25, 0.7), (0, 0, 40.0, 5.0)]),
        n_users=1,
        n_items=1,
        reference_time=NOW,
        half_life_days=None,
    )

    assert past.strength.tolist() == pytest.approx([0.7, 1.0])
    assert past.decayed_days(30).tolist() == pytest.approx([0.7 * 0.5 ** (10 / 30) + 0.5 ** (40 / 30)])


def test_many_purchases_are_not_many_times_the_evidence_of_one():
    past = history(
        interactions([(0, 0, 0.0, 1.0), (0, 1, 0.0, 9.0)]), n_users=1, n_items=2, reference_time=NOW, saturation=0.5
    )

    assert past.weight.tolist() == pytest.approx([1.0, 9 * 1.5 / 9.5])


def test_items_have_a_half_life_of_their_own():
    past = history(
        interactions([(0, 0, 20.0, 1.0)]),
        n_users=1,
        n_items=1,
        reference_time=NOW,
        half_life_days=20,
        item_half_life_days=10,
    )

    assert (past.weight[0], past.item_weight[0]) == pytest.approx((0.5, 0.25))


def test_facts_of_a_pair_by_hand():
    past = history(
        interactions([(0, 0, 2, 1), (0, 0, 12, 1), (0, 1, 5, 1), (0, 2, 30, 1)]),
        n_users=1,
        n_items=3,
        reference_time=NOW,
        half_life_days=None,
    )

    facts = repeat_facts(past, np.array([0.5, 0, 0], np.float32), n_items=3, horizon_days=28)

    fact = dict(zip(FACTS, facts[0].tolist(), strict=True))
    assert fact["since_last"] == pytest.approx(np.log(3))
    assert fact["gap"] == pytest.approx(np.log(11))
    assert fact["due"] == pytest.approx(np.log(9))
    assert fact["visits_since"] == pytest.approx(0.0)
    assert fact["user_visits"] == pytest.approx(np.log(4))
    assert fact["per_visit"] == pytest.approx(np.log(2.3 / 8))
    assert fact["affinity"] == pytest.approx(np.log(0.5))
    assert dict(zip(FACTS, facts[1].tolist(), strict=True))["visits_since"] == pytest.approx(np.log(2))


def test_no_history_has_no_facts():
    past = history(interactions([]), n_users=2, n_items=3, reference_time=NOW, half_life_days=None)

    assert repeat_facts(past, np.zeros(0, np.float32), n_items=3, horizon_days=28).shape == (0, len(FACTS))


def learned(n: int = 5_000, seed: int = 0, n_threads: int | None = None) -> tuple[RepeatModel, np.ndarray, np.ndarray]:
    """Pairs that come back more often when two facts agree: no single fact tells."""
    rng = np.random.default_rng(seed)
    facts = rng.standard_normal((n, len(FACTS))).astype(np.float32)
    odds = -1 + 2 * facts[:, 0] * facts[:, 3]
    came_back = rng.random(n) < 1 / (1 + np.exp(-odds))
    with threads(n_threads) as crew:
        return fit_repeat(facts, came_back, horizon_days=28, seed=1, crew=crew), facts, odds


def test_the_products_of_facts_are_learned():
    model, facts, odds = learned()

    chance = model.chance(facts)

    assert np.corrcoef(np.log(chance / (1 - chance)), odds)[0, 1] > 0.95
    assert ((chance > 0) & (chance < 1)).all()


def test_chances_are_calibrated():
    model, facts, odds = learned(20_000)

    chance, truth = model.chance(facts), 1 / (1 + np.exp(-odds))

    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 1)):
        among = (chance >= low) & (chance < high)
        assert chance[among].mean() == pytest.approx(truth[among].mean(), abs=0.03)


def test_what_is_learned_does_not_depend_on_the_number_of_threads():
    one, two = learned(n_threads=1)[0], learned(n_threads=2)[0]

    np.testing.assert_array_equal(one.products, two.products)
    assert one.intercept == two.intercept


def test_with_few_repeats_the_chance_is_the_share_of_decayed_days():
    facts = np.zeros((50, len(FACTS)), np.float32)
    facts[:, FACTS.index("own_long")] = np.log(3)

    with threads(1) as crew:
        model = fit_repeat(facts, np.zeros(50, np.bool_), horizon_days=28, seed=0, crew=crew)

    assert model.chance(facts)[0] == pytest.approx(3 / 4)


def test_a_repeat_model_comes_back_from_its_folder(tmp_path):
    model, facts, _ = learned()

    model.save(tmp_path)

    np.testing.assert_array_equal(RepeatModel.load(tmp_path).chance(facts), model.chance(facts))
