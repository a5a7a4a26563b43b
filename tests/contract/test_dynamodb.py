"""The laws of the lists and runs tables, for the fakes and for DynamoDB alike; and what throttling does to a writer."""

import random

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from shortlist.aws import lists as lists_module
from shortlist.aws.lists import DynamoListsTable
from shortlist.aws.runs import DynamoRunsTable
from shortlist.contracts.lists import Reason
from shortlist.contracts.records import (
    CurrentRun,
    RunRecord,
    StoredItem,
    StoredLists,
)
from shortlist.errors import PublishError, TransientError
from shortlist.ports import ListsTable, RunsTable
from tests.fakes import FixedClock, MemoryListsTable, MemoryRunsTable


@pytest.fixture(params=["memory", "dynamodb"])
def lists(request: pytest.FixtureRequest) -> ListsTable:
    if request.param == "memory":
        return MemoryListsTable()
    return DynamoListsTable(request.getfixturevalue("dynamodb"), "recommendations", clock=FixedClock())


@pytest.fixture(params=["memory", "dynamodb"])
def runs(request: pytest.FixtureRequest) -> RunsTable:
    if request.param == "memory":
        return MemoryRunsTable()
    return DynamoRunsTable(request.getfixturevalue("dynamodb"), "runs")


def entry(user: str, run: str = "r1", score: float = 1.25) -> StoredLists:
    return StoredLists(
        user_id=user,
        run_id=run,
        items=(
            StoredItem("milk", score, Reason("bought_before", "12")),
            StoredItem("rye: dark", -3.5e-07, Reason("bought_with", "Butter: salted:")),
        ),
        more={"new_for_you": (StoredItem("käse", 0.0, Reason("popular")),), "buy_again": ()},
        generated_at="2026-01-05T06:00:00Z",
        model_run="r0",
        expires_at=1_772_000_000,
    )


def entries(count: int, run: str = "r1", score: float = 1.25) -> list[StoredLists]:
    return [entry(f"user-{number}", run, score) for number in range(count)]


def test_lists_come_back_as_they_were_put(lists: ListsTable) -> None:
    assert lists.put([entry("anna"), entry("β,\n")]) == 2

    assert lists.get("anna", "r1") == entry("anna")
    assert lists.get("β,\n", "r1") == entry("β,\n")


def test_lists_of_nobody_and_of_another_run_are_not_there(lists: ListsTable) -> None:
    lists.put([entry("anna")])

    assert lists.get("anna", "r2") is None
    assert lists.get("berta", "r1") is None


def test_lists_of_many_users_come_at_once(lists: ListsTable) -> None:
    users = [f"user-{number}" for number in range(230)]
    lists.put(entry(user) for user in users[::2])

    found = lists.find(users, "r1")

    assert found == {user: entry(user) for user in users[::2]}


def test_a_users_lists_of_every_run_are_forgotten(lists: ListsTable) -> None:
    lists.put([entry("ann", "r1"), entry("ann", "r2"), entry("bo", "r1")])

    forgotten = lists.forget("ann")

    assert forgotten == 2
    assert lists.get("ann", "r1") is None
    assert lists.get("bo", "r1") is not None


def test_putting_again_replaces(lists: ListsTable) -> None:
    lists.put(entries(60))

    assert lists.put(entries(60, score=9.0)) == 60

    assert lists.get("user-59", "r1") == entry("user-59", score=9.0)


def test_each_run_keeps_its_own_lists(lists: ListsTable) -> None:
    lists.put(entries(30))
    lists.put(entries(30, run="r2", score=7.0))

    assert lists.get("user-3", "r1") == entry("user-3")
    assert lists.get("user-3", "r2") == entry("user-3", run="r2", score=7.0)


def test_a_user_named_twice_is_stored_as_named_last(lists: ListsTable) -> None:
    lists.put([entry("anna", score=1.0), entry("anna", score=2.0)])

    assert lists.get("anna", "r1") == entry("anna", score=2.0)


def test_fifty_places_with_titles_fit_an_item_of_four_kilobytes(dynamodb) -> None:
    places = tuple(
        StoredItem(f"{10_000_000 + n}", round(1.234567 / (n + 1), 6), Reason("bought_with", "SOFT DRINKS 12 PACK CAN"))
        for n in range(50)
    )
    DynamoListsTable(dynamodb, "recommendations").put([replace(entry("2469"), items=places, more={})])

    item = dynamodb.get_item(
        TableName="recommendations",
        Key={"user_id": {"S": "2469"}, "run_id": {"S": "r1"}},
    )["Item"]
    assert size_of(item) < 4_096


def size_of(value) -> int:
    """Bytes as DynamoDB counts them: names and texts in UTF-8, two digits of a number in a byte, maps and lists."""
    total = 0
    for name, typed in value.items():
        (kind, content), *_ = typed.items()
        total += len(name.encode())
        if kind == "S":
            total += len(content.encode())
        elif kind == "N":
            total += (len(content.replace(".", "").strip("-0")) + 1) // 2 + 1
        elif kind == "M":
            total += 3 + len(content) + size_of(content)
        elif kind == "L":
            total += 3 + len(content) + sum(size_of({"": element}) for element in content)
    return total


class Faulty:
    """A DynamoDB client whose batch writes go wrong as told.

    Args:
        fault: takes the number of the call (from 1) and its requests; returns the requests to leave out, or raises.
    """

    def __init__(self, client, fault) -> None:
        self._client = client
        self._fault = fault
        self.calls = 0

    def batch_write_item(self, RequestItems):
        self.calls += 1
        ((table, requests),) = RequestItems.items()
        left = self._fault(self.calls, requests)
        taken = [request for request in requests if request not in left]
        if taken:
            self._client.batch_write_item(RequestItems={table: taken})
        return {"UnprocessedItems": {table: left} if left else {}}

    def get_item(self, **arguments):
        return self._client.get_item(**arguments)


def throttled(*_):
    raise ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "BatchWriteItem")


def every_third_call_is_throttled(call, requests):
    return throttled() if call % 3 == 0 else []


def half_of_it_is_left(call, requests):
    return requests[len(requests) // 2 :] if len(requests) > 1 else []


@pytest.mark.parametrize("fault", [every_third_call_is_throttled, half_of_it_is_left])
def test_a_throttled_writer_loses_nothing(dynamodb, fault) -> None:
    clock = FixedClock()
    table = DynamoListsTable(Faulty(dynamodb, fault), "recommendations", clock=clock, rng=random.Random(1))

    assert table.put(entries(110)) == 110

    assert [table.get(f"user-{n}", "r1") for n in range(110)] == entries(110)
    assert clock.slept


def test_no_batch_names_a_user_twice(dynamodb) -> None:
    def refuse_duplicates(call, requests):
        keys = [request["PutRequest"]["Item"]["user_id"]["S"] for request in requests]
        if len(set(keys)) < len(keys):  # as DynamoDB does, and moto does not
            raise ClientError({"Error": {"Code": "ValidationException"}}, "BatchWriteItem")
        return []

    table = DynamoListsTable(Faulty(dynamodb, refuse_duplicates), "recommendations")

    assert table.put([entry("anna", score=1.0), entry("berta"), entry("anna", score=2.0)]) == 3

    assert table.get("anna", "r1") == entry("anna", score=2.0)


def test_waits_grow_and_start_small_again_with_the_next_batch(dynamodb) -> None:
    clock = FixedClock()
    faulty = Faulty(dynamodb, lambda call, requests: [] if call % 8 == 0 else requests)
    table = DynamoListsTable(faulty, "recommendations", clock=clock, rng=random.Random(1))

    table.put(entries(50))

    first, second = clock.slept[:7], clock.slept[7:]
    for waits in (first, second):
        limits = [0.05 * 2**n for n in range(7)]
        assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, limits, strict=True))
    assert first != second


def test_throttling_that_does_not_end_is_left_to_the_state_machine(dynamodb) -> None:
    clock = FixedClock()
    table = DynamoListsTable(Faulty(dynamodb, throttled), "recommendations", clock=clock)

    with pytest.raises(TransientError, match="throttles writes to recommendations for 240 s"):
        table.put(entries(3))

    assert lists_module.BUDGET_S <= sum(clock.slept) <= lists_module.BUDGET_S + lists_module.LONGEST_WAIT_S


def test_an_error_that_does_not_pass_is_not_waited_for(dynamodb) -> None:
    def refuse(call, requests):
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "BatchWriteItem")

    clock = FixedClock()

    with pytest.raises(ClientError, match="AccessDenied"):
        DynamoListsTable(Faulty(dynamodb, refuse), "recommendations", clock=clock).put(entries(3))

    assert clock.slept == []


def test_a_writer_killed_in_the_middle_is_made_good_by_its_repetition(dynamodb) -> None:
    def killed(call, requests):
        if call == 3:
            raise KeyboardInterrupt
        return []

    with pytest.raises(KeyboardInterrupt):
        DynamoListsTable(Faulty(dynamodb, killed), "recommendations").put(entries(110))
    table = DynamoListsTable(dynamodb, "recommendations")
    assert table.get("user-0", "r1") is not None
    assert table.get("user-109", "r1") is None

    table.put(entries(110))

    assert [table.get(f"user-{n}", "r1") for n in range(110)] == entries(110)


def test_shards_may_be_delivered_twice_and_in_any_order(dynamodb) -> None:
    shards = [entries(80)[start : start + 20] for start in range(0, 80, 20)]
    table = DynamoListsTable(dynamodb, "recommendations")

    for number in (2, 0, 3, 2, 1, 0):
        table.put(shards[number])

    assert [table.get(f"user-{n}", "r1") for n in range(80)] == entries(80)
    assert dynamodb.scan(TableName="recommendations", Select="COUNT")["Count"] == 80


RECORD = RunRecord(
    campaign="weekly", run_id="r1", status="running", started_at="2026-01-05T06:00:01Z", as_of="2026-01-05T06:00:00Z"
)


def pointer(run: str, previous: str = "") -> CurrentRun:
    return CurrentRun(campaign="weekly", run_id=run, published_at="2026-01-05T06:10:00Z", previous_run_id=previous)


def test_a_record_comes_back_as_it_was_put_last(runs: RunsTable) -> None:
    runs.put(RECORD)
    ended = replace(RECORD, status="completed", report='{"run_id": "r1"}')
    runs.put(ended)

    assert runs.get("weekly", "r1") == ended
    assert runs.get("weekly", "r2") is None
    assert runs.get("daily", "r1") is None


def test_runs_are_listed_newest_first_without_the_pointer(runs: RunsTable) -> None:
    older = replace(RECORD, run_id="z-older", started_at="2025-12-29T06:00:01Z")
    for record in (older, RECORD, replace(RECORD, campaign="daily", run_id="d1")):
        runs.put(record)
    runs.move_current(pointer("r1"))

    assert list(runs.list("weekly")) == [RECORD, older]
    assert list(runs.list("monthly")) == []
    assert {(record.campaign, record.run_id) for record in runs.all()} == {
        ("weekly", "z-older"),
        ("weekly", "r1"),
        ("daily", "d1"),
    }


def test_nothing_is_published_at_first(runs: RunsTable) -> None:
    runs.put(RECORD)

    assert runs.current("weekly") is None


def test_the_pointer_moves_from_where_it_stands(runs: RunsTable) -> None:
    runs.move_current(pointer("r1"))
    runs.move_current(pointer("r2", previous="r1"))

    assert runs.current("weekly") == pointer("r2", previous="r1")
    assert runs.current("daily") is None


def test_moving_the_pointer_to_where_it_stands_changes_nothing(runs: RunsTable) -> None:
    runs.move_current(pointer("r1"))
    runs.move_current(pointer("r2", previous="r1"))

    runs.move_current(replace(pointer("r2", previous="r1"), published_at="2026-01-06T00:00:00Z"))

    assert runs.current("weekly") == pointer("r2", previous="r1")


@pytest.mark.parametrize("previous", ["", "r0"])
def test_the_pointer_stays_where_another_run_was_published_meanwhile(runs: RunsTable, previous: str) -> None:
    runs.move_current(pointer("r1"))

    with pytest.raises(PublishError):
        runs.move_current(pointer("r2", previous=previous))

    assert runs.current("weekly") == pointer("r1")
