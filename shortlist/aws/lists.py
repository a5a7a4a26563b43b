"""ListsTable over DynamoDB: an item per user and run, written in batches as fast as the table takes them.

An item's `items` is a list of maps {item_id, score, reason}; `reason` is `kind` or `kind:subject` in one string, which
keeps an item with 50 places under 4 KB, the unit in which reads are counted.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError

from shortlist.aws.clock import SystemClock
from shortlist.aws.dynamodb import delete_all, read_items, translated
from shortlist.contracts.lists import Reason
from shortlist.contracts.records import RECOMMENDATIONS_KEY, StoredItem, StoredLists
from shortlist.errors import TransientError
from shortlist.ports import Clock

BATCH: Final = 25
"""The most that BatchWriteItem takes."""
BUDGET_S: Final = 240.0
"""How long throttling may last before the state machine is asked to try again later."""
FIRST_WAIT_S: Final = 0.05
LONGEST_WAIT_S: Final = 5.0

Item = dict[str, Any]


class DynamoListsTable:
    """The recommendations table of a deployment.

    Args:
        client: a boto3 DynamoDB client.
        table: its name.
        clock: what waiting is done by.
        rng: for jitter, so that writers that were throttled together do not come back together.
    """

    def __init__(
        self, client: Any, table: str, *, clock: Clock | None = None, rng: random.Random | None = None
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 - jitter

    def put(self, lists: Iterable[StoredLists]) -> int:
        remaining = iter(lists)
        deadline = self._clock.now() + timedelta(seconds=BUDGET_S)
        count = 0
        while batch := list(islice(remaining, BATCH)):
            items = {(entry.user_id, entry.run_id): _item_of(entry) for entry in batch}
            requests = [{"PutRequest": {"Item": item}} for item in items.values()]
            failures = 0
            while requests := self._write(requests):
                if self._clock.now() >= deadline:
                    raise TransientError(f"DynamoDB throttles writes to {self._table} for {BUDGET_S:.0f} s.")
                self._clock.sleep(self._wait_s(failures))
                failures += 1
            count += len(batch)
        return count

    def get(self, user_id: str, run_id: str) -> StoredLists | None:
        key = {"user_id": {"S": user_id}, "run_id": {"S": run_id}}
        try:
            answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        except ClientError as error:
            raise translated(error, self._table) from error
        return _lists_of(answer["Item"]) if "Item" in answer else None

    def find(self, user_ids: Sequence[str], run_id: str) -> Mapping[str, StoredLists]:
        keys = [{"user_id": user_id, "run_id": run_id} for user_id in user_ids]
        found = map(_lists_of, read_items(self._client, self._table, keys))
        return {lists.user_id: lists for lists in found}

    def forget(self, user_id: str) -> int:
        return delete_all(self._client, self._table, RECOMMENDATIONS_KEY, user_id)

    def _write(self, requests: list[Item]) -> list[Item]:
        """One call; returns what has to be written again."""
        try:
            answer = self._client.batch_write_item(RequestItems={self._table: requests})
        except ClientError as error:
            if isinstance(translated(error, self._table), TransientError):
                return requests
            raise
        unprocessed: list[Item] = answer.get("UnprocessedItems", {}).get(self._table, [])
        return unprocessed

    def _wait_s(self, failures: int) -> float:
        return self._rng.uniform(0.5, 1.0) * min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**failures)


def _item_of(lists: StoredLists) -> Item:
    return {
        "user_id": {"S": lists.user_id},
        "run_id": {"S": lists.run_id},
        "items": _places(lists.items),
        "more": {"M": {kind: _places(items) for kind, items in lists.more.items()}},
        "generated_at": {"S": lists.generated_at},
        "model_run": {"S": lists.model_run},
        "expires_at": {"N": str(lists.expires_at)},
    }


def _places(items: Sequence[StoredItem]) -> Item:
    return {
        "L": [
            {
                "M": {
                    "item_id": {"S": item.item_id},
                    "score": {"N": repr(item.score)},
                    "reason": {"S": _text_of(item.reason)},
                }
            }
            for item in items
        ]
    }


def _text_of(reason: Reason) -> str:
    return f"{reason.kind}:{reason.subject}" if reason.subject else reason.kind


def _lists_of(item: Item) -> StoredLists:
    return StoredLists(
        user_id=item["user_id"]["S"],
        run_id=item["run_id"]["S"],
        items=_items_of(item["items"]),
        more={kind: _items_of(places) for kind, places in item["more"]["M"].items()},
        generated_at=item["generated_at"]["S"],
        model_run=item["model_run"]["S"],
        expires_at=int(item["expires_at"]["N"]),
    )


def _items_of(places: Item) -> tuple[StoredItem, ...]:
    maps = [place["M"] for place in places["L"]]
    return tuple(StoredItem(m["item_id"]["S"], float(m["score"]["N"]), _reason_of(m["reason"]["S"])) for m in maps)


def _reason_of(text: str) -> Reason:
    kind, _, subject = text.partition(":")
    return msgspec.convert({"kind": kind, "subject": subject}, Reason)
