"""`shortlist tune`: a shop's tables and a campaign file in; the file with better settings, and a plot, out.

Works on the files alone: nothing is uploaded, no deployment is asked.
"""

import io
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from ruamel.yaml import YAML

from shortlist.campaigns import campaign_from_yaml
from shortlist.commands.upload import files_of
from shortlist.config import Campaign, Model
from shortlist.dataset.build import build
from shortlist.dataset.dataset import Dataset
from shortlist.dataset.intake import take_in
from shortlist.errors import ContractError
from shortlist.report.tuning_plot import tuning_plot
from shortlist.tuning.search import Trial, Tuned, tune
from shortlist.tuning.validation import Validation

Tables = Mapping[str, Path | None]
_OTHERS: Final[Tables] = {"offers": None, "blocks": None}
"""Input tables that have no part in training."""
_WIDE: Final = 4096
"""Lines of the campaign file are not broken anew."""


def tune_campaign(
    path: Path, tables: Tables, *, minutes: float, n_trials: int | None, as_of: datetime, out: Path, console: Console
) -> None:
    """Search for `minutes`, then write what was found into the campaign file at `path`.

    Args:
        tables: name of each input table -> its file or folder.
        n_trials: at most so many, those of an earlier search on the same purchases included.
        as_of: purchases after it are refused.
        out: folder for the plot and the journal, from which a search that was cut off goes on.

    Raises:
        ContractError: the campaign file or the tables cannot be used together.
        DatasetError: the tables cannot be used, or have nothing to choose by.
    """
    started = time.monotonic()
    campaign = campaign_from_yaml(path.read_bytes(), path.name, path.stem)
    with console.status("Reading the tables"):
        dataset = read_tables(campaign, tables, as_of)
    validation = Validation.of(dataset, campaign.evaluation, campaign.x, campaign.model.seed)
    console.print(
        f"{len(validation.known):,} interactions to learn from. Settings are chosen by recall@{campaign.x} of what was "
        f"new to {len(validation.users):,} users. Split of what a run does not hold out: {validation.split}.",
        highlight=False,
        soft_wrap=True,
    )
    out.mkdir(parents=True, exist_ok=True)

    def tell(trial: Trial, best: Trial) -> None:
        ended = "" if trial.complete else ", ended early"
        console.print(
            f"{time.monotonic() - started:5.0f} s  trial {trial.number}: {trial.recall:.4f} after {trial.epochs} epochs"
            f"{ended}; best {best.recall:.4f} (trial {best.number})",
            highlight=False,
        )

    tuned = tune(
        validation,
        campaign.model,
        seconds=minutes * 60,
        n_trials=n_trials,
        journal=out / f"tuning-{campaign.name}.journal",
        on_trial=tell,
    )
    plot = out / f"tuning-{campaign.name}.png"
    tuning_plot(tuned, campaign.x).savefig(plot, dpi=150)
    changed = changes(campaign.model, tuned.model)
    if changed:
        path.write_bytes(with_settings(path.read_bytes(), changed))
        campaign_from_yaml(path.read_bytes(), path.name, path.stem)
    console.print(_said(tuned, changed, path, plot), highlight=False, markup=False, soft_wrap=True)


def read_tables(campaign: Campaign, tables: Tables, as_of: datetime) -> Dataset:
    """The dataset as Prepare would build it."""
    for table, origin in (("items", campaign.input.items_from), ("users", campaign.input.users_from)):
        if origin == "interactions" and tables[table] is not None:
            raise ContractError(f"the campaign takes the {table} from the interactions. Cure: leave out `--{table}`.")
    files = {name: [(file, file.name) for file in files_of(file)] for name, file in {**_OTHERS, **tables}.items()}
    moment = int(as_of.timestamp())
    intake = take_in(files, campaign.input, moment, lambda event, figures: None)
    built = build(intake.purchases, intake.items, intake.users, campaign.evaluation, offers=intake.offers, as_of=moment)
    return built.dataset


def changes(before: Model, after: Model) -> dict[str, bool | float | int | str | None]:
    """The settings of `after` that are not those of `before`."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    return {name: value for name, value in new.items() if value != old[name]}


def with_settings(raw: bytes, settings: Mapping[str, bool | float | int | str | None]) -> bytes:
    """A campaign file with these settings below `model`; comments, order and quotes of the rest stay."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDE
    document = yaml.load(raw)
    if document.get("model") is None:
        document["model"] = {}
    for name, value in settings.items():
        document["model"][name] = value
    written = io.BytesIO()
    yaml.dump(document, written)
    return written.getvalue()


def _said(tuned: Tuned, changed: Mapping[str, object], path: Path, plot: Path) -> str:
    now = next((trial for trial in tuned.trials if trial.number == 0), tuned.best)
    lines = [f"Recall {tuned.best.recall:.4f}, with the settings as they were {now.recall:.4f} ({plot})."]
    lines += [f"  {name}: {value}" for name, value in changed.items()]
    lines.append(f"Written into {path}." if changed else f"Nothing better was found; {path} is as it was.")
    if tuned.importance:
        first = sorted(tuned.importance.items(), key=lambda entry: -entry[1])[:3]
        lines.append("What mattered most: " + ", ".join(f"{name} ({share:.0%})" for name, share in first) + ".")
    return "\n".join(lines)
