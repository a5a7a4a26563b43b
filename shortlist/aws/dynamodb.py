"""What the tables of strings share: rows in and out, batches of reads, errors in our own words."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import ClientError

from shortlist.contracts.records import EXPIRES_AT
from shortlist.errors import TransientError

Row = dict[str, str]

_BUSY: Final = {
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
    "TransactionInProgressException",
    "TransactionConflictException",
}
_BATCH: Final = 100
_ATTEMPTS: Final = 8


def item_of(row: Mapping[str, str], expires_at: int = 0) -> dict[str, dict[str, str]]:
    """A row of strings as DynamoDB wants it, with the epoch second after which it may be deleted; 0: never."""
    expiry = {EXPIRES_AT: {"N": str(expires_at)}} if expires_at else {}
    return {**{name: {"S": value} for name, value in row.items()}, **expiry}


def row_of(item: Mapping[str, Mapping[str, Any]]) -> Row:
    """The string attributes of an item, and its numbers as they are written."""
    return {name: value.get("S", value.get("N", "")) for name, value in item.items() if value.keys() & {"S", "N"}}


def read_rows(client: Any, table: str, keys: Sequence[Mapping[str, str]]) -> Iterator[Row]:
    """The rows under these keys, those that exist, in no order; sees every write that was answered before.

    Raises:
        TransientError: throttling does not end.
    """
    yield from map(row_of, read_items(client, table, keys))


def read_items(client: Any, table: str, keys: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """As `read_rows`, the items with attributes of every type."""
    distinct = [dict(pairs) for pairs in dict.fromkeys(tuple(key.items()) for key in keys)]
    for start in range(0, len(distinct), _BATCH):
        wanted = [{name: {"S": value} for name, value in key.items()} for key in distinct[start : start + _BATCH]]
        for attempt in range(_ATTEMPTS):
            try:
                answer = client.batch_get_item(RequestItems={table: {"Keys": wanted, "ConsistentRead": True}})
            except ClientError as error:
                raise translated(error, table) from error
            yield from answer["Responses"].get(table, [])
            wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
            if not wanted:
                break
            pause(attempt)
        else:
            raise TransientError(f"DynamoDB throttles reads of {table}.")


def delete_all(client: Any, table: str, key: tuple[str, str], partition: str) -> int:
    """Delete every item of a partition; returns how many there were.

    Args:
        key: names of the table's partition key and sort key.
    """
    names = {"#partition": key[0], "#sort": key[1]}
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="#partition = :partition",
        ProjectionExpression="#partition, #sort",
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={":partition": {"S": partition}},
        ConsistentRead=True,
    )
    found = 0
    try:
        for page in pages:
            for item in page["Items"]:
                client.delete_item(TableName=table, Key=item)
                found += 1
    except ClientError as error:
        raise translated(error, table) from error
    return found


def pause(attempt: int) -> None:
    """Exponential, jittered, at most 2 s."""
    time.sleep(random.uniform(0.5, 1.0) * min(2.0, 0.05 * 2**attempt))  # noqa: S311 - jitter


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def translated(error: ClientError, table: str) -> Exception:
    """TransientError where the same call may succeed later, else the error itself."""
    code = code_of(error)
    return TransientError(f"DynamoDB answered {code} for {table}.") if code in _BUSY else error
