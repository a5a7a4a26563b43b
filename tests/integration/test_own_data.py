"""Own data: the campaigns shipped for public data sets, run on their files, make models that may be published."""

import os
from pathlib import Path

import msgspec
import pytest

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import ListKind
from shortlist.contracts.metrics import HoldoutMetrics
from shortlist.contracts.payloads import Run, StageRequest
from shortlist.gate import judge
from shortlist.stages.prepare import prepare
from shortlist.stages.resume import read_campaign
from shortlist.stages.train import train
from tests.fakes import FixedClock, MemoryRunsTable, MemoryStore

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SHORTLIST_DATA", ROOT.parent / "shared" / "data"))


@pytest.mark.parametrize(
    ("name", "tables", "kinds"),
    [
        (
            "movielens",
            {"interactions": "ml-latest-small/ratings.csv", "items": "ml-latest-small/movies.csv"},
            ["new_for_you"],
        ),
        (
            "online-retail",
            {"interactions": "online-retail/online_retail.parquet"},
            ["everything", "new_for_you", "buy_again"],
        ),
    ],
)
def test_the_model_passes_the_gate(name: str, tables: dict[str, str], kinds: list[ListKind]) -> None:
    # GIVEN the files of a data set, and the campaign that is shipped for it
    store = MemoryStore()
    for table, path in tables.items():
        store.write(f"input/{table}/{Path(path).name}", outside(path))
    request = StageRequest(run=Run(run_id="own", campaign=name, as_of="2026-01-05T06:00:00Z"))

    # WHEN a model is trained and measured
    prepare(request, store=store, clock=FixedClock(), shipped_campaigns=ROOT / "campaigns")
    train(request, store=store, clock=FixedClock(), runs=MemoryRunsTable())

    # THEN nothing speaks against publishing it, on any of the campaign's lists, and the gate is not open by itself
    campaign = read_campaign("own", store=store)
    metrics = msgspec.json.decode(store.read(RunKeys("own").holdout_metrics), type=HoldoutMetrics)
    verdict = judge(metrics, campaign.lists, None, margin=campaign.evaluation.margin, gate=campaign.evaluation.gate)
    assert (list(campaign.lists), campaign.evaluation.gate) == (kinds, True)
    assert verdict.publish, "\n".join(verdict.reasons)


def outside(path: str) -> bytes:
    if not (DATA / path).exists():
        pytest.skip(f"{DATA / path} is not there; SHORTLIST_DATA names the folder of the data sets")
    return (DATA / path).read_bytes()
