"""Responses over DynamoDB: a recipient's clicks and answers in, everybody's out.

The sort key is a digest, as an item's id alone may be as long as DynamoDB lets a key be.
"""

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import ClientError

from shortlist.aws.dynamodb import code_of, delete_all, translated
from shortlist.contracts.records import EXPIRES_AT, RESPONSES_KEY, Response

RESPONSE_DAYS: Final = 400
"""How long a response counts after it was given last."""
MAX_TIMES: Final = 20
"""Times kept of one response."""
SEGMENTS: Final = 4
"""Parts of the table that are read side by side."""
_COLUMNS: Final = ("user_id", "item_id", "kind", "campaign", "run_id")


class DynamoResponses:
    """The responses table of a deployment.

    Args:
        client: a boto3 DynamoDB client.
        table: its name.
    """

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def note(self, response: Response) -> None:
        last = datetime.fromisoformat(response.times[-1])
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"user_id": {"S": response.user_id}, "response": {"S": _digest(response)}},
                UpdateExpression=(
                    "SET item_id = :item_id, kind = :kind, campaign = :campaign, run_id = :run_id, "
                    f"{EXPIRES_AT} = :expires ADD times :times"
                ),
                ConditionExpression="attribute_not_exists(times) OR size(times) < :most",
                ExpressionAttributeValues={
                    ":item_id": {"S": response.item_id},
                    ":kind": {"S": response.kind},
                    ":campaign": {"S": response.campaign},
                    ":run_id": {"S": response.run_id},
                    ":expires": {"N": str(int(last.timestamp()) + RESPONSE_DAYS * 86_400)},
                    ":times": {"SS": list(response.times)},
                    ":most": {"N": str(MAX_TIMES)},
                },
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise translated(error, self._table) from error

    def of_run(self, campaign: str, run_id: str) -> Iterator[Response]:
        values = {":campaign": {"S": campaign}, ":run": {"S": run_id}}
        condition = "campaign = :campaign AND run_id = :run"
        return self._scan({"FilterExpression": condition, "ExpressionAttributeValues": values})

    def all(self) -> Iterator[Response]:
        return self._scan({})

    def forget(self, user_id: str) -> int:
        return delete_all(self._client, self._table, RESPONSES_KEY, user_id)

    def _scan(self, query: Mapping[str, Any]) -> Iterator[Response]:
        def read(segment: int) -> list[Response]:
            pages = self._client.get_paginator("scan").paginate(
                TableName=self._table, Segment=segment, TotalSegments=SEGMENTS, **query
            )
            return [_response(item) for page in pages for item in page["Items"]]

        try:
            with ThreadPoolExecutor(SEGMENTS) as pool:
                for part in pool.map(read, range(SEGMENTS)):
                    yield from part
        except ClientError as error:
            raise translated(error, self._table) from error


def _digest(response: Response) -> str:
    parts = (response.campaign, response.run_id, response.kind, response.item_id)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _response(item: Mapping[str, Mapping[str, Any]]) -> Response:
    texts = {name: item[name]["S"] for name in _COLUMNS}
    return Response(times=tuple(sorted(item["times"]["SS"])), **texts)
