"""Train goes on from the published run's models: in one epoch, to lists as good, and never from what is held out."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from shortlist.contracts.arrays import npy_array
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.metrics import HoldoutMetrics
from shortlist.contracts.payloads import Run, StageRequest
from shortlist.contracts.records import CurrentRun
from shortlist.stages.prepare import prepare
from shortlist.stages.train import train
from shortlist.stages.warm_start import MEASURED, Predecessor
from tests.fakes import FixedClock, MemoryRunsTable, MemoryStore
from tests.shop import END, Shop, make_shop

CAMPAIGN = {
    "name": "shop",
    "x": 6,
    "lists": ["everything", "new_for_you"],
    "input": {"items": {"features": {"aisle": "categorical"}}},
    "model": {"n_factors": 8, "epochs": 3, "spectral_factors": 128, "from_scratch_every": 3},
}


class Weeks:
    """The same campaign, run after run; each is published."""

    def __init__(self) -> None:
        self.store, self.runs = MemoryStore(), MemoryRunsTable()
        self.fits: list[tuple[str, str, int, int]] = []

    def run(self, run_id: str, shop: Shop, as_of: str = END.isoformat(), **campaign: Any) -> Manifest:
        self.fits.clear()
        for table in ("interactions", "items", "users"):
            self.store.write(f"input/{table}/{table}.csv", getattr(shop, table))
        self.store.write("campaigns/shop.yaml", yaml.safe_dump(CAMPAIGN | campaign).encode())
        request = StageRequest(run=Run(run_id=run_id, campaign="shop", as_of=as_of))
        prepare(request, store=self.store, clock=FixedClock(), shipped_campaigns=Path("nowhere"))
        manifest, _ = train(request, store=self.store, clock=FixedClock(), runs=self.runs, progress=self._heard)
        before = self.runs.current("shop")
        if before is None or before.run_id != run_id:
            pointer = CurrentRun(
                campaign="shop", run_id=run_id, published_at="", previous_run_id=before.run_id if before else ""
            )
            self.runs.move_current(pointer)
        return manifest

    def _heard(self, event: str, figures: dict[str, Any]) -> None:
        if event == "epoch_done":
            self.fits.append(tuple(figures[name] for name in ("purpose", "fit", "epoch", "of")))

    def predecessor(self, run_id: str) -> Predecessor:
        return msgspec.json.decode(self.store.read(RunKeys(run_id).predecessor), type=Predecessor)

    def recall(self, run_id: str) -> float:
        raw = self.store.read(RunKeys(run_id).holdout_metrics)
        return msgspec.json.decode(raw, type=HoldoutMetrics).kinds["everything"].model.recall


def model(**changes: Any) -> dict[str, Any]:
    return {"model": CAMPAIGN["model"] | changes}


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop()


@pytest.fixture(scope="module")
def first_week(shop: Shop) -> Weeks:
    weeks = Weeks()
    weeks.run("r1", shop)
    return weeks


@pytest.fixture
def weeks(first_week: Weeks) -> Weeks:
    """After the first run, `r1`, which has nothing to go on from."""
    return deepcopy(first_week)


def test_a_run_goes_on_from_the_published_one_in_one_epoch(weeks: Weeks) -> None:
    # GIVEN a first run
    assert ("measurement", "look_back_1", 1, 3) in weeks.fits

    # WHEN the shop has grown and a second one runs
    weeks.run("r2", make_shop(n_users=93, n_items=124))

    # THEN it needs an epoch for each of its two models, and its lists are as good
    assert weeks.predecessor("r2") == Predecessor("r1", 1)
    assert weeks.fits == [("measurement", "final", 1, 1), ("everything", "final", 1, 1)]
    assert weeks.recall("r2") > weeks.recall("r1") - 0.05
    assert len(npy_array(weeks.store.read(RunKeys("r2").model("fm/user_factors.npy")))) == 93


def test_every_nth_run_trains_from_scratch(weeks: Weeks, shop: Shop) -> None:
    for run_id in ("r2", "r3", "r4", "r5"):
        weeks.run(run_id, shop)

    found = [weeks.predecessor(run_id) for run_id in ("r1", "r2", "r3", "r4", "r5")]
    assert found == [Predecessor(), Predecessor("r1", 1), Predecessor("r2", 2), Predecessor(), Predecessor("r4", 1)]


def test_a_run_that_is_executed_again_goes_on_from_the_same_one(weeks: Weeks, shop: Shop) -> None:
    # GIVEN three published runs
    second, _ = [weeks.run(run_id, shop) for run_id in ("r2", "r3")]

    # WHEN the second is executed again, though another is published now
    weeks.store.writes.clear()
    again = weeks.run("r2", shop)

    # THEN it is the same to the byte, without training
    assert again == second
    assert not weeks.fits
    assert not [key for key in weeks.store.writes if key.startswith(RunKeys("r2").model(""))]


@pytest.mark.parametrize(
    "changes",
    [
        {"evaluation": {"days": 56}},  # the model of r1 has seen the four weeks before its last four
        {"evaluation": {"split": "last_share"}},
        model(n_factors=6),
        model(regularization=0.5),
        {"input": {"event_weights": {"purchase": 2.0}}},
        {"as_of": "2026-01-03T00:00:00Z"},  # r1 may know what comes after it
    ],
)
def test_a_run_of_another_kind_trains_from_scratch(weeks: Weeks, shop: Shop, changes: dict[str, Any]) -> None:
    weeks.run("r2", shop, **changes)

    assert weeks.predecessor("r2") == Predecessor()
    assert len(weeks.fits) > 2


def test_the_default_leaves_nothing_to_go_on_from(shop: Shop) -> None:
    weeks = Weeks()

    weeks.run("r1", shop, **model(from_scratch_every=1))

    assert not weeks.store.exists(RunKeys("r1").predecessor)
    assert not list(weeks.store.list(RunKeys("r1").model(MEASURED)))
    weeks.run("r2", shop)
    assert weeks.predecessor("r2") == Predecessor()


def test_the_model_that_the_next_measurement_goes_on_from_has_not_seen_what_was_held_out(
    weeks: Weeks, shop: Shop
) -> None:
    # GIVEN the same shop with its last four weeks told differently
    lines = shop.interactions.decode().splitlines()
    newest = [line.rsplit(",", 1)[1] >= "2025-12-07" for line in lines[1:]]
    told = [line.replace("item-00", "item-01") if new else line for line, new in zip(lines[1:], newest, strict=True)]
    changed = replace(shop, interactions="\n".join([lines[0], *told]).encode())

    # WHEN both are run
    other = Weeks()
    other.run("r1", changed)

    # THEN the measured models are the same, those on everything are not
    def objects(of: Weeks, part: str) -> list[bytes]:
        return [of.store.read(entry.key) for entry in of.store.list(RunKeys("r1").model(part))]

    assert any(newest)
    assert objects(weeks, MEASURED) == objects(other, MEASURED)
    assert objects(weeks, "fm/") != objects(other, "fm/")
