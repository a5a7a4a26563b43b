"""BuildIndex: what the rules allow is in the index, and how well it finds it is written down."""

import logging

import msgspec
import pytest
from msgspec.structs import replace

from shortlist.config import Index
from shortlist.contracts.arrays import npy_array
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.metrics import IndexMetrics
from shortlist.errors import MissingObjectError
from shortlist.stages.build_index import build_index, sampled_shards
from shortlist.stages.repackage import repackage
from tests.fakes import FixedClock
from tests.trained_run import CAMPAIGN, N_ITEMS, N_USERS, RUN, request, trained_run, with_rules, write

KEYS = RunKeys(RUN.run_id)


def repackaged(campaign=CAMPAIGN):
    store = trained_run(campaign)
    repackage(request(), store=store, clock=FixedClock())
    return store


def item_rows(store):
    return npy_array(store.read(KEYS.index("item_rows.npy"))).tolist()


def test_the_index_holds_what_may_be_listed():
    store = repackaged()

    manifest, skipped = build_index(request(), store=store, clock=FixedClock())

    metrics = msgspec.convert(manifest.summary, IndexMetrics)
    assert not skipped
    assert (metrics.factory, metrics.recall_at_x, metrics.fell_back) == ("Flat", 1.0, False)
    assert (metrics.n_items, metrics.queries) == (N_ITEMS - 1, N_USERS)
    assert item_rows(store) == list(range(N_ITEMS - 1))  # the last one is sold out
    assert manifest.summary["left_out"] == 1


def test_rules_decide_what_is_in_the_index():
    store = repackaged(with_rules(include_categories=["Bread"], only_available=False))

    build_index(request(), store=store, clock=FixedClock())

    assert item_rows(store) == list(range(1, N_ITEMS, 4))


def test_the_moment_is_that_of_the_first_execution():
    store = repackaged()
    build_index(request(), store=store, clock=FixedClock())
    later = msgspec.structs.replace(request(), run=replace(RUN, as_of="2027-01-01T00:00:00Z"))

    _, skipped = build_index(later, store=store, clock=FixedClock())

    assert skipped


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"x": 3}, id="list length"),
        pytest.param({"rules": with_rules(max_price=5).rules}, id="rules"),
        pytest.param({"index": Index(factory="IVF4,Flat")}, id="index settings"),
    ],
)
def test_what_the_campaign_changes_is_built_anew(changed):
    store = repackaged()
    build_index(request(), store=store, clock=FixedClock())
    write(store, KEYS.campaign, replace(CAMPAIGN, **changed))

    _, skipped = build_index(request(), store=store, clock=FixedClock())

    assert not skipped


def test_falling_back_is_said_aloud(caplog):
    store = repackaged(replace(CAMPAIGN, index=Index(factory="IVF4000,Flat")))

    with caplog.at_level(logging.WARNING):
        manifest, _ = build_index(request(), store=store, clock=FixedClock())

    assert manifest.summary["fell_back"]
    assert "IVF4000,Flat misses recall 0.99 at 8: exact search serves this run" in caplog.text


def test_without_latent_items_there_is_nothing_to_build():
    with pytest.raises(MissingObjectError):
        build_index(request(), store=trained_run(), clock=FixedClock())


@pytest.mark.parametrize(
    ("count", "sampled"), [(1, [0]), (10, list(range(10))), (19, [0, 2, 4, 6, 8, 10, 12, 14, 16, 18])]
)
def test_a_sample_of_shards_is_spread_over_all(count, sampled):
    keys = [f"shard-{number:02d}" for number in range(count)]

    assert sampled_shards(keys) == [keys[number] for number in sampled]
