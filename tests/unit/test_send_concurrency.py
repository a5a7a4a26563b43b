"""The pace of a shard assumes how many shards run at once; the state machine says it."""

import json
from pathlib import Path

from shortlist.contracts.stages import SEND_CONCURRENCY

MACHINE = Path(__file__).parents[2] / "statemachine" / "pipeline.asl.json"


def test_the_map_runs_as_many_shards_at_once_as_the_pace_is_shared_by() -> None:
    states = json.loads(MACHINE.read_text(encoding="utf-8"))["States"]

    assert states["SendEmails"]["MaxConcurrency"] == SEND_CONCURRENCY
