"""Manifests and metrics of a run come in, its `Report` goes out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from shortlist.config import Campaign
from shortlist.contracts.attribution import MailingReport
from shortlist.contracts.lists import ListKind
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.metrics import EpochFigures, KindMetrics, ListMetrics, RunMetrics
from shortlist.contracts.payloads import Run
from shortlist.contracts.records import RunStatus
from shortlist.contracts.report import (
    Counts,
    Figures,
    GateReport,
    IndexReport,
    KindFigures,
    ListsReport,
    Metrics,
    Report,
    StageReport,
)
from shortlist.contracts.stages import RESUMABLE_STAGES, STAGES_OF_MAP
from shortlist.contracts.summaries import PrepareSummary, RankSummary, SendEmailsSummary, WriteTopXSummary

SHARD_STAGES: Final = tuple(stage for stages in STAGES_OF_MAP.values() for stage in stages)
WORST_REASONS: Final = 20


def summarize(
    run: Run,
    campaign: Campaign,
    manifests: Sequence[Manifest],
    metrics: RunMetrics,
    now: datetime,
    mailings: Sequence[MailingReport] = (),
) -> Report:
    """Put the figures of a run together.

    Args:
        manifests: of every stage and shard that is complete; Prepare is among them.
        now: aware; ends `seconds_total`.
    """
    by_stage: dict[str, list[Manifest]] = {}
    for manifest in manifests:
        by_stage.setdefault(manifest.stage, []).append(manifest)
    prepare = msgspec.convert(by_stage["Prepare"][0].summary, PrepareSummary)
    written = [msgspec.convert(m.summary, WriteTopXSummary) for m in by_stage.get("WriteTopX", [])]
    mailed = [msgspec.convert(m.summary, SendEmailsSummary) for m in by_stage.get("SendEmails", [])]
    start = start_of(run, manifests, now)
    return Report(
        run_id=run.run_id,
        campaign=run.campaign,
        status=_status(campaign, metrics.publish, bool(mailed)),
        as_of=run.as_of,
        lists=campaign.lists,
        counts=Counts(
            users=prepare.users,
            items=prepare.items,
            interactions=prepare.interactions,
            rejected=prepare.rejected,
        ),
        made=_made([msgspec.convert(m.summary, RankSummary) for m in by_stage.get("Rank", [])]),
        lists_written=sum(shard.lists_written for shard in written),
        mails_sent=sum(shard.sent for shard in mailed),
        mails_suppressed=sum(shard.suppressed for shard in mailed),
        mails_rejected=sum(shard.rejected for shard in mailed),
        mails_in_doubt=sum(shard.in_doubt for shard in mailed),
        mails_without_list=sum(shard.without_list for shard in mailed),
        mails_waiting=sum(shard.waiting for shard in mailed),
        mails_held_out=sum(shard.held_out for shard in mailed),
        suppressed_by_cause=_causes(mailed),
        mailable=prepare.mailable,
        campaign_source=prepare.campaign_source,
        metrics=_metrics(metrics, campaign.lists[0]),
        index=msgspec.convert(msgspec.to_builtins(metrics.index), IndexReport),
        gate=GateReport(publish=metrics.publish, reasons=metrics.reasons, published_run=metrics.published_run),
        stages=tuple(_stages(by_stage, start)),
        seconds_total=round((now - start).total_seconds(), 3),
        reject_reasons=prepare.reject_reasons[:WORST_REASONS],
        mailings=tuple(mailings),
    )


def start_of(run: Run, manifests: Iterable[Manifest], now: datetime) -> datetime:
    """When the execution started; by its first stage where the state machine did not say."""
    if run.started_at:
        return datetime.fromisoformat(run.started_at)
    return min((datetime.fromisoformat(m.started_at) for m in manifests if m.started_at), default=now)


def _made(ranked: Sequence[RankSummary]) -> ListsReport:
    short: Counter[ListKind] = Counter()
    reasons: Counter[str] = Counter()
    for shard in ranked:
        short.update(shard.short)
        reasons.update(shard.reasons)
    return ListsReport(
        places=sum(shard.listed for shard in ranked),
        filled=sum(shard.filled for shard in ranked),
        short=dict(short),
        reasons=dict(reasons.most_common()),
    )


def _causes(mailed: Iterable[SendEmailsSummary]) -> dict[str, int]:
    causes: Counter[str] = Counter()
    for shard in mailed:
        causes.update(shard.suppressed_by_cause)
    return {cause: count for cause, count in causes.most_common() if count}


def _status(campaign: Campaign, publish: bool, mailed: bool) -> RunStatus:
    if not publish:
        return "held_back"
    return "published" if campaign.mail is not None and not mailed else "completed"


def _metrics(metrics: RunMetrics, first: ListKind) -> Metrics:
    holdout = metrics.holdout
    kinds = {kind: _kind(measured, metrics.published.get(kind)) for kind, measured in holdout.kinds.items()}
    top = kinds[first]
    return Metrics(
        **{name: getattr(top, name) for name in KindFigures.__struct_fields__},
        x=holdout.x,
        split=holdout.split,
        kinds=kinds,
        epochs=tuple(_rounded(epoch) for epoch in holdout.epochs),
    )


def _rounded(epoch: EpochFigures) -> EpochFigures:
    recall = None if epoch.recall is None else round(epoch.recall, 6)
    return msgspec.structs.replace(epoch, loss=round(epoch.loss, 6), recall=recall)


def _kind(measured: KindMetrics, published: ListMetrics | None) -> KindFigures:
    baselines = {name: _figures(figures) for name, figures in measured.baselines.items()}
    return KindFigures(
        **msgspec.structs.asdict(_figures(measured.model)),
        popularity=baselines.get("popularity"),
        buy_it_again=baselines.get("buy_it_again"),
        users=measured.users,
        published=_figures(published) if published else None,
        groups=measured.groups,
        bought_mean_popularity=round(measured.bought_mean_popularity, 6),
    )


def _figures(metrics: ListMetrics) -> Figures:
    return Figures(
        recall_at_x=round(metrics.recall, 6),
        ndcg_at_x=round(metrics.ndcg, 6),
        map_at_x=round(metrics.average_precision, 6),
        hit_rate_at_x=round(metrics.hit_rate, 6),
        coverage=round(metrics.coverage, 6),
        novelty=round(metrics.novelty, 4),
        mean_popularity=round(metrics.mean_popularity, 6),
        diversity=round(metrics.diversity, 6),
    )


def _stages(by_stage: Mapping[str, Sequence[Manifest]], start: datetime) -> Iterable[StageReport]:
    for stage in RESUMABLE_STAGES:
        parts = by_stage.get(stage, [])
        if not parts:
            continue
        seconds = sum(part.seconds for part in parts)
        spans = [
            ((datetime.fromisoformat(part.started_at) - start).total_seconds(), part.seconds)
            for part in parts
            if part.started_at
        ]
        now_made = [(began, began + took) for began, took in spans if began >= 0]
        yield StageReport(
            name=stage,
            seconds=round(seconds, 3),
            peak_rss_mib=max(part.peak_rss_mib for part in parts),
            shards=len(parts) if stage in SHARD_STAGES else 0,
            started_s=round(min(began for began, _ in now_made), 3) if now_made else None,
            ended_s=round(max(ended for _, ended in now_made), 3) if now_made else None,
            ran_as=" and ".join(sorted({part.ran_as for part in parts if part.ran_as})),
        )
