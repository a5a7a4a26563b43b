"""A shop's weekly run as its people see it: drop tables, start, look at lists, mails and the pointer."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import yaml

from local.server import EmbeddedAws
from shortlist.aws.deployment import Deployment
from shortlist.aws.lists import DynamoListsTable
from shortlist.aws.runs import DynamoRunsTable
from shortlist.aws.s3 import S3ObjectStore
from shortlist.contracts.keys import RunKeys, campaign_key, input_prefix
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.records import StoredLists
from tests.shop import END, Shop

CAMPAIGN: dict[str, Any] = {
    "lists": ["everything", "new_for_you", "buy_again"],
    "x": 6,
    "input": {"items": {"features": {"aisle": "categorical"}}},
    "model": {"n_factors": 8, "epochs": 4, "spectral_factors": 128},
    "evaluation": {"split": "last_days", "days": 28},
    "shards": {"users": 30, "recipients": 15},
    "mail": {
        "sender": "picks@example.com",
        "shop_name": "Test Shop",
        "shop_url": "https://shop.example.com/",
        "items": 4,
        "control_share": 0,
        "min_days_between": 0,  # every campaign of these tests mails the same people within minutes
    },
}
LONGEST_RUN_S = 120


class WeeklyRun:
    """The deployed stack and what a test does with it. Every test uses a campaign of its own."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.aws = aws
        self.deployment = Deployment.find(aws.client("cloudformation"))
        self.store = S3ObjectStore(aws.client("s3"), self.deployment.bucket)
        self.lists_table = DynamoListsTable(aws.client("dynamodb"), self.deployment.recommendations_table)
        self.runs_table = DynamoRunsTable(aws.client("dynamodb"), self.deployment.runs_table)

    def open_shop(self, campaign: str, shop: Shop, **changes: Any) -> None:
        """Drop the shop's tables and its campaign file into the bucket."""
        prefix = f"input/{campaign}/"
        for table in ("interactions", "items", "users"):
            self.store.write(input_prefix(prefix, table) + f"{table}.csv", getattr(shop, table))
        settings = {**CAMPAIGN, "name": campaign, **changes}
        settings["input"] = {**settings["input"], "prefix": prefix}
        self.store.write(campaign_key(campaign), yaml.safe_dump(settings).encode())

    def start(self, campaign: str, run_id: str, execution: str = "", **given: Any) -> dict[str, Any]:
        """Start an execution and wait for its end; answers with DescribeExecution."""
        machine = self.aws.client("stepfunctions")
        start = {"campaign": campaign, "run_id": run_id, "as_of": END.isoformat(), **given}
        arn = machine.start_execution(
            stateMachineArn=self.deployment.state_machine_arn, name=execution or run_id, input=json.dumps(start)
        )["executionArn"]
        until = time.monotonic() + LONGEST_RUN_S
        while time.monotonic() < until:
            described: dict[str, Any] = machine.describe_execution(executionArn=arn)
            if described["status"] != "RUNNING":
                return described
            time.sleep(0.05)
        machine.stop_execution(executionArn=arn)
        raise TimeoutError(f"execution {arn} has not ended in {LONGEST_RUN_S} s")

    def ranked(self, run_id: str) -> dict[str, bytes]:
        """Name of each topx shard -> its bytes."""
        keys = RunKeys(run_id)
        return {o.key.removeprefix(keys.root): self.store.read(o.key) for o in self.store.list(keys.topx_prefix)}

    def stored(self, run_id: str, shop: Shop) -> dict[str, StoredLists]:
        """What consumers find in DynamoDB, by user."""
        found = {user: self.lists_table.get(user, run_id) for user in user_ids(shop)}
        return {user: lists for user, lists in found.items() if lists is not None}

    def mails(self, run_id: str) -> Counter[str]:
        """Accepted messages of a run, by recipient."""
        index = self.aws.mailbox / "mailbox.jsonl"
        if not index.exists():
            return Counter()
        entries = [json.loads(line) for line in index.read_text().splitlines()]
        return Counter(to for entry in entries if entry["tags"].get("run") == run_id for to in entry["destination"])

    def listen(self) -> Callable[[], list[str]]:
        """Subscribe to what the team is told; the answer gives the messages since."""
        queue = self.aws.client("sqs").create_queue(QueueName=f"team-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        arn = f"arn:aws:sqs:{self.aws.region}:{self.aws.account}:{queue.rpartition('/')[2]}"
        self.aws.client("sns").subscribe(TopicArn=self.deployment.topic_arn, Protocol="sqs", Endpoint=arn)

        def heard() -> list[str]:
            answer = self.aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
            return [json.loads(message["Body"])["Message"] for message in answer.get("Messages", [])]

        return heard

    def published(self, campaign: str) -> str:
        """The run that consumers see, empty for none."""
        current = self.runs_table.current(campaign)
        return current.run_id if current else ""

    def manifests(self, run_id: str) -> dict[str, Manifest]:
        """`Rank/00001` -> its manifest."""
        prefix = RunKeys(run_id).manifests()
        return {
            o.key.removeprefix(prefix).removesuffix(".json"): msgspec.json.decode(self.store.read(o.key), type=Manifest)
            for o in self.store.list(prefix)
        }


def user_ids(shop: Shop) -> list[str]:
    return [line.split(b",")[0].decode() for line in shop.users.splitlines()[1:]]


def addresses(shop: Shop) -> Counter[str]:
    """One message for each mailable user."""
    rows = [line.decode().split(",") for line in shop.users.splitlines()[1:]]
    return Counter(email for user, email, *_ in rows if user in shop.mailable)
