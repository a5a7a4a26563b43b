"""Suppressions over DynamoDB, keyed by the hash of the address; soft bounces are counted in items of their own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError

from shortlist.aws.dynamodb import code_of, read_rows, translated
from shortlist.contracts.records import Standing

SOFT_BOUNCE_DAYS: Final = 180
"""Soft bounces are forgotten after so many days without another one."""


class DynamoSuppressions:
    """The suppressions table of a deployment.

    Args:
        client: a boto3 DynamoDB client.
        table: its name.
    """

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def standing(self, address_hashes: Sequence[str]) -> Mapping[str, Standing]:
        keys = [{"address_hash": address_hash} for address_hash in address_hashes]
        rows = read_rows(self._client, self._table, keys) if keys else iter(())
        return {row["address_hash"]: msgspec.convert(row, Standing, strict=False) for row in rows}

    def add(self, address_hash: str, cause: str, at: str) -> None:
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"address_hash": {"S": address_hash}},
                UpdateExpression="SET cause = :cause, suppressed_at = :at",
                ConditionExpression="attribute_not_exists(cause)",
                ExpressionAttributeValues={":cause": {"S": cause}, ":at": {"S": at}},
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise translated(error, self._table) from error

    def prefer(self, address_hash: str, *, less_often: bool, paused_until: str, at: str) -> bool:
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"address_hash": {"S": address_hash}},
                UpdateExpression="SET less_often = :less, paused_until = :until, preferred_at = :at",
                ConditionExpression="attribute_not_exists(cause)",
                ExpressionAttributeValues={
                    ":less": {"S": str(less_often).lower()},
                    ":until": {"S": paused_until},
                    ":at": {"S": at},
                },
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise translated(error, self._table) from error
            return False
        return True

    def erase(self, address_hash: str, at: str) -> None:
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"address_hash": {"S": address_hash}},
                UpdateExpression=(
                    "SET cause = if_not_exists(cause, :erased), suppressed_at = if_not_exists(suppressed_at, :at) "
                    "REMOVE less_often, paused_until, preferred_at"
                ),
                ExpressionAttributeValues={":erased": {"S": "erased"}, ":at": {"S": at}},
            )
            self._client.delete_item(TableName=self._table, Key={"address_hash": {"S": f"soft#{address_hash}"}})
        except ClientError as error:
            raise translated(error, self._table) from error

    def add_soft_bounce(self, address_hash: str, event_id: str, at: str) -> int:
        expires_at = int(datetime.fromisoformat(at).timestamp()) + SOFT_BOUNCE_DAYS * 86_400
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"address_hash": {"S": f"soft#{address_hash}"}},
                UpdateExpression="SET expires_at = :expires ADD soft_bounces :event",
                ExpressionAttributeValues={":event": {"SS": [event_id]}, ":expires": {"N": str(expires_at)}},
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            raise translated(error, self._table) from error
        return len(answer["Attributes"]["soft_bounces"]["SS"])
