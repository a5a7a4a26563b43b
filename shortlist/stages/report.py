"""Report: manifests and metrics of a run in; report.json, report.html, its record and a message to the team out."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

import msgspec

from shortlist.contracts.attribution import Attribution, MailingReport
from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys, shard_of
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.metrics import RunMetrics
from shortlist.contracts.payloads import Run
from shortlist.contracts.records import campaign_run
from shortlist.contracts.report import Report, StageReport
from shortlist.contracts.stages import RESUMABLE_STAGES, STAGES_OF_MAP
from shortlist.errors import MissingObjectError
from shortlist.notices import ended as ended_notice
from shortlist.ports import Clock, Ledger, Notifier, ObjectStore, RunsTable
from shortlist.report.page import page
from shortlist.report.plots import draw
from shortlist.report.summarize import start_of, summarize
from shortlist.stages.outcome import record_outcome
from shortlist.stages.resume import Work, peak_rss_mib, read_campaign, run_once

_READERS: Final = 16
SHOWN_ITEMS: Final = 10
"""Products named of each earlier mailing; attribution.json has more."""


def report(
    run: Run, *, store: ObjectStore, runs: RunsTable, ledger: Ledger, notifier: Notifier, clock: Clock
) -> tuple[Manifest, bool]:
    """Put the run's figures together, once for every change of them, and record how the run ended."""
    keys = RunKeys(run.run_id)
    pinned = msgspec.json.decode(store.read(keys.run), type=PinnedRun)
    run = msgspec.structs.replace(run, as_of=pinned.as_of)
    campaign = read_campaign(run.run_id, store=store)
    metrics = msgspec.json.decode(store.read(keys.metrics), type=RunMetrics)
    manifests = read_manifests(run, store=store)
    mailings = _mailings(run, store=store, ledger=ledger)

    def work() -> Work:
        began = clock.now()
        figures = summarize(run, campaign, manifests, metrics, began, mailings)
        plots = draw(figures)
        figures = _with_this_stage(figures, began, clock.now(), start_of(run, manifests, began))
        html = page(figures, plots)
        outputs = {
            keys.report_html: store.write(keys.report_html, html.encode()),
            keys.report_json: store.write(keys.report_json, msgspec.json.format(msgspec.json.encode(figures))),
        }
        if figures.status != "held_back":  # HoldBack has told the team already
            notice = ended_notice(figures, keys.report_html)
            notifier.notify(notice.subject, notice.body)
        return Work(outputs, {"status": figures.status})

    inputs = {
        "manifests": [manifest.digest() for manifest in manifests],
        "metrics": msgspec.to_builtins(metrics),
        "send": run.send,
        "mailings": msgspec.to_builtins(mailings),
    }
    manifest, skipped = run_once("Report", run, inputs, work, store=store, clock=clock)
    written = store.read(keys.report_json)
    ended = msgspec.json.decode(written, type=Report)
    record_outcome(run, ended.status, " ".join(ended.gate.reasons), runs=runs, clock=clock, report=written.decode())
    return manifest, skipped


def read_manifests(run: Run, *, store: ObjectStore) -> Sequence[Manifest]:
    """The manifests of the stages that are complete, in their order; of shards only those that the run has now."""
    keys = RunKeys(run.run_id)
    standing = {entry.key for entry in store.list(keys.manifests())}
    wanted = [key for key in _manifest_keys(keys, store=store) if key in standing]
    with ThreadPoolExecutor(_READERS) as pool:
        return [msgspec.json.decode(raw, type=Manifest) for raw in pool.map(store.read, wanted)]


def _mailings(run: Run, *, store: ObjectStore, ledger: Ledger) -> list[MailingReport]:
    """What Prepare found of the campaign's earlier mailings, with what the mail service has told of their messages."""
    try:
        found = msgspec.json.decode(store.read(RunKeys(run.run_id).attribution), type=list[Attribution])
    except MissingObjectError:
        return []
    told = [ledger.mailing_state(run.campaign, campaign_run(run.campaign, one.run_id)) for one in found]
    return [
        MailingReport(
            attribution=msgspec.structs.replace(one, items=one.items[:SHOWN_ITEMS]),
            delivered=state.delivered,
            bounced=state.bounced,
            complained=state.complained,
        )
        for one, state in zip(found, told, strict=True)
    ]


def _manifest_keys(keys: RunKeys, *, store: ObjectStore) -> Iterator[str]:
    shards = {
        "Recommend": [shard_of(entry.key) for entry in store.list(keys.user_shards)],
        "SendEmails": [shard_of(entry.key) for entry in store.list(keys.recipient_shards)],
    }
    map_of = {stage: state for state, stages in STAGES_OF_MAP.items() for stage in stages}
    for stage in RESUMABLE_STAGES:
        if stage in map_of:
            yield from (keys.manifest(stage, shard) for shard in shards[map_of[stage]])
        elif stage != "Report":
            yield keys.manifest(stage)


def _with_this_stage(figures: Report, began: datetime, ended: datetime, start: datetime) -> Report:
    """Report is a stage too; it counts itself up to the drawing of its plots, which is most of its work."""
    this = StageReport(
        name="Report",
        seconds=round((ended - began).total_seconds(), 3),
        peak_rss_mib=round(peak_rss_mib(), 1),
        started_s=round((began - start).total_seconds(), 3),
        ended_s=round((ended - start).total_seconds(), 3),
        ran_as="function",
    )
    return msgspec.structs.replace(
        figures, stages=(*figures.stages, this), seconds_total=round((ended - start).total_seconds(), 3)
    )
