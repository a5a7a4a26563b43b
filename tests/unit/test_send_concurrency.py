"""The pace of a shard assumes how many shards run at once; the state machine says it."""

import json
from pathlib import Path

from shortlist.contracts.stages import SEND_CONCURRENCY

MACHINE = Path(__file__).parents[2] / "statemachine" / "pipeline.asl.json"


def test_the_map_runs_as_many_shards_at_once_as_the_pace_is_shared_by() -> None:
    states = json.loads(MACHINE.read_text(encoding="utf-8"))["States"]

    assert states["SendEmails"]["MaxConcurrency"] == SEND_CONCURRENCY


def test_a_shard_that_is_out_of_time_goes_on_at_once_however_often_that_is() -> None:
    states = json.loads(MACHINE.read_text(encoding="utf-8"))["States"]
    rules = states["SendEmails"]["ItemProcessor"]["States"]["SendShard"]["Retry"]
    largest_shard, slowest_account, longest_lambda_s = 10_000, 1 / SEND_CONCURRENCY, 900 - 30

    (rule,) = (rule for rule in rules if "OutOfTimeError" in rule["ErrorEquals"])

    assert rule["MaxAttempts"] > largest_shard / (slowest_account * longest_lambda_s)
    assert (rule["IntervalSeconds"], rule["BackoffRate"]) == (1, 1)
