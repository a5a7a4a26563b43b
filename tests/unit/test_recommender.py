"""The whole model on a shop whose customers come back for what they like."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from scipy.sparse import csr_array

from shortlist.config import Model
from shortlist.evaluate import NOTHING, Pairs, hits, make_lists, measure, rank, rank_by_popularity
from shortlist.fm.history import DAY_S, Interactions
from shortlist.fm.kinds import Kinds
from shortlist.fm.progress import EpochReport
from shortlist.fm.repeat import repeat_facts
from shortlist.recommender import DEFAULT_GAMMA, MORE_EPOCHS, Recommender, Shop, latent, learn

N_USERS, N_ITEMS, DAYS = 120, 40, 160
NOW = 20_000 * DAY_S
SETTINGS = Model(n_factors=6, epochs=3, repeat_horizon_days=20, half_life_days=None, item_half_life_days=None)


def purchases(seed: int = 0) -> Interactions:
    """Everybody has four staples, bought again and again, and tries other things of their half of the catalogue."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(N_USERS):
        half = np.arange(user % 2, N_ITEMS, 2)
        staples = rng.choice(half, 4, replace=False)
        for day in range(user % 7, DAYS, 7):
            rows += [(user, item, day) for item in staples if rng.random() < 0.7]
            rows.append((user, rng.choice(half), day))
    user, item, day = np.array(rows).T
    return Interactions(
        user.astype(np.int32), item.astype(np.int32), NOW - (DAYS - day) * DAY_S, np.ones(len(rows), np.float32)
    )


def recall(recommender: Recommender, train: Interactions, later: Interactions, *, gamma: float | None = None) -> float:
    shop = Shop(N_USERS, N_ITEMS)
    if gamma is not None:
        recommender = replace(recommender, repeat=replace(recommender.repeat, gamma=gamma))
    past = recommender.past(train, shop)
    users, items = latent(recommender.model, shop)
    seen = Pairs(past.indptr, past.item_rows, N_ITEMS)
    bought = Pairs.of(later.user_row, later.item_row, n_users=N_USERS, n_items=N_ITEMS)
    ranked = rank(users, items, recommender.pair_repeat(past, shop, users, items), seen, bought.users(), 4)
    return measure(make_lists(ranked, seen, "everything", 4), ranked.users, bought, 4).recall


def halves(events: Interactions) -> tuple[Interactions, Interactions]:
    moment = NOW - 20 * DAY_S
    return events.where(events.timestamp <= moment), events.where(events.timestamp > moment)


def test_the_repeat_term_finds_the_staples():
    train, later = halves(purchases())

    recommender = learn(train, Shop(N_USERS, N_ITEMS), SETTINGS)

    assert recommender.repeat.products.any()  # learned, not the fallback
    assert recall(recommender, train, later) > recall(recommender, train, later, gamma=0.0) + 0.1
    assert recall(recommender, train, later) > 0.7


def test_what_was_bought_is_listed_by_the_chance_of_another_purchase():
    train, _ = halves(purchases())
    shop = Shop(N_USERS, N_ITEMS)
    recommender = learn(train, shop, SETTINGS)
    past = recommender.past(train, shop)
    users, items = latent(recommender.model, shop)

    scores = (users @ items.T)[past.user_rows, past.item_rows] + recommender.pair_repeat(past, shop, users, items)

    facts = repeat_facts(
        past,
        (users @ items.T)[past.user_rows, past.item_rows],
        Kinds.of(None, N_ITEMS),
        horizon_days=SETTINGS.repeat_horizon_days,
    )
    np.testing.assert_allclose(
        scores, recommender.repeat.gamma * recommender.repeat.chance(facts), rtol=1e-3, atol=1e-4
    )


def test_scores_of_new_products_compare_with_those_of_products_bought_before():
    train, later = halves(purchases())
    shop = Shop(N_USERS, N_ITEMS)
    recommender = learn(train, shop, SETTINGS)

    past = recommender.past(train, shop)
    seen = Pairs(past.indptr, past.item_rows, N_ITEMS)
    bought = Pairs.of(later.user_row, later.item_row, n_users=N_USERS, n_items=N_ITEMS)
    nothing = np.zeros(len(past.item_rows), np.float32)
    best = rank(*latent(recommender.model, shop), nothing, seen, np.arange(N_USERS), 20)
    listed = best.unseen != NOTHING
    chance = best.unseen_scores[listed].mean() / recommender.repeat.gamma
    assert chance == pytest.approx(hits(best.unseen, best.users, bought)[listed].mean(), rel=0.3)


def test_where_nothing_new_was_bought_the_two_compare_as_by_default():
    day = np.repeat(np.arange(80), 10)
    staples = Interactions(
        np.tile(np.arange(10), 80).astype(np.int32),
        np.tile(np.arange(10), 80).astype(np.int32),
        NOW - (80 - day) * DAY_S,
        np.ones(800, np.float32),
    )

    recommender = learn(staples, Shop(10, 12), SETTINGS)

    assert recommender.repeat.gamma == DEFAULT_GAMMA


def test_new_products_come_from_the_users_half():
    train, later = halves(purchases())
    recommender = learn(train, Shop(N_USERS, N_ITEMS), SETTINGS)

    users, items = latent(recommender.model, Shop(N_USERS, N_ITEMS))
    scores = users @ items.T

    same = (np.arange(N_USERS)[:, None] % 2) == (np.arange(N_ITEMS)[None, :] % 2)
    assert scores[same].mean() > scores[~same].mean()
    bought = Pairs.of(later.user_row, later.item_row, n_users=N_USERS, n_items=N_ITEMS)
    nothing = Pairs.of(np.zeros(0, int), np.zeros(0, int), n_users=N_USERS, n_items=N_ITEMS)
    popular = rank_by_popularity(nothing, bought.users(), 4).unseen
    ours = rank(users, items, np.zeros(0, np.float32), nothing, bought.users(), 4).unseen
    assert measure(ours, bought.users(), bought, 4).recall > measure(popular, bought.users(), bought, 4).recall


def test_the_same_purchases_in_another_order_on_another_number_of_threads_are_the_same_bytes(tmp_path):
    events = purchases()
    shuffled = np.random.default_rng(5).permutation(len(events))

    learn(events, Shop(N_USERS, N_ITEMS), SETTINGS, n_threads=1).save(tmp_path / "a")
    learn(events.where(shuffled), Shop(N_USERS, N_ITEMS), SETTINGS, n_threads=2).save(tmp_path / "b")

    assert len(files(tmp_path / "a")) > 10
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_recommender_comes_back_from_its_folder(tmp_path):
    train, later = halves(purchases())
    recommender = learn(train, Shop(N_USERS, N_ITEMS), SETTINGS)

    recommender.save(tmp_path)

    loaded = Recommender.load(tmp_path)
    assert loaded.reference_time == recommender.reference_time
    assert recall(loaded, train, later) == recall(recommender, train, later)


@pytest.mark.parametrize(("days", "horizon"), [(DAYS, 20.0), (80, 16.0), (40, 8.0)])
def test_a_young_shop_learns_from_shorter_horizons_that_staples_come_back(days, horizon):
    train, later = halves(purchases())
    young = train.where(train.timestamp > int(train.timestamp.max()) - days * DAY_S)

    recommender = learn(young, Shop(N_USERS, N_ITEMS), SETTINGS)

    assert recommender.repeat.products.any()
    assert recommender.repeat.horizon_days == pytest.approx(horizon, abs=0.6)
    assert recall(recommender, young, later) > 0.5


def test_of_a_few_weeks_the_chance_is_not_learned_and_staples_come_back():
    train, later = halves(purchases())
    young = train.where(train.timestamp > int(train.timestamp.max()) - 20 * DAY_S)

    recommender = learn(young, Shop(N_USERS, N_ITEMS), SETTINGS)

    assert not recommender.repeat.products.any()
    assert recall(recommender, young, later) > recall(recommender, young, later, gamma=0.0) + 0.05


@pytest.mark.parametrize(("days", "learned_anew"), [(100, True), (130, False)])
def test_a_chance_learned_when_the_shop_was_young_is_learned_anew(days, learned_anew):
    events, shop = purchases(), Shop(N_USERS, N_ITEMS)
    before = learn(events.where(events.timestamp <= NOW - (DAYS - days) * DAY_S), shop, SETTINGS)
    heard: list[tuple[str, int]] = []

    now = learn(
        events,
        shop,
        SETTINGS,
        repeat=before.repeat,
        start_from=before.model,
        on_epoch=lambda fit, report: heard.append((fit, report.epochs)),
    )

    assert (now.repeat.n_events == len(events)) is learned_anew
    assert (now.repeat is before.repeat) is not learned_anew
    looks_back = [("look_back_1", SETTINGS.epochs), ("look_back_2", SETTINGS.epochs)] if learned_anew else []
    assert list(dict.fromkeys(heard)) == [*looks_back, ("final", MORE_EPOCHS)]


def test_the_term_can_be_switched_off():
    train, _ = halves(purchases())
    settings = msgspec.structs.replace(SETTINGS, repeat_weight=0.0)

    recommender = learn(train, Shop(N_USERS, N_ITEMS), settings)

    past = recommender.past(train, Shop(N_USERS, N_ITEMS))
    users, items = latent(recommender.model, Shop(N_USERS, N_ITEMS))
    assert not recommender.pair_repeat(past, Shop(N_USERS, N_ITEMS), users, items).any()


@pytest.mark.parametrize("n", [1, 2])
def test_a_single_purchase_is_enough(n):
    one = Interactions(np.zeros(n, np.int32), np.zeros(n, np.int32), np.full(n, NOW, np.int64), np.ones(n, np.float32))

    recommender = learn(one, Shop(1, 1), SETTINGS)

    users, items = latent(recommender.model, Shop(1, 1))
    assert np.isfinite(users @ items.T).all()


@pytest.mark.parametrize("repeat_weight", [None, 0.0])
def test_with_patience_the_fits_have_as_many_epochs_as_were_best_a_horizon_ago(repeat_weight):
    heard: dict[str, list[EpochReport]] = {}
    settings = msgspec.structs.replace(SETTINGS, epochs=30, patience=2, repeat_weight=repeat_weight)

    recommender = learn(
        purchases(),
        Shop(N_USERS, N_ITEMS),
        settings,
        on_epoch=lambda fit, report: heard.setdefault(fit, []).append(report),
    )

    recalls = [report.metric or 0.0 for report in heard.pop("look_back_1")]
    best = recalls.index(max(recalls)) + 1
    assert len(recalls) == best + 2 < 30
    assert {fit: len(reports) for fit, reports in heard.items()} == {
        **({"look_back_2": best} if repeat_weight is None else {}),
        "final": MORE_EPOCHS,
    }
    assert all(report.metric is None for reports in heard.values() for report in reports)
    assert recommender.epochs == best


@pytest.mark.parametrize(("share", "epochs"), [(3, SETTINGS.epochs), (1, MORE_EPOCHS)])
def test_the_final_fit_goes_on_from_the_newest_look_back_where_that_knew_most(share, epochs):
    events = purchases()
    before = events.timestamp <= NOW - 20 * DAY_S  # what the newest look-back knows
    events = events.where(~before | (np.arange(len(events)) % share == 0))
    heard: list[str] = []

    recommender = learn(events, Shop(N_USERS, N_ITEMS), SETTINGS, on_epoch=lambda fit, report: heard.append(fit))

    assert heard.count("look_back_1") == SETTINGS.epochs
    assert heard.count("final") == epochs
    assert recommender.epochs == SETTINGS.epochs


def test_an_item_that_nobody_has_bought_has_rows_beside_the_machine_from_its_features():
    events, new = purchases(), 0
    events = events.where(events.item_row != new)
    halves_of_catalogue = csr_array(np.eye(2, dtype=np.float32)[np.arange(N_ITEMS) % 2])
    shop = Shop(N_USERS, N_ITEMS, item_features=halves_of_catalogue)

    recommender = learn(events, shop, msgspec.structs.replace(SETTINGS, spectral_factors=2))

    beside = recommender.model.users.factors[:, SETTINGS.n_factors :]
    assert beside.shape == (N_USERS, 2)
    _, items = latent(recommender.model, shop)
    scores = beside @ items[new, SETTINGS.n_factors : -1]
    assert scores[0::2].mean() > 2 * scores[1::2].mean()


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class ReclaimedError(Exception):
    pass


@pytest.mark.parametrize("cut_off", [("look_back_2", 2), ("look_back_1", 1), ("look_back_1", 3), ("final", 1)])
def test_a_training_cut_off_in_any_of_its_fits_goes_on_there_to_the_same_bytes(tmp_path, cut_off):
    # GIVEN a training that nobody disturbed, and one that was cut off
    events, shop = purchases(), Shop(N_USERS, N_ITEMS)
    undisturbed: list[tuple[str, int]] = []
    learn(events, shop, SETTINGS, on_epoch=lambda fit, report: undisturbed.append((fit, report.epoch))).save(
        tmp_path / "undisturbed"
    )

    def reclaim(fit: str, report: EpochReport) -> None:
        if (fit, report.epoch) == cut_off:
            raise ReclaimedError

    with pytest.raises(ReclaimedError):
        learn(events, shop, SETTINGS, on_epoch=reclaim, checkpoint=tmp_path / "checkpoint")

    # WHEN it is called again
    heard: list[tuple[str, int]] = []
    learn(
        events,
        shop,
        SETTINGS,
        on_epoch=lambda fit, report: heard.append((fit, report.epoch)),
        checkpoint=tmp_path / "checkpoint",
    ).save(tmp_path / "resumed")

    # THEN only the epochs that were left are run
    assert undisturbed == [*((f"look_back_{n}", epoch) for n in (1, 2) for epoch in (1, 2, 3)), ("final", 1)]
    assert heard == undisturbed[undisturbed.index(cut_off) + 1 :]
    assert files(tmp_path / "resumed") == files(tmp_path / "undisturbed")
