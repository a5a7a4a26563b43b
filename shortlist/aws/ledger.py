"""Ledger over DynamoDB: conditional writes decide who may send. The kinds of items in the table:

campaign_run = "weekly-picks#<run>",         user_id         an entry, see contracts.records.Delivery
campaign_run = "@<address hash>",            user_id = "@"   whom an address's last message is for, and of which run
campaign_run = "@events#weekly-picks#<run>", user_id = "@"   how many messages of the run bounced and so on
campaign_run = "@order#weekly-picks",        user_id = "@"   the team's order: go, pause, stop
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from botocore.exceptions import ClientError

from shortlist.aws.dynamodb import code_of, item_of, read_rows, row_of, translated
from shortlist.contracts.records import (
    DELIVERIES_KEY,
    NOT_TAKEN,
    SETTLES,
    Delivery,
    DeliveryState,
    MailingOrder,
    MailingState,
)

DAY_S: Final = 86_400
ENTRY_DAYS: Final = 400
"""How long it is known who was mailed: longer than any run is resumed or reported on."""
ADDRESS_DAYS: Final = 62
"""How long it is known when an address was mailed last: longer than any `min_days_between`."""

_FREE_USER: Final = "attribute_not_exists(user_id) OR #state = :released OR claimed_by = :by"
_FREE_ADDRESS: Final = (
    "attribute_not_exists(user_id) OR (mailed_run = :run AND mailed_user = :user) "
    "OR (mailed_run <> :run AND claimed_at < :since)"
)


class DynamoLedger:
    """The deliveries table of a deployment.

    Args:
        client: a boto3 DynamoDB client.
        table: its name.
    """

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def claim(self, delivery: Delivery, *, address_hash: str, since: str) -> Delivery | None:
        """The address first: killed after it, the same user's next attempt holds it already and loses nothing."""
        if address_hash and (holder := self._claim_address(delivery, address_hash, since)):
            return holder
        if self._put_if(self._entry_claim(delivery)):
            return None
        return self.find(delivery.campaign_run, [delivery.user_id])[delivery.user_id]

    def record(self, delivery: Delivery) -> None:
        self._put_if(
            {
                "Item": _item(delivery),
                "ConditionExpression": "#state = :claimed AND claimed_by = :by",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {":claimed": {"S": "claimed"}, ":by": {"S": delivery.claimed_by}},
            }
        )

    def settle(self, campaign_run: str, user_id: str, state: DeliveryState, detail: str) -> DeliveryState | None:
        before = {f":s{number}": {"S": value} for number, value in enumerate(SETTLES[state])}
        try:
            answer = self._client.update_item(
                TableName=self._table,
                Key={"campaign_run": {"S": campaign_run}, "user_id": {"S": user_id}},
                UpdateExpression="SET #state = :state, detail = :detail",
                ConditionExpression=f"#state IN ({', '.join(before)})",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={":state": {"S": state}, ":detail": {"S": detail}, **before},
                ReturnValues="UPDATED_OLD",
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise translated(error, self._table) from error
            return None
        old: DeliveryState = msgspec.convert(row_of(answer["Attributes"])["state"], DeliveryState)
        return old

    def count(self, campaign_run: str, changes: Mapping[DeliveryState, int], at: str) -> None:
        added = ", ".join(f"#{state} :{state}" for state in changes)
        names = {f"#{state}": state for state in changes}
        values = {f":{state}": {"N": str(change)} for state, change in changes.items()}
        expires_at = _epoch(at) + ENTRY_DAYS * DAY_S
        try:
            self._client.update_item(
                TableName=self._table,
                Key={name: {"S": value} for name, value in _key(f"@events#{campaign_run}").items()},
                UpdateExpression=f"SET expires_at = :expires ADD {added}",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues={":expires": {"N": str(expires_at)}, **values},
            )
        except ClientError as error:
            raise translated(error, self._table) from error

    def mailing_state(self, campaign: str, campaign_run: str) -> MailingState:
        keys = [_key(f"@order#{campaign}"), _key(f"@events#{campaign_run}")]
        rows = {row["campaign_run"]: row for row in read_rows(self._client, self._table, keys)}
        order = rows.get(f"@order#{campaign}", {}).get("order", "go")
        counts = rows.get(f"@events#{campaign_run}", {})
        known = {name: counts.get(name, "0") for name in ("delivered", "bounced", "complained")}
        return msgspec.convert({"order": order} | known, MailingState, strict=False)

    def give_order(self, campaign: str, order: MailingOrder, at: str) -> None:
        row = {**_key(f"@order#{campaign}"), "order": order, "at": at}
        try:
            self._client.put_item(TableName=self._table, Item=item_of(row))
        except ClientError as error:
            raise translated(error, self._table) from error

    def find(self, campaign_run: str, user_ids: Sequence[str]) -> Mapping[str, Delivery]:
        keys = [{"campaign_run": campaign_run, "user_id": user_id} for user_id in user_ids]
        rows = read_rows(self._client, self._table, keys)
        return {row["user_id"]: msgspec.convert(row, Delivery) for row in rows}

    def forget(self, user_id: str, campaign_runs: Sequence[str], address_hashes: Sequence[str]) -> int:
        keys = [{"campaign_run": campaign_run, "user_id": user_id} for campaign_run in campaign_runs]
        found = list(read_rows(self._client, self._table, keys)) if keys else []
        mailed = [_key(f"@{address_hash}") for address_hash in address_hashes]
        for row in [*found, *mailed]:
            key = {name: {"S": row[name]} for name in DELIVERIES_KEY}
            try:
                self._client.delete_item(TableName=self._table, Key=key)
            except ClientError as error:
                raise translated(error, self._table) from error
        return len(found)

    def entries(self, campaign_run: str) -> Iterator[Delivery]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="campaign_run = :run",
            ExpressionAttributeValues={":run": {"S": campaign_run}},
            ConsistentRead=True,
        )
        try:
            for page in pages:
                for item in page["Items"]:
                    yield msgspec.convert(row_of(item), Delivery)
        except ClientError as error:
            raise translated(error, self._table) from error

    def _claim_address(self, delivery: Delivery, address_hash: str, since: str) -> Delivery | None:
        """None where the address is claimed, else whose claim stands in the way."""
        if self._put_if(self._address_claim(delivery, address_hash, since)):
            return None
        holder = self._holder(address_hash)
        if holder.campaign_run == delivery.campaign_run or not self._came_to_nothing(holder):
            return holder
        write = self._address_claim(delivery, address_hash, since) | {
            "ConditionExpression": "claimed_by = :theirs",
            "ExpressionAttributeValues": {":theirs": {"S": holder.claimed_by}},
        }
        return None if self._put_if(write) else self._holder(address_hash)

    def _came_to_nothing(self, holder: Delivery) -> bool:
        """Whether the message of this claim was certainly not taken. No entry yet says nothing: it may come."""
        entry = self.find(holder.campaign_run, [holder.user_id]).get(holder.user_id)
        return entry is not None and entry.claimed_by == holder.claimed_by and entry.state in NOT_TAKEN

    def _put_if(self, write: dict[str, Any]) -> bool:
        """Whether the condition held, so that the item was put."""
        try:
            self._client.put_item(TableName=self._table, **write)
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise translated(error, self._table) from error
            return False
        return True

    def _entry_claim(self, delivery: Delivery) -> dict[str, Any]:
        return {
            "Item": _item(delivery),
            "ConditionExpression": _FREE_USER,
            "ExpressionAttributeNames": {"#state": "state"},
            "ExpressionAttributeValues": {":released": {"S": "released"}, ":by": {"S": delivery.claimed_by}},
        }

    def _address_claim(self, delivery: Delivery, address_hash: str, since: str) -> dict[str, Any]:
        row = {
            **_key(f"@{address_hash}"),
            "mailed_run": delivery.campaign_run,
            "mailed_user": delivery.user_id,
            "claimed_at": delivery.claimed_at,
            "claimed_by": delivery.claimed_by,
        }
        return {
            "Item": item_of(row, _epoch(delivery.claimed_at) + ADDRESS_DAYS * DAY_S),
            "ConditionExpression": _FREE_ADDRESS,
            "ExpressionAttributeValues": {
                ":run": {"S": delivery.campaign_run},
                ":user": {"S": delivery.user_id},
                ":since": {"S": since},
            },
        }

    def _holder(self, address_hash: str) -> Delivery:
        """Whose claim stands on an address."""
        row = next(read_rows(self._client, self._table, [_key(f"@{address_hash}")]))
        return Delivery(
            campaign_run=row["mailed_run"],
            user_id=row["mailed_user"],
            state="claimed",
            claimed_at=row["claimed_at"],
            claimed_by=row.get("claimed_by", ""),
        )


def _key(partition: str) -> dict[str, str]:
    """Of an item that is no user's entry."""
    return {"campaign_run": partition, "user_id": "@"}


def _item(delivery: Delivery) -> dict[str, dict[str, str]]:
    return item_of(msgspec.to_builtins(delivery), _epoch(delivery.claimed_at) + ENTRY_DAYS * DAY_S)


def _epoch(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())
