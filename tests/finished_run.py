"""What the stages of a run leave behind, made up: the input of Evaluate, HoldBack, Report and the command line."""

from datetime import UTC, datetime, timedelta

import msgspec

from shortlist.config import Campaign, Mail
from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys, shard_name
from shortlist.contracts.lists import ListedItem, ListKind, Reason, UserLists
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.metrics import GroupMetrics, HoldoutMetrics, IndexMetrics, KindMetrics, ListMetrics, RunMetrics
from shortlist.contracts.payloads import Run
from shortlist.contracts.summaries import PrepareSummary, RankSummary, RejectReason, SendEmailsSummary, WriteTopXSummary
from tests.fakes import MemoryStore

RUN = Run(
    run_id="weekly-picks-2026-01-05",
    campaign="weekly-picks",
    as_of="2026-01-05T06:00:00+00:00",
    execution="arn:aws:states:eu-west-1:123456789012:execution:Shortlist:weekly-picks-2026-01-05",
    started_at="2026-01-05T06:00:00+00:00",
)
START = datetime(2026, 1, 5, 6, tzinfo=UTC)
CAMPAIGN = Campaign(
    name="weekly-picks",
    lists=("everything", "new_for_you", "buy_again"),
    mail=Mail(sender="picks@example.com"),
)
RECALLS: dict[ListKind, tuple[float, float, float]] = {
    "everything": (0.332, 0.115, 0.315),
    "new_for_you": (0.045, 0.038, 0.0),
    "buy_again": (0.351, 0.201, 0.349),
}
"""List kind -> recall of the model, of popularity, of buy_it_again."""
INDEX = IndexMetrics(factory="HNSW32", recall_at_x=0.998, queries=256, n_items=68_509, dims=65, size_bytes=36_000_000)


def list_metrics(recall: float) -> ListMetrics:
    return ListMetrics(
        recall=recall,
        ndcg=recall * 0.9,
        average_precision=recall / 2,
        hit_rate=recall,
        coverage=0.2 if recall else 0.0,
        novelty=8.5,
        mean_popularity=0.04,
        diversity=0.3,
    )


def group(name: str, model: float, popularity: float, again: float) -> GroupMetrics:
    recall = {"model": model, "popularity": popularity, "buy_it_again": again}
    return GroupMetrics(name=name, users=214, recall=recall, ndcg={series: r * 0.9 for series, r in recall.items()})


def holdout(recalls: dict[ListKind, tuple[float, float, float]] = RECALLS, x: int = 20, users: int = 2_140):
    return HoldoutMetrics(
        x=x,
        split="last 28 days, from 2025-12-08",
        users=users,
        kinds={
            kind: KindMetrics(
                model=list_metrics(model),
                baselines={"popularity": list_metrics(popularity), "buy_it_again": list_metrics(again)},
                users=users,
                groups=(
                    *(group(f"activity {n}", model * (0.7 + n / 20), popularity, again) for n in range(1, 11)),
                    group("new users", model / 3, popularity / 2, 0.0),
                    group("new items", 0.01, 0.0, 0.0),
                ),
                bought_mean_popularity=0.06,
            )
            for kind, (model, popularity, again) in recalls.items()
        },
        settings={"n_factors": 64, "chosen_on": "4 weeks before"},
    )


def write_json(store: MemoryStore, key: str, value) -> None:
    store.write(key, msgspec.json.encode(value))


def write_campaign(store: MemoryStore, run: Run = RUN, campaign: Campaign = CAMPAIGN) -> None:
    write_json(store, RunKeys(run.run_id).campaign, campaign)


def write_manifest(
    store: MemoryStore,
    stage: str,
    summary,
    *,
    at_s: float,
    seconds: float,
    rss: float = 300.0,
    shard="",
    run: Run = RUN,
) -> None:
    manifest = Manifest(
        stage=stage,
        inputs="digest",
        outputs={},
        summary=msgspec.to_builtins(summary),
        seconds=seconds,
        peak_rss_mib=rss,
        shard=shard,
        started_at=(START + timedelta(seconds=at_s)).isoformat(),
    )
    write_json(store, RunKeys(run.run_id).manifest(stage, shard), manifest)


def write_metrics(
    store: MemoryStore,
    *,
    publish: bool = True,
    reasons: tuple[str, ...] = (),
    run: Run = RUN,
    measured=None,
    published=None,
) -> None:
    metrics = RunMetrics(
        holdout=measured or holdout(),
        index=INDEX,
        publish=publish,
        reasons=reasons,
        published_run="last-week" if published else "",
        published=published or {},
    )
    write_json(store, RunKeys(run.run_id).metrics, metrics)


def write_learned(store: MemoryStore, run: Run = RUN) -> None:
    """Everything that stands in the bucket when Evaluate starts."""
    keys = RunKeys(run.run_id)
    write_campaign(store, run)
    pinned = PinnedRun(campaign=run.campaign, as_of="2026-01-05T06:00:00Z", started_at="2026-01-05T06:00:00Z")
    write_json(store, keys.run, pinned)
    prepare = PrepareSummary(
        users=2_469,
        items=68_509,
        interactions=1_469_307,
        rejected=311,
        reject_reasons=(
            RejectReason(table="interactions", reason="unknown item", rows=290, example="sales.csv line 17"),
            RejectReason(table="users", reason="no user_id", rows=21, example="users.csv line 3"),
        ),
        mailable=2_100,
        campaign_source="bucket, instead of the one deployed",
    )
    write_manifest(store, "Prepare", prepare, at_s=1, seconds=12, rss=900, run=run)
    write_manifest(store, "Train", {}, at_s=14, seconds=20, rss=1_400, run=run)
    write_manifest(store, "Repackage", {}, at_s=35, seconds=2, rss=350, run=run)
    write_manifest(store, "BuildIndex", INDEX, at_s=38, seconds=3, rss=400, run=run)
    write_json(store, keys.holdout_metrics, holdout())


def write_finished(store: MemoryStore, run: Run = RUN, shards: int = 2) -> None:
    """Everything that stands in the bucket when Report starts after a run that published and mailed."""
    keys = RunKeys(run.run_id)
    write_learned(store, run)
    write_metrics(store, run=run)
    write_manifest(store, "Evaluate", {"publish": True}, at_s=42, seconds=0.1, run=run)
    for number in range(shards):
        shard = shard_name(number)
        at_s = 43 + 2 * number
        store.write(keys.user_shard(shard), b"latent")
        ranked = RankSummary(
            listed=40_000, filled=400, short={"buy_again": 9}, reasons={"bought_with": 30_000, "popular": 10_000}
        )
        write_manifest(store, "Rank", ranked, at_s=at_s, seconds=3, rss=500 + number, shard=shard, run=run)
        written = WriteTopXSummary(lists_written=1_000 + number)
        write_manifest(store, "WriteTopX", written, at_s=at_s + 3, seconds=1, rss=150, shard=shard, run=run)
        write_json(store, keys.topx(shard), user_lists(number))
        part = f"{shard}-000"
        store.write(keys.recipient_shard(shard, 0), b"{}\n")
        sent = SendEmailsSummary(
            sent=900,
            suppressed=40,
            rejected=1,
            suppressed_by_cause={"unsubscribed": 30, "bounced": 10, "complained": 0},
        )
        write_manifest(store, "SendEmails", sent, at_s=52, seconds=8, rss=220, shard=part, run=run)
    write_manifest(store, "Publish", {}, at_s=50, seconds=0.5, run=run)


def user_lists(number: int) -> UserLists:
    """The lists of one household."""
    milk = ListedItem(
        item_id=f"milk-{number}",
        score=1.5,
        reason=Reason("bought_before", "3"),
        title='Milk, "whole"\n1 l',
        price=1.29,
        currency="USD",
        category="Dairy",
    )
    bread = ListedItem(item_id="bread", score=0.5, reason=Reason("popular"), title="Bread", filled=True)
    return UserLists(
        user_id=f"household,{number}",
        user_row=number,
        lists={"everything": (milk, bread), "new_for_you": (bread,), "buy_again": (milk,)},
    )
