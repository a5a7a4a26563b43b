"""Stored lists in; how long a shop's page waits for one user's, p50 and p99, beside a plain GetItem of boto3, out.

Both read the same items of the embedded DynamoDB over HTTP, in turns, a user each: what the client takes more is its
own, the rest boto3's and the embedded table's, which is no measure of DynamoDB itself.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from local.server import EmbeddedAws
from shortlist.aws.clock import SystemClock
from shortlist.aws.lists import DynamoListsTable
from shortlist.aws.runs import DynamoRunsTable
from shortlist.client import Client
from shortlist.contracts.lists import Reason
from shortlist.contracts.records import RECOMMENDATIONS_KEY, RUNS_KEY, CurrentRun, StoredItem, StoredLists

RUN, CAMPAIGN = "bench", "weekly"
X = 20


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench client", description=__doc__)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, EmbeddedAws(Path(folder)) as aws:
        dynamodb = aws.client("dynamodb")
        for table, key in (("recommendations", RECOMMENDATIONS_KEY), ("runs", RUNS_KEY)):
            dynamodb.create_table(
                TableName=table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in key],
                KeySchema=[
                    {"AttributeName": name, "KeyType": kind} for name, kind in zip(key, ("HASH", "RANGE"), strict=True)
                ],
            )
        lists, runs = DynamoListsTable(dynamodb, "recommendations"), DynamoRunsTable(dynamodb, "runs")
        lists.put(stored(user) for user in range(given.users))
        runs.move_current(CurrentRun(campaign=CAMPAIGN, run_id=RUN, published_at="", previous_run_id=""))
        page = Client(lists, runs, SystemClock())
        results = take_turns(
            {
                "shortlist.client": lambda user: page.top(user, CAMPAIGN),
                "boto3 get_item": lambda user: dynamodb.get_item(
                    TableName="recommendations", Key={"user_id": {"S": user}, "run_id": {"S": RUN}}
                ),
            },
            [f"user-{number % given.users}" for number in range(given.calls)],
        )
    text = json.dumps({"users": given.users, "calls": given.calls, "x": X, "results": results}, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


def stored(user: int) -> StoredLists:
    """Twenty items with reasons, as WriteTopX leaves them."""
    reason = Reason("bought_with", "Fluid Milk White Only, 1 GA")
    return StoredLists(
        user_id=f"user-{user}",
        run_id=RUN,
        items=tuple(StoredItem(f"{user + place:08d}", 1 - place / 100, reason) for place in range(X)),
        more={},
        generated_at="2026-01-05T06:00:00Z",
        model_run=RUN,
        expires_at=2_000_000_000,
    )


def take_turns(calls: dict[str, Callable[[str], object]], users: Sequence[str]) -> list[dict[str, str | float]]:
    """Milliseconds of every call; the order turns with the user."""
    names = list(calls)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn, user in enumerate(users):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.perf_counter()
            calls[name](user)
            taken[name].append(1_000 * (time.perf_counter() - start))
    return [
        {"name": name, "p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}
        for name, (p50, p99) in ((name, np.percentile(taken[name], [50, 99])) for name in names)
    ]
