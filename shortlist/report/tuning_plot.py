"""What `shortlist tune` tried in; a figure that shows what mattered out: recall by the value of each setting."""

from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from shortlist.tuning.search import CHOICES, Setting, Trial, Tuned

_COLUMNS: Final = 4
_ENDED, _COMPLETE, _BEST = "#b0b7c3", "#2f6db5", "#d1495b"


def tuning_plot(tuned: Tuned, x: int) -> Figure:
    """A panel a setting, those that explain most first; trials that were ended early are pale, the best is marked."""
    names = sorted(tuned.best.settings, key=lambda name: -tuned.importance.get(name, 0))
    rows = -(-len(names) // _COLUMNS)
    figure = Figure(figsize=(3 * _COLUMNS, 2.5 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False).ravel()
    for panel, name in zip(panels, names, strict=False):
        _panel(panel, name, tuned)
        share = tuned.importance.get(name)
        panel.set_title(name if share is None else f"{name}: {share:.0%}", fontsize=10)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    for panel in panels[::_COLUMNS]:
        panel.set_ylabel(f"recall@{x}")
    explained = "; share of the differences explained" if tuned.importance else ""
    figure.suptitle(f"{len(tuned.trials)} trials, chosen on: {tuned.split}{explained}")
    return figure


def _panel(panel: Axes, name: str, tuned: Tuned) -> None:
    places, labels = _places(name, [trial.settings[name] for trial in tuned.trials])
    for trials, colour, size in (
        ([trial for trial in tuned.trials if not trial.complete], _ENDED, 14),
        ([trial for trial in tuned.trials if trial.complete], _COMPLETE, 22),
        ([tuned.best], _BEST, 60),
    ):
        _dots(panel, [places[trial.settings[name]] for trial in trials], trials, colour, size)
    if labels:
        panel.set_xticks(range(len(labels)), labels)
        panel.set_xlim(-0.5, len(labels) - 0.5)
    else:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_locator(NullLocator())
    panel.grid(alpha=0.3)


def _dots(panel: Axes, places: Sequence[float], trials: Sequence[Trial], colour: str, size: int) -> None:
    panel.scatter(places, [trial.recall for trial in trials], s=size, color=colour, linewidths=0, alpha=0.8)


def _places(name: str, values: Sequence[Setting]) -> tuple[Mapping[Setting, float], list[str]]:
    """Where each value stands on the axis; labels where there are a few choices, none where it is a number."""
    if name in CHOICES:
        ordered = sorted(set(values), key=lambda value: (value is not None, value or 0))
        return {value: place for place, value in enumerate(ordered)}, [_label(value) for value in ordered]
    return {value: float(value or 0) for value in values}, []


def _label(value: Setting) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
