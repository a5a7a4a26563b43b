"""`shortlist tune` on a shop with a known truth: better settings, repeatable, never chosen on what is held out."""

import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from shortlist.campaigns import campaign_from_yaml
from shortlist.commands.tune import changes, read_tables, tune_campaign, with_settings
from shortlist.config import Campaign, Evaluation, Model
from shortlist.dataset.dataset import Dataset
from shortlist.errors import DatasetError
from shortlist.report.tuning_plot import tuning_plot
from shortlist.tuning.search import Trial, Tuned, tune
from shortlist.tuning.validation import Validation
from tests.shop import END, Shop, make_shop

CAMPAIGN = b"""# Our campaign.
name: shop
x: 6   # short lists
lists: [everything, new_for_you]
input:
  items:
    features: {aisle: categorical}
model:
  # Far too strong: everybody gets zeros.
  regularization: 2000
  n_factors: 8  # few
"""
BAD = Model(n_factors=8, regularization=2000.0)


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop()


@pytest.fixture(scope="module")
def tables(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("shop")
    found = {}
    for name in ("interactions", "items", "users"):
        found[name] = folder / f"{name}.csv"
        found[name].write_bytes(getattr(shop, name))
    return found


@pytest.fixture(scope="module")
def dataset(tables: dict[str, Path]) -> Dataset:
    return read_tables(campaign_from_yaml(CAMPAIGN, "shop.yaml", "shop"), tables, END)


@pytest.fixture(scope="module")
def validation(dataset: Dataset) -> Validation:
    return Validation.of(dataset, Evaluation(), 6, seed=42)


def test_bad_settings_are_left_for_better_ones(validation: Validation) -> None:
    heard: list[int] = []

    tuned = tune(validation, BAD, seconds=600, n_trials=6, on_trial=lambda trial, best: heard.append(trial.number))

    now = tuned.trials[0]
    assert now.settings["regularization"] == 2000
    assert tuned.best.recall > now.recall
    assert tuned.model.regularization < 2000
    assert tuned.model.epochs == tuned.best.epochs
    assert heard == list(range(6))
    assert not all(trial.complete for trial in tuned.trials)  # those that fell behind ended early
    assert tuned.best.recall == max(trial.recall for trial in tuned.trials)


def test_the_same_search_finds_the_same_and_one_cut_off_goes_on(validation: Validation, tmp_path: Path) -> None:
    class CutOffError(Exception):
        pass

    def interrupt(trial: Trial, best: Trial) -> None:
        if trial.number == 2:
            raise CutOffError

    journal = tmp_path / "journal"
    with pytest.raises(CutOffError):
        tune(validation, BAD, seconds=600, n_trials=4, journal=journal, on_trial=interrupt)
    resumed = tune(validation, BAD, seconds=600, n_trials=4, journal=journal)
    one, again = (tune(validation, BAD, seconds=600, n_trials=3) for _ in range(2))

    assert one.trials == again.trials
    assert resumed.trials[:3] == one.trials
    assert len(resumed.trials) == 4


def test_the_first_trial_runs_to_its_end_whatever_the_budget(validation: Validation) -> None:
    tuned = tune(validation, BAD, seconds=1e-9)

    assert [trial.complete for trial in tuned.trials] == [True]
    assert changes(BAD, tuned.model).keys() <= {"epochs"}


def test_what_is_held_out_has_no_part_in_the_choice(dataset: Dataset, validation: Validation) -> None:
    # GIVEN the same purchases with other items in the held-out weeks
    rows = dataset.interactions
    other = np.where(rows.held_out, (rows.item_row + 1) % len(dataset.item_ids), rows.item_row)

    # WHEN the validation purchases are taken from them
    same = Validation.of(replace(dataset, interactions=replace(rows, item_row=other)), Evaluation(), 6, seed=42)

    # THEN they are the same, and older than anything held out
    assert same.fingerprint() == validation.fingerprint()
    held_out_since = rows.timestamp[rows.held_out].min()
    assert validation.known.timestamp.max() < held_out_since - 27 * 86_400
    assert "last 28 days, after 2025-11" in validation.split


def test_a_history_too_short_to_choose_by_is_refused(dataset: Dataset) -> None:
    rows = dataset.interactions
    one_day = replace(dataset, interactions=replace(rows, timestamp=np.full_like(rows.timestamp, rows.timestamp[0])))

    with pytest.raises(DatasetError, match="nothing to choose settings by"):
        Validation.of(one_day, Evaluation(), 6, seed=42)


def test_settings_are_written_and_comments_stay() -> None:
    written = with_settings(CAMPAIGN, {"regularization": 0.5, "half_life_days": None, "epochs": 7})

    expected = CAMPAIGN.replace(b"regularization: 2000", b"regularization: 0.5")
    assert written == expected + b"  half_life_days: null\n  epochs: 7\n"
    assert campaign_from_yaml(written, "shop.yaml", "shop").model == Model(
        n_factors=8, regularization=0.5, half_life_days=None, epochs=7
    )


def test_a_file_without_model_gets_one() -> None:
    written = with_settings(b"name: shop  # ours\n", {"epochs": 3})

    assert written == b"name: shop  # ours\nmodel:\n  epochs: 3\n"


def test_the_command_rewrites_the_campaign_and_shows_what_mattered(tables: dict[str, Path], tmp_path: Path) -> None:
    # GIVEN a campaign file with bad settings
    path = tmp_path / "shop.yaml"
    path.write_bytes(CAMPAIGN)
    console = Console(record=True, width=200, file=io.StringIO())

    # WHEN it is tuned
    tune_campaign(path, tables, minutes=10, n_trials=4, as_of=END + timedelta(days=1), out=tmp_path, console=console)

    # THEN the file has others, its comments stand, and what chose is told
    campaign: Campaign = campaign_from_yaml(path.read_bytes(), path.name, "shop")
    assert campaign.model.regularization < 2000
    assert b"# Far too strong" in path.read_bytes()
    assert (tmp_path / "tuning-shop.png").stat().st_size > 10_000
    said = console.export_text()
    assert "last 28 days, after 2025-11" in said
    assert "trial 3:" in said


def test_the_plot_has_a_panel_for_each_setting_and_the_most_important_first() -> None:
    settings = {"saturation": 1.0, "half_life_days": None, "regularization": 0.5}
    trials = (
        Trial(0, settings, 0.1, 3, complete=True),
        Trial(1, settings | {"saturation": None}, 0.2, 2, complete=False),
    )
    tuned = Tuned(Model(), trials[1], trials, {"saturation": 0.9}, "last 28 days")

    figure = tuning_plot(tuned, 6)

    titles = [panel.get_title() for panel in figure.axes if panel.get_visible()]
    assert titles[0] == "saturation: 90%"
    assert titles[1:] == ["half_life_days", "regularization"]
