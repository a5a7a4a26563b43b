"""Lists: for every user, of every kind, what sorting all allowed items by their score would give."""

from dataclasses import replace

import numpy as np
import pytest

from shortlist.candidates import Hidden
from shortlist.contracts.arrays import Catalogue, Popular, StringTable, UserShard, npy_array
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import LIST_KINDS
from shortlist.index import ItemIndex
from shortlist.lists import Assortment, ShardLists
from shortlist.rules import codes_of, traits_of
from shortlist.stages.build_index import build_index
from shortlist.stages.repackage import repackage
from tests.fakes import FixedClock
from tests.trained_run import (
    CAMPAIGN,
    FEATURES_ONLY_USER,
    GREEDY_USER,
    N_ITEMS,
    NEW_USER,
    RUN,
    X,
    item_id,
    request,
    trained_run,
    with_rules,
)

KEYS = RunKeys(RUN.run_id)


def opened(tmp_path, campaign=CAMPAIGN):
    """The first shard and the assortment of a run whose index is built."""
    store = trained_run(campaign)
    repackage(request(), store=store, clock=FixedClock())
    build_index(request(), store=store, clock=FixedClock())
    path = tmp_path / "items.faiss"
    store.download(KEYS.index("items.faiss"), path)
    item_rows = npy_array(store.read(KEYS.index("item_rows.npy")))
    items = npy_array(store.read(KEYS.latent("items.npy")))
    shown = Catalogue.from_bytes(store.read(KEYS.dataset("items.npz")))
    item_ids = StringTable.from_bytes(store.read(KEYS.dataset("item_ids.npz")))
    codes = codes_of(shown.category)
    assortment = Assortment(
        index=ItemIndex.open(path, items, item_rows),
        item_rows=item_rows,
        traits=traits_of(shown, item_ids, items[item_rows], item_rows, campaign.rules),
        popular=Popular.from_bytes(store.read(KEYS.latent("popular.npz"))),
    )
    return UserShard.from_bytes(store.read(KEYS.user_shard("00000"))), assortment, items, codes


def made(shard, assortment, kind, seen=None, popularity=1.0):
    """The lists of a shard, of which some seen pairs may be hidden."""
    hidden = Hidden(np.zeros(len(shard.item_rows), np.bool_) if seen is None else seen, popularity)
    return ShardLists(shard, assortment, hidden).make(kind, X)


def scores_of(shard, items, user):
    """a_u · a_i + γ r of every item, and which of them the user has bought."""
    scores = items.astype(np.float64) @ shard.latent[user].astype(np.float64)
    own = slice(shard.indptr[user], shard.indptr[user + 1])
    bought = np.zeros(len(items), np.bool_)
    bought[shard.item_rows[own]] = True
    scores[shard.item_rows[own]] += shard.repeat[own]
    return scores, bought


def walked(order, codes, cap, x):
    taken = []
    for item in order:
        full = cap is not None and codes[item] >= 0 and sum(codes[i] == codes[item] for i in taken) >= cap
        if not full and len(taken) < x:
            taken.append(int(item))
    return taken


@pytest.mark.parametrize("cap", [None, 1, 2])
@pytest.mark.parametrize("kind", LIST_KINDS)
def test_lists_are_those_of_sorting_everything(tmp_path, kind, cap):
    shard, assortment, items, codes = opened(tmp_path, with_rules(max_per_category=cap))

    lists = made(shard, assortment, kind)

    for user in range(len(shard.latent)):
        if user == NEW_USER:
            continue
        scores, bought = scores_of(shard, items, user)
        fits = {"everything": np.ones(N_ITEMS, np.bool_), "new_for_you": ~bought, "buy_again": bought}[kind]
        order = [i for i in np.lexsort((np.arange(N_ITEMS), -scores)) if fits[i] and i in assortment.item_rows]
        wanted = walked(order, codes, cap, X)
        assert lists.items[user].tolist() == wanted + [-1] * (X - len(wanted))
        assert lists.scores[user, : len(wanted)] == pytest.approx(scores[wanted])
    others = np.arange(len(shard.latent)) != NEW_USER
    assert not lists.filled[others].any()


@pytest.mark.parametrize("kind", ["everything", "new_for_you"])
def test_a_user_of_whom_nothing_is_known_gets_what_is_popular(tmp_path, kind):
    shard, assortment, _, _ = opened(tmp_path)

    lists = made(shard, assortment, kind)

    everybody = [item for item in assortment.popular.everybody.tolist() if item in assortment.item_rows]
    assert lists.items[NEW_USER].tolist() == everybody[:X]
    assert lists.filled[NEW_USER].all()
    assert not lists.of_segment[NEW_USER].any()


def test_popular_items_of_the_users_own_segment_come_first_and_are_told_apart(tmp_path):
    # GIVEN a segment whose three favourites are not everybody's, one of them sold out
    shard, assortment, _, _ = opened(tmp_path)
    favourites = np.array([77, N_ITEMS - 1, 3], np.int32)
    popular = replace(assortment.popular, indptr=np.array([0, 0, 3], np.int64), items=favourites)
    shard.segment[NEW_USER] = 1

    lists = made(shard, replace(assortment, popular=popular), "new_for_you")

    assert lists.items[NEW_USER, :2].tolist() == [77, 3]
    assert lists.of_segment[NEW_USER].tolist() == [True] * 2 + [False] * (X - 2)
    assert len(set(lists.items[NEW_USER].tolist())) == X


def test_a_cap_holds_for_popular_lists_too(tmp_path):
    shard, assortment, _, codes = opened(tmp_path, with_rules(max_per_category=1))

    lists = made(shard, assortment, "everything")

    listed = codes[lists.items[NEW_USER]]
    assert (np.bincount(listed[listed >= 0]) == 1).all()
    assert (lists.items[NEW_USER] >= 0).all()


def test_a_user_with_features_alone_is_ranked_by_them(tmp_path):
    shard, assortment, items, _ = opened(tmp_path)

    lists = made(shard, assortment, "everything")

    scores, _ = scores_of(shard, items, FEATURES_ONLY_USER)
    assert lists.items[FEATURES_ONLY_USER, 0] == assortment.item_rows[scores[assortment.item_rows].argmax()]
    assert not lists.filled[FEATURES_ONLY_USER].any()


def test_buy_again_lists_are_never_filled_with_what_was_never_bought(tmp_path):
    shard, assortment, _, _ = opened(tmp_path)

    lists = made(shard, assortment, "buy_again")

    for user in range(len(shard.latent)):
        bought = shard.item_rows[shard.indptr[user] : shard.indptr[user + 1]]
        listed = lists.items[user][lists.items[user] >= 0]
        assert set(listed.tolist()) <= set(bought.tolist())
        assert len(listed) == min(X, np.isin(bought, assortment.item_rows).sum())
    assert (lists.items[NEW_USER] == -1).all()


def test_a_user_who_has_nearly_everything_gets_the_rest_as_new(tmp_path):
    shard, assortment, _, _ = opened(tmp_path)

    lists = made(shard, assortment, "new_for_you")

    _, bought = scores_of(shard, np.zeros((N_ITEMS, shard.latent.shape[1])), GREEDY_USER)
    rest = set(np.flatnonzero(~bought).tolist()) & set(assortment.item_rows.tolist())
    listed = lists.items[GREEDY_USER]
    assert set(listed[listed >= 0].tolist()) == rest
    assert 1 <= len(rest) <= 2


@pytest.mark.parametrize("kind", LIST_KINDS)
def test_nothing_is_listed_where_nothing_is_allowed(tmp_path, kind):
    shard, assortment, _, _ = opened(tmp_path, with_rules(include_categories=["Tobacco"], max_per_category=2))

    lists = made(shard, assortment, kind)

    assert (lists.items == -1).all()
    assert not lists.filled.any()


@pytest.mark.parametrize("kind", LIST_KINDS)
def test_what_is_withheld_from_a_user_is_on_none_of_the_users_lists(tmp_path, kind):
    shard, assortment, _, _ = opened(tmp_path)
    before = made(shard, assortment, kind)
    withheld = [np.unique(items[items >= 0][:3]) for items in before.items]
    indptr = np.concatenate([[0], np.cumsum([len(items) for items in withheld])]).astype(np.int64)
    blocked = replace(shard, withheld_indptr=indptr, withheld_rows=np.concatenate(withheld))

    lists = made(blocked, assortment, kind)

    for user, items in enumerate(withheld):
        listed = lists.items[user][lists.items[user] >= 0]
        assert not np.isin(listed, items).any()
        others = before.items[user][before.items[user] >= 0][3:]
        assert listed[: len(others)].tolist() == others.tolist()
        if kind == "everything":
            assert len(np.unique(listed)) == X


@pytest.mark.parametrize("kind", ["everything", "buy_again"])
def test_hidden_purchases_are_not_listed_and_not_taken_for_new(tmp_path, kind):
    shard, assortment, _, _ = opened(tmp_path)

    lists = made(shard, assortment, kind, seen=np.ones(len(shard.item_rows), np.bool_))

    for user in range(len(shard.latent)):
        bought = shard.item_rows[shard.indptr[user] : shard.indptr[user + 1]]
        assert not np.isin(lists.items[user], bought).any()


def test_the_popularity_knob_weighs_the_part_of_the_score_that_is_everybodys(tmp_path):
    shard, assortment, items, _ = opened(tmp_path)
    user = NEW_USER + 1

    for popularity in (0.0, 3.0):
        lists = made(shard, assortment, "new_for_you", popularity=popularity)
        _, bought = scores_of(shard, items, user)
        scores = items[:, :-1] @ shard.latent[user, :-1] + popularity * items[:, -1]
        fits = ~bought & np.isin(np.arange(N_ITEMS), assortment.item_rows)
        assert lists.items[user].tolist() == np.argsort(-np.where(fits, scores, -np.inf))[:X].tolist()


def test_promoted_items_are_found_wherever_they_stand_in_the_ranking(tmp_path):
    # GIVEN two promoted items that nobody likes best
    promoted = {"share": 0.25, "items": [item_id(7), item_id(40)]}
    shard, assortment, _, _ = opened(tmp_path, with_rules(promoted=promoted))

    lists = made(shard, assortment, "everything")

    for user in range(len(shard.latent)):
        listed = lists.items[user].tolist()
        assert {7, 40} <= set(listed)
        assert {7, 40} & set(listed[:4])
        assert len(set(listed)) == X
