"""Publish: consumers see a run once all of it is stored, and never a part of it."""

import msgspec
import pytest
from msgspec.structs import replace

from shortlist.client import Client
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import StageRequest
from shortlist.contracts.records import CurrentRun, RunRecord
from shortlist.errors import MissingObjectError, PublishError
from shortlist.stages.publish import publish
from shortlist.stages.rank import rank
from shortlist.stages.write_top_x import write_top_x
from tests.fakes import FixedClock, MemoryListsTable, MemoryRunsTable
from tests.trained_run import (
    AS_OF,
    N_USERS,
    RUN,
    ranked_run,
    request,
    requests,
    trained_run,
    user_id,
    with_rules,
    write,
)

KEYS = RunKeys(RUN.run_id)
BEFORE = CurrentRun(campaign=RUN.campaign, run_id="weekly-2025-12-29", published_at="2025-12-29T06:20:00+00:00")


@pytest.fixture
def store():
    return ranked_run()


@pytest.fixture
def lists(store):
    """The lists of `store`, stored."""
    table = MemoryListsTable()
    write_all(store, table)
    return table


@pytest.fixture
def runs():
    table = MemoryRunsTable()
    table.pointers[RUN.campaign] = BEFORE
    table.put(RunRecord(campaign=RUN.campaign, run_id=RUN.run_id, status="running", started_at="t0", as_of=AS_OF))
    return table


def write_all(store, table):
    for shard in requests(store):
        write_top_x(shard, store=store, lists=table, clock=FixedClock())


def test_the_pointer_moves_once_everything_is_stored(store, lists, runs):
    manifest, skipped = publish(request(), store=store, runs=runs, clock=FixedClock())

    current = runs.current(RUN.campaign)
    assert not skipped
    assert (current.run_id, current.previous_run_id) == (RUN.run_id, BEFORE.run_id)
    assert current.published_at == "2026-01-05T06:00:00+00:00"
    assert manifest.summary == {"users": N_USERS, "shards": 3, "previous_run": BEFORE.run_id}
    assert runs.get(RUN.campaign, RUN.run_id).status == "published"


def test_the_first_run_of_a_campaign_is_published(store, lists):
    runs = MemoryRunsTable()

    publish(request(), store=store, runs=runs, clock=FixedClock())

    assert runs.current(RUN.campaign).previous_run_id == ""


def test_consumers_see_the_old_run_until_the_new_one_is_whole(store, runs):
    table = MemoryListsTable()
    client = Client(table, runs, FixedClock(), pointer_s=0)
    seen = []
    for shard in requests(store):
        write_top_x(shard, store=store, lists=table, clock=FixedClock())
        seen.append(client.top(user_id(0), RUN.campaign))

    publish(request(), store=store, runs=runs, clock=FixedClock())

    assert seen == [None] * 3  # the run before has no item of this user, and the new one is not looked at
    assert client.top(user_id(0), RUN.campaign).run_id == RUN.run_id


@pytest.mark.parametrize("stage", ["Rank", "WriteTopX"])
def test_a_missing_shard_holds_the_run_back(store, lists, runs, stage):
    store.delete([KEYS.manifest(stage, "00001")])

    with pytest.raises(PublishError, match="shard 00001 is not stored"):
        publish(request(), store=store, runs=runs, clock=FixedClock())
    assert runs.current(RUN.campaign) == BEFORE


def changed_manifest(store, stage, **summary):
    key = KEYS.manifest(stage, "00001")
    manifest = msgspec.json.decode(store.read(key), type=Manifest)
    write(store, key, replace(manifest, summary=manifest.summary | summary))


def test_a_shard_of_which_users_are_missing_holds_the_run_back(store, lists, runs):
    changed_manifest(store, "WriteTopX", lists_written=29)

    with pytest.raises(PublishError, match="shard 00001 has 30 users, the lists of 29 are stored"):
        publish(request(), store=store, runs=runs, clock=FixedClock())
    assert runs.current(RUN.campaign) == BEFORE


def test_lists_that_were_ranked_after_they_were_stored_hold_the_run_back(store, lists, runs):
    write(store, KEYS.campaign, with_rules(max_per_category=1))
    rank(requests(store)[1], store=store, clock=FixedClock())

    with pytest.raises(PublishError, match="what is stored of shard 00001 is not its newest lists"):
        publish(request(), store=store, runs=runs, clock=FixedClock())
    assert runs.current(RUN.campaign) == BEFORE


def test_lists_of_other_latent_rows_hold_the_run_back(store, lists, runs):
    changed_manifest(store, "Rank", latent="of an earlier model")

    with pytest.raises(PublishError, match="shard 00001 is not its newest lists"):
        publish(request(), store=store, runs=runs, clock=FixedClock())


def test_users_whom_no_shard_holds_hold_the_run_back(store, lists, runs):
    manifest = msgspec.json.decode(store.read(KEYS.manifest("Repackage")), type=Manifest)
    write(store, KEYS.manifest("Repackage"), replace(manifest, summary=manifest.summary | {"users": 71}))

    with pytest.raises(PublishError, match="lists of 70 users are stored, expected 71"):
        publish(request(), store=store, runs=runs, clock=FixedClock())


def test_publishing_twice_moves_the_pointer_once(store, lists, runs):
    publish(request(), store=store, runs=runs, clock=FixedClock())
    moved = runs.current(RUN.campaign)

    _, skipped = publish(request(), store=store, runs=runs, clock=FixedClock())

    assert skipped
    assert runs.current(RUN.campaign) == moved


def test_an_old_run_that_is_executed_again_does_not_take_the_pointer_back(store, lists, runs):
    publish(request(), store=store, runs=runs, clock=FixedClock())
    newer = CurrentRun(campaign=RUN.campaign, run_id="weekly-2026-01-12", published_at="t", previous_run_id=RUN.run_id)
    runs.move_current(newer)

    publish(request(), store=store, runs=runs, clock=FixedClock())

    assert runs.current(RUN.campaign) == newer


def test_a_publisher_killed_after_it_moved_the_pointer_is_repeated_without_harm(store, lists, runs):
    publish(request(), store=store, runs=runs, clock=FixedClock())
    store.delete([KEYS.manifest("Publish")])

    manifest, skipped = publish(request(), store=store, runs=runs, clock=FixedClock())

    assert not skipped
    assert manifest.summary["previous_run"] == BEFORE.run_id
    assert runs.current(RUN.campaign).previous_run_id == BEFORE.run_id


def test_a_run_that_overtook_this_one_while_it_was_published_is_left_alone(store, lists, runs):
    class Overtaken(MemoryRunsTable):
        """Another run is published between reading the pointer and moving it."""

        def move_current(self, pointer):
            self.pointers[RUN.campaign] = replace(BEFORE, run_id="weekly-2026-01-12")
            super().move_current(pointer)

    overtaken = Overtaken()
    overtaken.pointers[RUN.campaign] = BEFORE

    with pytest.raises(PublishError, match="another run"):
        publish(request(), store=store, runs=overtaken, clock=FixedClock())
    assert overtaken.current(RUN.campaign).run_id == "weekly-2026-01-12"
    assert not store.exists(KEYS.manifest("Publish"))


def test_a_forced_publication_takes_the_pointer(store, lists, runs):
    publish(request(), store=store, runs=runs, clock=FixedClock())
    runs.move_current(
        CurrentRun(campaign=RUN.campaign, run_id="weekly-2026-01-12", published_at="t", previous_run_id=RUN.run_id)
    )

    publish(StageRequest(run=replace(RUN, force_from="Publish")), store=store, runs=runs, clock=FixedClock())

    current = runs.current(RUN.campaign)
    assert (current.run_id, current.previous_run_id) == (RUN.run_id, "weekly-2026-01-12")


def test_nothing_is_published_of_a_run_without_shards(runs):
    with pytest.raises(MissingObjectError):
        publish(request(), store=trained_run(), runs=runs, clock=FixedClock())
