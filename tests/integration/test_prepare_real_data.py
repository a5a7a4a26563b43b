"""Prepare on real files, with the campaigns that the repository ships for them."""

import os
from pathlib import Path

import numpy as np
import pytest

from local.demo.data import write_tables
from shortlist.campaigns import read_campaign_file
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.payloads import Run, StageRequest
from shortlist.dataset.dataset import Dataset
from shortlist.rules import allowed_items
from shortlist.stages.prepare import prepare
from tests.fakes import FixedClock, MemoryStore

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SHORTLIST_DATA", ROOT.parent / "shared" / "data"))


def outside(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there; SHORTLIST_DATA names the folder of the data sets")
    return path


def prepared(campaign: str, files: dict[str, Path]) -> tuple[Dataset, dict]:
    store = MemoryStore()
    for table, path in files.items():
        store.write(f"input/{table}/{path.name}", path.read_bytes())
    run = Run(run_id="real", campaign=campaign, as_of="2026-01-05T06:00:00Z")
    manifest, _ = prepare(StageRequest(run=run), store=store, clock=FixedClock(), shipped_campaigns=ROOT / "campaigns")
    return Dataset.from_files(lambda name: store.read(RunKeys("real").dataset(name))), manifest.summary


def test_a_year_of_groceries(tmp_path):
    dataset, summary = prepared("weekly-picks", write_tables(tmp_path))

    assert (summary["users"], summary["items"], summary["interactions"]) == (2_469, 68_509, 1_469_307)
    assert (summary["rejected"], summary["unknown_users"]) == (0, 0)
    assert summary["mailable"] + summary["no_address"] + summary["unsubscribed"] == 2_469
    assert "department=GROCERY" in dataset.item_features.names.to_list()
    assert 0 < dataset.interactions.held_out.mean() < 0.1


def test_films_and_stars():
    folder = outside("ml-latest-small")

    dataset, summary = prepared("movielens", {"interactions": folder / "ratings.csv", "items": folder / "movies.csv"})

    assert (summary["users"], summary["items"], summary["rejected"]) == (671, 9_125, 0)
    assert (summary["interactions"], summary["ignored"]["value"]) == (100_004, 0)
    assert "genres=Comedy" in dataset.item_features.names.to_list()


def test_invoice_lines_of_a_wholesaler():
    dataset, summary = prepared("online-retail", {"interactions": outside("online-retail/online_retail.parquet")})

    assert (summary["users"], summary["items"], summary["interactions"]) == (4_339, 3_665, 397_924)
    assert summary["interactions"] + summary["ignored"]["user_id"] == 531_282
    assert "17850" in dataset.user_ids.to_list()
    assert "0" not in dataset.user_ids.to_list()
    assert "Country=France" in dataset.user_features.names.to_list()
    assert all(dataset.catalogue.title.to_list())
    assert not np.isnan(dataset.catalogue.price).any()
    barred = ~allowed_items(dataset.catalogue, read_campaign_file(ROOT / "campaigns" / "online-retail.yaml").rules, 0)
    assert {dataset.catalogue.title[row] for row in np.flatnonzero(barred)} == {
        "POSTAGE", "DOTCOM POSTAGE", "CARRIAGE", "Manual", "Bank Charges",
    }  # fmt: skip
