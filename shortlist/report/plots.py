"""A `Report` comes in; its plots go out as SVG whose colours are the page's own, so that they follow light and dark."""

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shortlist.contracts.metrics import GroupMetrics
from shortlist.contracts.report import Figures, KindFigures, Report, StageReport

SERIES: Final = {
    "model": "this model",
    "popularity": "popularity",
    "buy_it_again": "bought before",
    "published": "published run",
}
"""Series -> its name for people; also the page's colour variable."""
KIND_TITLES: Final = {"everything": "Everything", "new_for_you": "New for you", "buy_again": "Buy again"}

# matplotlib knows no CSS variable: it draws in colours that nobody uses, which then become the page's variables.
_COLOURS: Final = {
    "ink": "#010101",
    "muted": "#010102",
    "line": "#010103",
    "model": "#010104",
    "popularity": "#010105",
    "buy_it_again": "#010106",
    "published": "#010109",
    "work": "#010107",
    "memory": "#010108",
}
_WIDTH: Final = 4.4  # inches: about a phone's width, so that the text stays readable there
_ROW: Final = 0.29
_LABEL_HEIGHT: Final = 0.08  # of the activity plot's largest value


def draw(report: Report) -> dict[str, str]:
    """The page's plots by name: `recall`, `timeline`, `memory`; `activity` and `training` where there is something."""
    plots = {"recall": recall_plot(report), "timeline": timeline_plot(report), "memory": memory_plot(report)}
    if any(one.purpose == "everything" for one in report.metrics.epochs):
        plots["training"] = training_plot(report)
    if tenths(report.metrics.kinds[report.lists[0]]):
        plots["activity"] = activity_plot(report)
    return plots


def activity_plot(report: Report) -> str:
    """Lines of recall on the first list, from the tenth of the users who had bought least to that who had most."""
    groups = tenths(report.metrics.kinds[report.lists[0]])
    with _style():
        figure, axes = _figure(7)
        places = range(1, len(groups) + 1)
        lines = {series: [group.recall[series] for group in groups] for series in groups[0].recall}
        lines = {series: recalls for series, recalls in lines.items() if any(recalls)}
        gap = _LABEL_HEIGHT * max(map(max, lines.values()), default=1.0)
        lowest = -gap
        for series, recalls in sorted(lines.items(), key=lambda line: line[1][-1]):
            axes.plot(places, recalls, color=_COLOURS[series], marker="o", markersize=3.5, linewidth=1.6)
            lowest = max(recalls[-1], lowest + gap)  # where two lines end together one label stands above the other
            _beside(axes, places[-1], lowest, SERIES[series], bold=series == "model")
        axes.grid(axis="y")
        axes.set_xticks(places)
        axes.set_xlim(0.6, len(groups) * 1.4)
        axes.set_ylim(0, lowest + gap)
        axes.set_xlabel("tenths of the customers, by what they had bought before")
        axes.set_ylabel(f"recall@{report.metrics.x}")
        return _svg(figure, "activity", f"Recall at {report.metrics.x} by how much customers had bought before")


def training_plot(report: Report) -> str:
    """The loss after each epoch of the fit that is published; and, where fits stop early, the recall that decided."""
    epochs = report.metrics.epochs
    loss = [(one.epoch, one.loss) for one in epochs if (one.purpose, one.fit) == ("everything", "final")]
    recall = [(one.epoch, one.recall) for one in epochs if one.purpose == "measurement" and one.recall is not None]
    with _style():
        figure, axes = _figure(7)
        axes.plot(*zip(*loss, strict=True), color=_COLOURS["work"], marker="o", markersize=3.5, linewidth=1.6)
        axes.set_ylabel("loss, published fit", color=_COLOURS["work"])
        axes.set_xlabel("epochs")
        axes.set_xticks(range(1, max(len(loss), len(recall)) + 1))
        axes.margins(y=0.15)
        if recall:
            beside = axes.twinx()
            beside.plot(*zip(*recall, strict=True), color=_COLOURS["model"], marker="o", markersize=3.5, linewidth=1.6)
            beside.set_ylabel("recall a horizon ago", color=_COLOURS["model"])
            beside.margins(y=0.15)
        return _svg(figure, "training", "Loss and recall after each epoch of the training")


def tenths(figures: KindFigures) -> list[GroupMetrics]:
    """The groups by activity, from the least active on."""
    return [group for group in figures.groups if group.name.startswith("activity")]


def recall_plot(report: Report) -> str:
    """Bars of recall by list kind, the model above its baselines."""
    kinds = {KIND_TITLES[kind]: figures.by_name for kind, figures in report.metrics.kinds.items() if figures.users}
    rows = sum(len(shown(named)) + 1 for named in kinds.values())
    with _style():
        figure, axes = _figure(rows)
        place, labels = 0.0, []
        for title, named in kinds.items():
            axes.text(0, place, title, va="center", weight="bold")
            labels.append("")
            for series, figures in shown(named).items():
                place += 1
                axes.barh(place, figures.recall_at_x, height=0.72, color=_COLOURS[series])
                _beside(axes, figures.recall_at_x, place, f"{figures.recall_at_x:.3f}", bold=series == "model")
                labels.append(SERIES[series])
            place += 1
        _rows(axes, labels)
        axes.set_xlabel(f"recall@{report.metrics.x}")
        return _svg(figure, "recall", f"Recall at {report.metrics.x} of the model and its baselines")


def timeline_plot(report: Report) -> str:
    """A bar from start to end for every stage that this execution has run."""
    stages = [stage for stage in report.stages if stage.started_s is not None and stage.ended_s is not None]
    with _style():
        figure, axes = _figure(max(len(stages), 1))
        for place, stage in enumerate(stages):
            started, ended = stage.started_s or 0.0, stage.ended_s or 0.0
            axes.barh(place, ended - started, left=started, height=0.66, color=_COLOURS["work"])
            _beside(axes, ended, place, duration(ended - started))
        _rows(axes, [_stage_label(stage) for stage in stages])
        axes.set_xlabel("seconds since the start")
        return _svg(figure, "timeline", "When each stage worked")


def memory_plot(report: Report) -> str:
    """A bar of peak memory for every stage."""
    with _style():
        figure, axes = _figure(max(len(report.stages), 1))
        for place, stage in enumerate(report.stages):
            axes.barh(place, stage.peak_rss_mib, height=0.66, color=_COLOURS["memory"])
            _beside(axes, stage.peak_rss_mib, place, f"{stage.peak_rss_mib:,.0f}")
        _rows(axes, [stage.name for stage in report.stages])
        axes.set_xlabel("peak memory, MiB (of the largest shard)")
        return _svg(figure, "memory", "Peak memory of each stage")


def shown(named: Mapping[str, Figures]) -> dict[str, Figures]:
    """The model, and the baselines that could list anything: nobody has bought what is new to them."""
    return {name: figures for name, figures in named.items() if name == "model" or figures.coverage > 0}


def duration(seconds: float) -> str:
    """`7.25` -> `7.2 s`, `754` -> `12 min 34 s`, `7300` -> `2 h 1 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text: it takes the page's font and can be searched
            "font.size": 9.5,
            "text.color": _COLOURS["ink"],
            "axes.edgecolor": _COLOURS["line"],
            "axes.labelcolor": _COLOURS["muted"],
            "xtick.color": _COLOURS["muted"],
            "ytick.color": _COLOURS["ink"],
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "ytick.major.size": 0,
            "grid.color": _COLOURS["line"],
            "grid.linewidth": 0.6,
            "axes.axisbelow": True,
        }
    )


def _stage_label(stage: StageReport) -> str:
    return f"{stage.name} × {stage.shards}" if stage.shards else stage.name


def _figure(rows: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, rows * _ROW + 0.75), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="x")
    axes.locator_params(axis="x", nbins=5)
    axes.margins(x=0.16)
    return figure, axes


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlim(left=0)


def _beside(axes: Axes, value: float, place: float, text: str, *, bold: bool = False) -> None:
    axes.annotate(
        text,
        (value, place),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        weight="bold" if bold else "normal",
    )


def _svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an inline <svg>; the same figure gives the same text."""
    buffer = io.StringIO()
    metadata: Mapping[str, None] = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=dict(metadata))
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for variable, colour in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{variable.replace('_', '-')})")
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{label}"', svg, count=1)
