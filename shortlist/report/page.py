"""A `Report` and its plots come in; one self-contained HTML page goes out."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import jinja2
from markupsafe import Markup

from shortlist.contracts.lists import ListKind
from shortlist.contracts.metrics import GroupMetrics
from shortlist.contracts.records import RunStatus
from shortlist.contracts.report import Report
from shortlist.lift import points
from shortlist.report.plots import KIND_TITLES, SERIES, duration, shown

STATUS_TITLES: Final[dict[RunStatus, str]] = {
    "running": "running",
    "completed": "completed",
    "published": "published, not mailed",
    "held_back": "held back",
    "failed": "failed",
    "stopped": "stopped",
}
_OUTCOMES: Final = (
    ("mails_sent", "sent", "sent"),
    ("mails_suppressed", "suppressed", "left out"),
    ("mails_rejected", "rejected", "refused by the mail service"),
    ("mails_in_doubt", "in-doubt", "no answer from the mail service; not sent again"),
    ("mails_without_list", "without-list", "nothing with a title on the list that is mailed"),
    ("mails_waiting", "waiting", "still waiting when the mailing ended"),
    ("mails_held_out", "held-out", "control group, not mailed"),
)


def page(report: Report, plots: Mapping[str, str]) -> str:
    """The page; it loads nothing from anywhere."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "count": _count,
        "share": _share,
        "size": _size,
        "duration": duration,
        "shown": shown,
        "points": points,
    }
    return templates.get_template("page.html.j2").render(
        report=report,
        plots={name: Markup(svg) for name, svg in plots.items()},  # noqa: S704  our own drawing, no text of the shop's
        status=STATUS_TITLES[report.status],
        kind_titles=KIND_TITLES,
        series=SERIES,
        outcomes=[(getattr(report, field), name, words) for field, name, words in _OUTCOMES],
        headline=_headline(report),
        newcomers=list(_newcomers(report)),
    )


def _newcomers(report: Report) -> Iterator[tuple[ListKind, GroupMetrics]]:
    """Figures of users and items that nobody had seen before, by list kind."""
    for kind, figures in report.metrics.kinds.items():
        yield from ((kind, group) for group in figures.groups if group.name.startswith("new "))


def _headline(report: Report) -> tuple[str, float, str, float]:
    """The list that is mailed, its recall, and its better baseline's name and recall."""
    kind = report.lists[0]
    measured = report.metrics.kinds.get(kind, report.metrics)
    recalls = {name: figures.recall_at_x for name, figures in measured.by_name.items() if name != "model"}
    best = max(recalls, key=recalls.__getitem__)
    return KIND_TITLES[kind], measured.recall_at_x, SERIES[best], recalls[best]


def _count(number: float) -> str:
    return f"{number:,}"


def _share(part: float, digits: int = 1) -> str:
    return f"{part:.{digits}%}"


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"
