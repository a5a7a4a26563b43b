"""What the command line shows: an execution while it runs, a report and the lists as tables."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shortlist.aws.clock import SystemClock
from shortlist.aws.progress import Progress, StateProgress, follow
from shortlist.contracts.lists import ListedItem
from shortlist.contracts.records import RunRecord
from shortlist.contracts.report import Report

_MARKS: Final = {
    "waiting": ("·", "dim"),
    "running": ("●", "cyan"),
    "done": ("✓", "green"),
    "failed": ("✗", "red"),
}
_SERIES: Final = {"model": "this model", "popularity": "popularity", "buy_it_again": "bought before"}


def watch(client: Any, execution_arn: str, console: Console, *, every_s: float = 1.0) -> Progress:
    """Show an execution until it ends: a live table on a terminal, a line for each change elsewhere.

    Args:
        client: a boto3 Step Functions client.

    Returns:
        The last look.
    """
    looks = follow(client, execution_arn, clock=SystemClock(), every_s=every_s)
    with _live(console) as live:
        told: dict[str, str] = {}
        for progress in looks:
            if live is not None:
                live.update(_progress_table(progress))
            else:
                for line in _changes(progress, told):
                    console.print(line, highlight=False, markup=False)
    return progress


@contextmanager
def _live(console: Console) -> Iterator[Live | None]:
    if not console.is_terminal:
        yield None
        return
    with Live(console=console, refresh_per_second=8) as live:
        yield live


def _progress_table(progress: Progress) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for state in progress.states:
        mark, style = _MARKS[state.status]
        bar = ProgressBar(total=state.total, completed=state.done, width=24) if state.total else Text("")
        seconds = f"{state.seconds:.1f} s" if state.status != "waiting" else ""
        table.add_row(Text(mark, style), Text(state.name, style), bar, Text(_note(state), "dim"), Text(seconds))
    table.add_row("", Text(progress.status.lower(), "bold"), "", "", f"{progress.seconds:.1f} s")
    return table


def _changes(progress: Progress, told: dict[str, str]) -> Iterator[str]:
    """Lines for states that look different from the last time; `told` remembers what was said of each."""
    for state in progress.states:
        if state.status == "waiting":
            continue
        note = _note(state)
        line = f"{_MARKS[state.status][0]} {state.name:<12} {state.status}{': ' + note if note else ''}"
        if told.get(state.name) != line:
            told[state.name] = line
            yield line if state.status == "running" else f"{line}  {state.seconds:.1f} s"


def _note(state: StateProgress) -> str:
    parts = []
    if state.total:
        parts.append(f"{state.done}/{state.total} shards")
    if state.failed:
        parts.append(f"{state.failed} failed")
    if state.name == "RequestApproval" and state.status == "running":
        parts.append("`shortlist campaign approve RUN_ID` or `reject`, elsewhere")
    if state.retries:
        parts.append(f"{state.retries} retried")
    return ", ".join(parts)


def report_table(report: Report) -> Group:
    """What the run did, and its recall beside the baselines' for each list kind."""
    title = f"{report.campaign} · {report.run_id} · {report.status}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("list")
    for name in _SERIES.values():
        table.add_column(f"{name}\nrecall@{report.metrics.x}", justify="right")
    for kind, figures in report.metrics.kinds.items():
        by_name = figures.by_name
        cells = [f"{by_name[name].recall_at_x:.4f}" if name in by_name else "" for name in _SERIES]
        table.add_row(kind.replace("_", " "), *cells)
    counts = report.counts
    totals = Text(
        f"{counts.interactions:,} interactions of {counts.users:,} users with {counts.items:,} items, "
        f"{counts.rejected:,} rows rejected\n{report.lists_written:,} lists stored, {report.mails_sent:,} mails sent, "
        f"{report.mails_suppressed:,} suppressed, {report.seconds_total:.1f} s"
    )
    return Group(table, totals)


def runs_table(runs: Sequence[tuple[RunRecord, Report | None]], current: Collection[str]) -> Group:
    """Runs as they are given, the published ones marked; below, what is to be said of the newest."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("", "run", "status", "started (UTC)", "lists", "mails", "recall"):
        justify: JustifyMethod = "right" if name in ("lists", "mails", "recall") else "left"
        table.add_column(name, justify=justify, no_wrap=name != "run", overflow="fold")
    for record, report in runs:
        figures = (
            (f"{report.lists_written:,}", f"{report.mails_sent:,}", f"{report.metrics.recall_at_x:.4f}")
            if report is not None
            else ("", "", "")
        )
        mark = "→" if record.run_id in current else ""
        started = record.started_at[:16].replace("T", " ")
        table.add_row(mark, Text(record.run_id), record.status, started, *figures)
    messages = [Text(f"\n{record.run_id}: {record.message}") for record, _ in runs[:1] if record.message]
    return Group(table, *messages)


def list_table(title: str, items: tuple[ListedItem, ...], reasons: list[str]) -> Table:
    """A list, best first."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("", "item", "title", "score", "why"):
        table.add_column(name, justify="right" if name in ("", "score") else "left")
    for place, (item, reason) in enumerate(zip(items, reasons, strict=True), 1):
        table.add_row(str(place), Text(item.item_id), Text(item.title), f"{item.score:.4f}", Text(reason))
    return table
