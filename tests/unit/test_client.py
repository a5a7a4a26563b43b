"""A shop's page sees the lists of one run or of the other, never a mixture, and a new run soon."""

import pytest
from msgspec.structs import replace

from shortlist.client import Client
from shortlist.contracts.lists import Reason
from shortlist.contracts.records import CurrentRun, StoredItem, StoredLists
from tests.fakes import FixedClock, MemoryListsTable, MemoryRunsTable


def lists_of(run: str, user: str = "anna") -> StoredLists:
    return StoredLists(
        user_id=user,
        run_id=run,
        items=(StoredItem(f"item of {run}", 1.0, Reason("popular")),),
        more={},
        generated_at="2026-01-05T06:00:00Z",
        model_run=run,
        expires_at=1_772_000_000,
    )


def publish(runs: MemoryRunsTable, run: str, previous: str = "", campaign: str = "weekly") -> None:
    runs.move_current(CurrentRun(campaign=campaign, run_id=run, published_at="t", previous_run_id=previous))


@pytest.fixture
def lists() -> MemoryListsTable:
    table = MemoryListsTable()
    table.put([lists_of("r1"), lists_of("r2")])
    return table


def test_the_published_run_is_served(lists):
    runs = MemoryRunsTable()
    publish(runs, "r1")

    client = Client(lists, runs, FixedClock())

    assert client.top("anna", "weekly") == lists_of("r1")
    assert client.top("berta", "weekly") is None


def test_nothing_is_served_before_something_is_published(lists):
    assert Client(lists, MemoryRunsTable(), FixedClock()).top("anna", "weekly") is None


def test_a_new_run_is_seen_once_the_pointer_has_aged(lists):
    runs, clock = MemoryRunsTable(), FixedClock()
    publish(runs, "r1")
    client = Client(lists, runs, clock, pointer_s=5.0)
    assert client.top("anna", "weekly") == lists_of("r1")

    publish(runs, "r2", previous="r1")
    clock.sleep(4.9)
    before = client.top("anna", "weekly")
    clock.sleep(0.1)
    after = client.top("anna", "weekly")

    assert (before, after) == (lists_of("r1"), lists_of("r2"))


def test_the_pointer_is_not_read_for_every_user(lists):
    class Counted(MemoryRunsTable):
        reads = 0

        def current(self, campaign):
            self.reads += 1
            return super().current(campaign)

    runs = Counted()
    publish(runs, "r1")
    client = Client(lists, runs, FixedClock())

    for _ in range(10):
        client.top("anna", "weekly")

    assert runs.reads == 1


def test_campaigns_have_pointers_of_their_own(lists):
    runs = MemoryRunsTable()
    publish(runs, "r1")
    publish(runs, "r2", campaign="deals")
    client = Client(lists, runs, FixedClock())

    assert client.top("anna", "weekly") == lists_of("r1")
    assert client.top("anna", "deals") == lists_of("r2")


def test_a_run_that_is_being_written_is_not_seen(lists):
    runs, clock = MemoryRunsTable(), FixedClock()
    publish(runs, "r1")
    client = Client(lists, runs, clock)

    lists.put([replace(lists_of("r3"), user_id="anna")])
    clock.sleep(60)

    assert client.top("anna", "weekly") == lists_of("r1")
