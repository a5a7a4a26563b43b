"""A shop of a few weeks in: measured against the baselines on the newest of them, and good enough to be published."""

from pathlib import Path

import msgspec
import pytest
import yaml

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.metrics import HoldoutMetrics
from shortlist.contracts.payloads import Run, StageRequest
from shortlist.gate import judge
from shortlist.stages.prepare import prepare
from shortlist.stages.train import train
from tests.fakes import FixedClock, MemoryRunsTable, MemoryStore
from tests.shop import END, make_shop

CAMPAIGN = {"name": "shop", "x": 6, "model": {"n_factors": 8}, "lists": ["everything", "new_for_you"]}
KEYS = RunKeys("r1")


@pytest.mark.parametrize(("weeks", "days"), [(3, 7), (6, 16)])
def test_a_first_run_is_measured_on_two_fifths_of_a_short_history_and_published(weeks: int, days: int) -> None:
    # GIVEN a shop that opened a few weeks ago
    store, shop = MemoryStore(), make_shop(weeks=weeks)
    store.write("input/interactions/interactions.csv", shop.interactions)
    store.write("campaigns/shop.yaml", yaml.safe_dump(CAMPAIGN).encode())
    request = StageRequest(run=Run(run_id="r1", campaign="shop", as_of=END.isoformat()))

    # WHEN it is prepared and trained, everything as by default
    prepare(request, store=store, clock=FixedClock(), shipped_campaigns=Path("nowhere"))
    train(request, store=store, clock=FixedClock(), runs=MemoryRunsTable())

    # THEN the gate has something to judge, and nothing against it
    metrics = msgspec.json.decode(store.read(KEYS.holdout_metrics), type=HoldoutMetrics)
    assert metrics.split.startswith(f"last {days} days")
    assert metrics.users > 50
    assert judge(metrics, ("everything", "new_for_you"), None, margin=0.1, gate=True).reasons == ()
