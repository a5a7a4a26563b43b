"""Reasons are true: what is named was bought, and without it the item would score less."""

from dataclasses import replace

import numpy as np
import pytest

from shortlist.contracts.arrays import Catalogue, NewItems, Popular, StringTable, UserShard, npy_array
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import Reason
from shortlist.fm.fold_in import RowSolver
from shortlist.reasons import Reasoner
from shortlist.stages.repackage import repackage
from tests.fakes import FixedClock
from tests.trained_run import AGES, FEATURES_ONLY_USER, N_ITEMS, NEW_USER, RUN, SETTINGS, request, trained_run

KEYS = RunKeys(RUN.run_id)


@pytest.fixture(scope="module")
def shop():
    store = trained_run()
    repackage(request(), store=store, clock=FixedClock())
    items = npy_array(store.read(KEYS.latent("items.npy")))
    reasoner = Reasoner(
        items=items,
        solver=RowSolver.for_users(items, SETTINGS),
        titles=Catalogue.from_bytes(store.read(KEYS.dataset("items.npz"))).title,
        segments=Popular.from_bytes(store.read(KEYS.latent("popular.npz"))).names,
        new_items=NewItems.from_bytes(store.read(KEYS.latent("new_items.npz"))),
    )
    return reasoner, UserShard.from_bytes(store.read(KEYS.user_shard("00000")))


def every_reason(shop):
    """(user, item, reason) of every item for every user of the shard."""
    reasoner, shard = shop
    everything = np.tile(np.arange(N_ITEMS, dtype=np.int32), (len(shard.latent), 1))
    for user, reasons in enumerate(reasoner.reasons(shard, everything)):
        for item, reason in reasons.items():
            yield user, item, reason


def bought_by(shard, user):
    own = slice(shard.indptr[user], shard.indptr[user + 1])
    return shard.item_rows[own].tolist(), shard.days[own].tolist()


def test_items_that_were_bought_say_on_how_many_days(shop):
    _, shard = shop

    for user, item, reason in every_reason(shop):
        items, days = bought_by(shard, user)
        if item in items:
            assert reason == Reason("bought_before", str(days[items.index(item)]))
        else:
            assert reason.kind != "bought_before"


def test_without_the_named_purchase_the_score_is_lower(shop):
    reasoner, shard = shop
    lower = higher = 0

    for user, item, reason in every_reason(shop):
        if reason.kind != "bought_with":
            continue
        own = slice(shard.indptr[user], shard.indptr[user + 1])
        named = shard.item_rows[own].tolist().index(int(reason.subject.removeprefix("Product ")))
        kept = np.arange(own.stop - own.start) != named
        rows = [
            reasoner.solver.solve(shard.item_rows[own][which], shard.weight[own][which], shard.prior[user, :-1])
            for which in (np.ones(len(kept), np.bool_), kept)
        ]
        with_it, without_it = (float(row @ reasoner.items[item, :-1]) for row in rows)
        lower += without_it < with_it
        higher += without_it > with_it

    assert lower > 300
    assert higher == 0


def test_a_purchase_with_the_items_own_title_is_not_named(shop):
    reasoner, shard = shop
    evens = [row for row in range(N_ITEMS) if row % 2 == 0]
    titles = StringTable.of("Milk" if row % 2 == 0 else f"Product {row}" for row in range(N_ITEMS))
    before = {(user, item): reason for user, item, reason in every_reason(shop)}

    after = {(user, item): reason for user, item, reason in every_reason((replace(reasoner, titles=titles), shard))}

    named = {f"Product {row}" for row in evens}
    alike = {at for at, reason in before.items() if at[1] in evens and reason.subject in named}
    assert {at for at, reason in after.items() if reason == Reason("bought_like")} == alike
    assert len(alike) > 50


def test_a_purchase_without_a_title_is_named_by_nothing(shop):
    reasoner, shard = shop
    titles = StringTable.of("" if row % 2 == 0 else f"Product {row}" for row in range(N_ITEMS))
    before = {(user, item): reason for user, item, reason in every_reason(shop)}

    after = {(user, item): reason for user, item, reason in every_reason((replace(reasoner, titles=titles), shard))}

    untitled = {f"Product {row}" for row in range(0, N_ITEMS, 2)}
    assert sum(reason.subject in untitled for reason in before.values()) > 100
    assert after == {
        at: Reason(reason.kind, "" if reason.subject in untitled else reason.subject) for at, reason in before.items()
    }


def test_users_with_features_alone_share_them_with_a_segment(shop):
    kinds = {reason for user, _, reason in every_reason(shop) if user == FEATURES_ONLY_USER}

    assert kinds == {Reason("popular", AGES[FEATURES_ONLY_USER % 2]), Reason("popular")}


def test_users_of_whom_nothing_is_known_get_what_is_popular(shop):
    reasoner, _ = shop

    assert {reason for user, _, reason in every_reason(shop) if user == NEW_USER} == {Reason("popular")}
    assert reasoner.of_popular(1, of_segment=True) == Reason("popular", AGES[1])
    assert reasoner.of_popular(-1, of_segment=False) == Reason("popular")
