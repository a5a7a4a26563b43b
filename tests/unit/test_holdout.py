"""Figures by list kind and by group, on shops whose answer can be worked out by hand, and against slower sums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.contracts.lists import LIST_KINDS
from shortlist.evaluate import NOTHING, Pairs, rank, rank_by_popularity
from shortlist.holdout import HoldOut, diversity, measure_kinds


def pairs_of(rows: list[list[int]], n_items: int) -> Pairs:
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    items = np.array([i for row in rows for i in row], np.int64)
    return Pairs.of(users, items, n_users=len(rows), n_items=n_items)


def measured_shop():
    """Twenty users who bought 1 to 20 of 30 items, ten who bought nothing; all then buy item 29, which is new.

    The model puts item 29 first for users in the upper half and for the newcomers, and nothing of note for the others.
    """
    seen = pairs_of([list(range(user + 1)) for user in range(20)] + [[]] * 10, 30)
    bought = pairs_of([[29]] * 30, 30)
    users = np.ones((30, 2), np.float32)
    users[:10, 0] = -1
    items = np.zeros((30, 2), np.float32)
    items[29, 0] = 1
    held = HoldOut(seen, bought, items, 3)

    def ranked(whom):
        repeat = np.zeros(len(seen.item_rows), np.float32)
        return {"model": rank(users, items, repeat, seen, whom, 3), "popularity": rank_by_popularity(seen, whom, 3)}

    return measure_kinds(ranked(np.arange(20)), ranked(np.arange(20, 30)), held, LIST_KINDS)


def test_users_are_told_apart_by_what_they_had_bought_before():
    groups = {group.name: group for group in measured_shop()["new_for_you"].groups}

    # two users a tenth are too few to be told
    assert list(groups) == ["new users", "new items"]


def test_tenths_go_from_the_least_to_the_most_active(monkeypatch):
    monkeypatch.setattr("shortlist.holdout.MIN_USERS", 2)

    figures = measured_shop()["new_for_you"]

    tenths = [group for group in figures.groups if group.name.startswith("activity")]
    assert [group.name for group in tenths] == [f"activity {n}" for n in range(1, 11)]
    assert [group.recall["model"] for group in tenths] == [0.0] * 5 + [1.0] * 5
    assert sum(group.users for group in tenths) == figures.users == 20
    assert figures.model.recall == pytest.approx(np.mean([group.recall["model"] for group in tenths]))


def test_new_users_and_new_items_have_figures_of_their_own():
    groups = {group.name: group for group in measured_shop()["everything"].groups}

    assert groups["new users"].users == 10
    assert groups["new users"].recall == {"model": 1.0, "popularity": 0.0}
    assert groups["new items"].users == 20
    assert groups["new items"].recall["popularity"] == 0.0


def test_every_kind_counts_its_own_purchases():
    figures = measured_shop()

    assert (figures["everything"].users, figures["new_for_you"].users, figures["buy_again"].users) == (20, 20, 0)
    assert figures["everything"].bought_mean_popularity == 0.0
    assert "new users" not in {group.name for group in figures["buy_again"].groups}


def test_popular_lists_are_known_and_the_rare_is_news():
    seen = pairs_of([[0, 1], [0, 1], [0], [0, 2]], 4)
    held = HoldOut(seen, pairs_of([[1], [2], [1], [1]], 4), np.eye(4, 3, dtype=np.float32), 1)
    nothing = np.zeros(len(seen.item_rows), np.float32)
    users = np.arange(4)
    by_popularity = rank_by_popularity(seen, users, 1)
    rarest_first = rank(
        np.ones((4, 1), np.float32), np.array([[0], [1], [2], [3]], np.float32), nothing, seen, users, 1
    )
    nobody = {"model": rank_by_popularity(seen, np.empty(0, np.int64), 1)}

    figures = measure_kinds({"model": rarest_first, "popularity": by_popularity}, nobody, held, ["everything"])

    popular = figures["everything"].baselines["popularity"]
    assert popular.mean_popularity == 1.0  # all four have bought item 0
    assert popular.novelty == 0.0
    assert figures["everything"].model.novelty == 2.0  # as rare as what one in four has bought
    assert figures["everything"].bought_mean_popularity == pytest.approx((2 + 1 + 2 + 2) / 16)


@given(seed=st.integers(0, 1_000))
def test_diversity_is_the_mean_distance_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    items = rng.normal(size=(9, 4)).astype(np.float32)
    lists = np.array([rng.choice(9, 5, replace=False) for _ in range(6)], np.int32)
    lists[1, 3:] = NOTHING
    lists[2, 1:] = NOTHING

    unit = items[:, :-1] / np.linalg.norm(items[:, :-1], axis=1, keepdims=True)
    distances = []
    for row in lists:
        listed = row[row != NOTHING]
        pairs = [1 - unit[a] @ unit[b] for n, a in enumerate(listed) for b in listed[n + 1 :]]
        distances += [np.mean(pairs)] if pairs else []
    assert diversity(lists, items) == pytest.approx(np.mean(distances), abs=1e-5)
