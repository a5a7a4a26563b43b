"""What the team is told: figures and failures in, a subject and a plain text body for SNS out."""

from collections.abc import Iterable
from typing import Final

import msgspec

from shortlist.contracts.lists import ListKind
from shortlist.contracts.metrics import HoldoutMetrics, ListMetrics, RunMetrics
from shortlist.contracts.payloads import Run
from shortlist.contracts.report import Report


class Notice(msgspec.Struct, frozen=True):
    """A message to the team."""

    subject: str
    body: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run failed, for people: the state, the shard where there is one, the sentence, and what to do."""

    state: str
    shard: str
    error: str
    sentence: str
    cure: str


_COLUMNS: Final = ("recall", "ndcg", "coverage")


def figures(metrics: HoldoutMetrics, lists: Iterable[ListKind]) -> str:
    """The metrics of these list kinds as a table in plain text, the model above its baselines."""
    kinds = [kind for kind in lists if kind in metrics.kinds]
    lines = [f"{'':<16}{f'recall@{metrics.x}':>12}{f'ndcg@{metrics.x}':>12}{'coverage':>12}"]
    for kind in kinds:
        measured = metrics.kinds[kind]
        lines.append(f"{kind} ({measured.users:,} users)")
        lines.append(_row("this model", measured.model))
        lines += [_row(name, baseline) for name, baseline in measured.baselines.items()]
    return "\n".join(lines)


def _row(name: str, metrics: ListMetrics) -> str:
    return f"  {name:<14}" + "".join(f"{getattr(metrics, column):>12.4f}" for column in _COLUMNS)


def held_back(run: Run, metrics: RunMetrics, lists: Iterable[ListKind], current_run: str) -> Notice:
    """The gate said no."""
    reasons = "\n".join(f"- {reason}" for reason in metrics.reasons)
    now = f"Customers still get the lists of run {current_run}." if current_run else "No run has been published so far."
    return Notice(
        f"Shortlist: {run.campaign} is held back",
        f"""The model of run {run.run_id} did not pass the quality gate. Nothing is published and nobody is mailed.
{now}

Why:
{reasons}

Measured on: {metrics.holdout.split}

{figures(metrics.holdout, lists)}

What to do:
1. Compare the counts and rejected rows of the run's report with last week's: a model is held back most often because a
   table came in half, twice or with ids that no longer match.
2. Mend the tables and resume:           shortlist rerun {run.run_id}
3. Or let this model through all the same: set evaluation.gate to false in the campaign file, then
                                         shortlist rerun {run.run_id} --from Evaluate
docs/runbook.md, "Held back", says more.
""",
    )


def approval_asked(
    run: Run, recipients: int, subject: str, metrics: RunMetrics, lists: Iterable[ListKind], preview_key: str
) -> Notice:
    """The run waits for the team."""
    return Notice(
        f"Shortlist: {run.campaign} waits for your approval",
        f"""The lists of run {run.run_id} are published. Nobody is mailed until you say so.

Recipients: {recipients:,} at most: who unsubscribed is left out when the messages go out.
Subject:    {subject or "(nobody has a list, so there is no message)"}
Message:    {preview_key} in the bucket, made out to nobody; or
            shortlist preview {run.campaign} --run {run.run_id} --open

Measured on: {metrics.holdout.split}

{figures(metrics.holdout, lists)}

Mail them:  shortlist campaign approve {run.run_id}
Do not:     shortlist campaign reject {run.run_id}
Without an answer within three days the run ends; resuming it asks again.
""",
    )


def ended(report: Report, page_key: str) -> Notice:
    """The run is through; its lists are published."""
    metrics, counts = report.metrics, report.counts
    rows = [
        ("customers with a list", report.lists_written),
        ("messages sent", report.mails_sent),
        ("left out, suppressed", report.mails_suppressed),
        ("refused", report.mails_rejected),
        ("no answer", report.mails_in_doubt),
        ("still waiting", report.mails_waiting),
        ("interactions used", counts.interactions),
        ("rows rejected", counts.rejected),
    ]
    baselines = "  ".join(
        f"{name} {figures.recall_at_x:.4f}" for name, figures in metrics.by_name.items() if name != "model"
    )
    table = "\n".join(f"{name:<24}{number:>14,}" for name, number in rows if number)
    doubts = "".join(f"- {reason}\n" for reason in report.gate.reasons)
    return Notice(
        f"Shortlist: {report.campaign} {report.status}",
        f"""Run {report.run_id} is {report.status} after {report.seconds_total:,.0f} seconds.

{table}

recall@{metrics.x} {metrics.recall_at_x:.4f}  ({baselines})
{doubts and "The gate is open; it would have said:" + chr(10) + doubts}
The page: {page_key} in the bucket.
To go back to the run before: shortlist publish RUN_ID (docs/runbook.md, "Roll back").
""",
    )


def failed(run: Run, why: Explanation, current_run: str) -> Notice:
    """The run stopped."""
    where = f"{why.state}, shard {why.shard}" if why.shard else why.state
    now = f"Customers still get the lists of run {current_run}." if current_run else "No run has been published so far."
    if current_run == run.run_id:
        now = "The lists of this run are published; what comes after publishing is not finished."
    return Notice(
        f"Shortlist: {run.campaign} failed in {why.state}",
        f"""Run {run.run_id} stopped.
{now}

Where:      {where}
Error:      {why.error}
Why:        {why.sentence}
What to do: {why.cure}

Resume:     shortlist rerun {run.run_id}
What is complete is not made again, and nobody is mailed twice. docs/runbook.md has an entry for each error.
Execution:  {run.execution or "(unknown)"}
""",
    )
