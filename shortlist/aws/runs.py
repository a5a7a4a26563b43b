"""RunsTable over DynamoDB: a record per run, and per campaign the pointer to the published one, moved on condition."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError

from shortlist.aws.dynamodb import code_of, row_of, translated
from shortlist.contracts.records import CURRENT, CurrentRun, RunRecord
from shortlist.errors import PublishError

POINTS_AT: Final = "current_run_id"
"""The pointer's attribute for the published run, since `run_id` is its sort key."""


class DynamoRunsTable:
    """The runs table of a deployment. Neither records nor pointers expire.

    Args:
        client: a boto3 DynamoDB client.
        table: its name.
    """

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def put(self, record: RunRecord) -> None:
        try:
            self._client.put_item(TableName=self._table, Item=_strings(msgspec.structs.asdict(record)))
        except ClientError as error:
            raise translated(error, self._table) from error

    def get(self, campaign: str, run_id: str) -> RunRecord | None:
        row = self._read(campaign, run_id)
        return msgspec.convert(row, RunRecord) if row else None

    def list(self, campaign: str) -> Sequence[RunRecord]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="campaign = :campaign",
            ExpressionAttributeValues={":campaign": {"S": campaign}},
            ConsistentRead=True,
        )
        try:
            rows = [row_of(item) for page in pages for item in page["Items"]]
        except ClientError as error:
            raise translated(error, self._table) from error
        records = [msgspec.convert(row, RunRecord) for row in rows if row["run_id"] != CURRENT]
        return sorted(records, key=lambda record: record.started_at, reverse=True)

    def all(self) -> Iterator[RunRecord]:
        try:
            for page in self._client.get_paginator("scan").paginate(TableName=self._table, ConsistentRead=True):
                rows = [row_of(item) for item in page["Items"]]
                yield from (msgspec.convert(row, RunRecord) for row in rows if row["run_id"] != CURRENT)
        except ClientError as error:
            raise translated(error, self._table) from error

    def current(self, campaign: str) -> CurrentRun | None:
        row = self._read(campaign, CURRENT)
        return msgspec.convert({**row, "run_id": row[POINTS_AT]}, CurrentRun) if row else None

    def move_current(self, pointer: CurrentRun) -> None:
        row = {**msgspec.structs.asdict(pointer), "run_id": CURRENT, POINTS_AT: pointer.run_id}
        if pointer.previous_run_id:
            condition = f"{POINTS_AT} = :previous"
            values = {"ExpressionAttributeValues": {":previous": {"S": pointer.previous_run_id}}}
        else:
            condition, values = "attribute_not_exists(campaign)", {}
        try:
            self._client.put_item(TableName=self._table, Item=_strings(row), ConditionExpression=condition, **values)
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise translated(error, self._table) from error
            standing = self.current(pointer.campaign)
            if standing is None or standing.run_id != pointer.run_id:
                raise PublishError(
                    f"{pointer.campaign} points at {standing.run_id if standing else 'no run'}, expected "
                    f"{pointer.previous_run_id or 'no run'}: another run was published meanwhile. Run "
                    f"{pointer.run_id} again if it is to replace that one."
                ) from error

    def _read(self, campaign: str, run_id: str) -> Mapping[str, str]:
        """The strings of an item; none where it is not there."""
        key = _strings({"campaign": campaign, "run_id": run_id})
        try:
            answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        except ClientError as error:
            raise translated(error, self._table) from error
        return row_of(answer.get("Item", {}))


def _strings(row: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"S": value} for name, value in row.items()}
