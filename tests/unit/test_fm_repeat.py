"""Histories grouped as a slow loop groups them, and a repeat term that finds who comes back."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from shortlist.errors import ContractError
from shortlist.fm.history import DAY_S, VISIT, Aging, Interactions, history
from shortlist.fm.kinds import Kinds
from shortlist.fm.repeat import FACTS, KIND, RepeatModel, repeat_facts
from shortlist.fm.repeat_fit import fit_repeat
from shortlist.fm.storage import save_folder
from shortlist.fm.threads import threads

NOW = 20_000 * DAY_S
FEATURES = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1], [0, -2, 1], [0, 0.5, 1]], np.float32)
"""Of five items: one has none, one feature has a value of no meaning, one is had by all others."""


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
    past = history(interactions(drawn), n_users=4, n_items=5, reference_time=NOW, aging=Aging(30))

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
    sizes = {"n_users": 4, "n_items": 5, "reference_time": NOW}

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
    )

    assert past.strength.tolist() == pytest.approx([0.7, 1.0])
    assert past.decayed_days(30).tolist() == pytest.approx([0.7 * 0.5 ** (10 / 30) + 0.5 ** (40 / 30)])


def test_many_purchases_are_not_many_times_the_evidence_of_one():
    past = history(
        interactions([(0, 0, 0.0, 1.0), (0, 1, 0.0, 9.0)]),
        n_users=1,
        n_items=2,
        reference_time=NOW,
        aging=Aging(saturation=0.5),
    )

    assert past.weight.tolist() == pytest.approx([1.0, 9 * 1.5 / 9.5])


def test_items_have_a_half_life_of_their_own():
    past = history(
        interactions([(0, 0, 20.0, 1.0)]),
        n_users=1,
        n_items=1,
        reference_time=NOW,
        aging=Aging(20, 10),
    )

    assert (past.weight[0], past.item_weight[0]) == pytest.approx((0.5, 0.25))


def test_facts_of_a_pair_by_hand():
    past = history(
        interactions([(0, 0, 2, 1), (0, 0, 12, 1), (0, 1, 5, 1), (0, 2, 30, 1)]),
        n_users=1,
        n_items=3,
        reference_time=NOW,
    )

    facts = repeat_facts(past, np.array([0.5, 0, 0], np.float32), Kinds.of(None, 3), horizon_days=28)

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
    past = history(interactions([]), n_users=2, n_items=3, reference_time=NOW)

    assert repeat_facts(past, np.zeros(0, np.float32), Kinds.of(None, 3), horizon_days=28).shape == (0, len(FACTS))


@pytest.mark.parametrize("block_pairs", [2, 65_536])
@pytest.mark.parametrize("features", [FEATURES, np.zeros((5, 0), np.float32), None])
@settings(max_examples=25, deadline=None)
@given(drawn=rows)
def test_facts_of_kinds_are_what_a_loop_over_pairs_and_features_finds(features, block_pairs, drawn):
    past = history(interactions(drawn), n_users=4, n_items=5, reference_time=NOW)
    kinds = Kinds.of(None if features is None else csr_array(features), 5)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shortlist.fm.kinds.BLOCK_PAIRS", block_pairs)
        facts = repeat_facts(past, np.zeros(len(past.item_rows), np.float32), kinds, horizon_days=28)

    expected = facts_of_kinds(drawn, np.zeros((5, 0)) if features is None else features, 28)
    columns = [FACTS.index(name) for name in ("item_rate", "item_return", "kinds_short", "kinds_long")]
    np.testing.assert_allclose(facts[:, columns], np.array(expected).reshape(-1, 4), rtol=1e-4, atol=1e-4)


def facts_of_kinds(drawn, features, horizon):
    """The four facts that look at features, pair by pair, from the definition."""
    of_item = [[int(f) for f in np.flatnonzero(row)] or [("alone", i)] for i, row in enumerate(features)]
    n_items_of = Counter(kind for kinds in of_item for kind in kinds)
    days = defaultdict(dict)  # of a pair: age to the largest weight
    for user, item, ago, weight in drawn:
        days[user, item][int(ago)] = min(max(weight, days[user, item].get(int(ago), 0)), 1)

    def mean(item, of_kind):
        weights = [np.log(6 / n_items_of[kind]) for kind in of_item[item]]
        return sum(w * of_kind(kind) for w, kind in zip(weights, of_item[item], strict=True)) / sum(weights)

    def drawn_log(item, part, whole, least, prior):
        """`part` and `whole` of a pair, summed over the item's pairs, the kind's, all."""

        def ratio(wanted, towards):
            pairs = [pair for pair in days if wanted(pair[1])]
            return (sum(map(part, pairs)) + towards * prior) / (sum(map(whole, pairs)) + prior)

        average = (sum(map(part, days)) + 1) / (sum(map(whole, days)) + least)
        of_kinds = mean(item, lambda kind: np.log(ratio(lambda i: kind in of_item[i], average)))
        return np.log(ratio(lambda i: i == item, np.exp(of_kinds)))

    def kind_days(user, item, half_life):
        def decayed(kind):
            mine = [days[pair] for pair in days if pair[0] == user and kind in of_item[pair[1]]]
            return sum(strength * 0.5 ** (age / half_life) for pair in mine for age, strength in pair.items())

        return mean(item, lambda kind: np.log(decayed(kind) + 0.01))

    return [
        (
            drawn_log(i, lambda p: len(days[p]) - 1, lambda p: max(days[p]), horizon, 7 * horizon) + np.log(horizon),
            drawn_log(i, lambda p: max(days[p]) >= horizon > min(days[p]), lambda p: max(days[p]) >= horizon, 10, 10),
            kind_days(u, i, horizon / 2),
            kind_days(u, i, 3 * horizon),
        )
        for u, i in sorted(days)
    ]


def learned(n: int = 5_000, seed: int = 0, n_threads: int | None = None) -> tuple[RepeatModel, np.ndarray, np.ndarray]:
    """Pairs that come back more often when two facts agree: no single fact tells."""
    rng = np.random.default_rng(seed)
    facts = rng.standard_normal((n, len(FACTS))).astype(np.float32)
    odds = -1 + 2 * facts[:, 0] * facts[:, 3]
    came_back = rng.random(n) < 1 / (1 + np.exp(-odds))
    with threads(n_threads) as crew:
        return fit_repeat(facts, came_back, horizon_days=28, seed=1, crew=crew), facts, odds


def test_the_products_of_facts_are_learned():
    model, facts, odds = learned(40_000)

    chance = model.chance(facts)

    assert np.corrcoef(np.log(chance / (1 - chance)), odds)[0, 1] > 0.95
    assert ((chance > 0) & (chance < 1)).all()


def test_chances_are_calibrated():
    model, facts, odds = learned(240_000)

    chance, truth = model.chance(facts), 1 / (1 + np.exp(-odds))

    for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 1)):
        among = (chance >= low) & (chance < high)
        assert chance[among].mean() == pytest.approx(truth[among].mean(), abs=0.03)


def apart(one: RepeatModel, other: RepeatModel) -> float:
    return float(np.abs(one.products - other.products).max())


def test_a_step_from_what_a_sample_says_is_near_what_all_pairs_say(monkeypatch):
    everything, few = learned(20_000)[0], learned(8_000)[0]
    monkeypatch.setattr("shortlist.fm.repeat_fit.FIRST_PAIRS", 8_000)

    model = learned(20_000)[0]

    assert 0 < apart(model, everything) < apart(few, everything) / 3


def test_a_sample_of_too_few_repeats_is_not_begun_with(monkeypatch):
    everything = learned(20_000)[0]
    monkeypatch.setattr("shortlist.fm.repeat_fit.FIRST_PAIRS", 4_000)  # fewer than 2,000 of them came back

    assert apart(learned(20_000)[0], everything) == 0


def test_of_very_many_pairs_a_sample_is_enough(monkeypatch):
    monkeypatch.setattr("shortlist.fm.repeat_fit.MOST_PAIRS", 40_000)

    model, facts, odds = learned(80_000)

    chance = model.chance(facts)
    assert np.corrcoef(np.log(chance / (1 - chance)), odds)[0, 1] > 0.95


def test_what_is_learned_does_not_depend_on_the_number_of_threads():
    one, two = learned(n_threads=1)[0], learned(n_threads=2)[0]

    np.testing.assert_array_equal(one.products, two.products)
    assert one.intercept == two.intercept


def test_what_few_pairs_say_is_drawn_to_the_share_of_decayed_days():
    simple, many, few = RepeatModel.simple(1.0, 28).linear, learned(40_000)[0], learned(1_000)[0]

    def away(model: RepeatModel) -> float:
        return float(np.linalg.norm(model.linear / model.scale - simple))

    assert away(few) < 0.9 * away(many)
    assert np.abs(few.products).max() < 0.7 * np.abs(many.products).max()


def test_with_few_repeats_the_chance_is_the_share_of_decayed_days():
    facts = np.zeros((50, len(FACTS)), np.float32)
    facts[:, FACTS.index("own_long")] = np.log(3)

    with threads(1) as crew:
        model = fit_repeat(facts, np.zeros(50, np.bool_), horizon_days=28, seed=0, crew=crew)

    assert model.chance(facts)[0] == pytest.approx(3 / 4)
    facts[:, FACTS.index("affinity")] = np.log(2)
    assert 3 / 4 < model.chance(facts)[0] < 0.8


def test_a_repeat_model_comes_back_from_its_folder(tmp_path):
    model, facts, _ = learned()

    model.save(tmp_path)

    np.testing.assert_array_equal(RepeatModel.load(tmp_path).chance(facts), model.chance(facts))


def test_facts_beyond_those_learned_from_say_what_the_farthest_of_those_said():
    model, facts, _ = learned()

    far = model.chance(np.where(facts > 0, 1e6, -1e6).astype(np.float32))

    edges = np.where(facts > 0, facts.max(0), facts.min(0)).astype(np.float32)
    np.testing.assert_allclose(far, model.chance(edges), rtol=1e-3)


def test_a_repeat_model_of_an_earlier_version_has_facts_within_five_deviations(tmp_path):
    model = learned()[0]
    arrays = {name: getattr(model, name) for name in ("mean", "scale", "linear", "products")}
    save_folder(tmp_path, KIND, arrays, {"gamma": 2.0, "horizon_days": 28.0, "intercept": model.intercept})

    loaded = RepeatModel.load(tmp_path)

    np.testing.assert_allclose(loaded.highest, model.mean + 5 * model.scale)
    assert (loaded.gamma, loaded.n_events) == (2.0, 0)


def test_a_repeat_model_of_other_facts_is_refused(tmp_path):
    model = learned()[0]

    replace(model, mean=model.mean[:-1]).save(tmp_path)

    with pytest.raises(ContractError, match="Train again with this version"):
        RepeatModel.load(tmp_path)
