"""Report: totals, timings and figures come together in report.json, the page, the run's record and a message."""

import json
from datetime import timedelta

import msgspec
import pytest

from shortlist.contracts.attribution import Arm, Attribution, ItemFigures
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.metrics import EpochFigures, RunMetrics
from shortlist.contracts.report import Report
from shortlist.contracts.summaries import SendEmailsSummary
from shortlist.lift import lift, points
from shortlist.report.plots import duration
from shortlist.stages.report import report
from tests.fakes import FixedClock, MemoryLedger, MemoryNotifier, MemoryRunsTable, MemoryStore
from tests.finished_run import (
    CAMPAIGN,
    RUN,
    START,
    holdout,
    write_campaign,
    write_finished,
    write_learned,
    write_manifest,
    write_metrics,
)

KEYS = RunKeys(RUN.run_id)


class World:
    """The ports of Report."""

    def __init__(self):
        self.store, self.runs, self.notifier = MemoryStore(), MemoryRunsTable(), MemoryNotifier()
        self.ledger = MemoryLedger()
        self.clock = FixedClock(START + timedelta(seconds=63))

    def report(self, run=RUN):
        return report(
            run, store=self.store, runs=self.runs, ledger=self.ledger, notifier=self.notifier, clock=self.clock
        )

    def page(self):
        return self.store.read(KEYS.report_html).decode()

    def written(self):
        return msgspec.json.decode(self.store.read(KEYS.report_json), type=Report)


@pytest.fixture
def world():
    world = World()
    write_finished(world.store)
    return world


def test_a_finished_run_is_summed_up_over_its_shards(world):
    world.report()

    written = world.written()
    assert (written.run_id, written.status, written.seconds_total) == (RUN.run_id, "completed", 63.0)
    assert msgspec.to_builtins(written.counts) == {
        "users": 2_469,
        "items": 68_509,
        "interactions": 1_469_307,
        "rejected": 311,
    }
    assert (written.lists_written, written.mails_sent, written.mails_suppressed) == (2_001, 1_800, 80)
    assert written.suppressed_by_cause == {"unsubscribed": 60, "bounced": 20}
    assert [reason.rows for reason in written.reject_reasons] == [290, 21]


def test_report_json_has_the_agreed_fields(world):
    world.report()

    raw = json.loads(world.store.read(KEYS.report_json))
    figures = {
        "recall_at_x",
        "ndcg_at_x",
        "map_at_x",
        "hit_rate_at_x",
        "coverage",
        "novelty",
        "mean_popularity",
        "diversity",
    }
    assert figures | {"popularity", "buy_it_again", "kinds"} <= set(raw["metrics"])
    assert set(raw["metrics"]["popularity"]) == figures
    assert raw["metrics"]["recall_at_x"] == 0.332
    assert raw["metrics"]["kinds"]["new_for_you"]["popularity"]["recall_at_x"] == 0.038
    assert (raw["index"]["factory"], raw["index"]["recall_at_x"]) == ("HNSW32", 0.998)
    assert {"name", "seconds", "peak_rss_mib"} <= set(raw["stages"][0])


def test_how_full_the_lists_are_is_summed_over_the_shards(world):
    world.report()

    made = world.written().made
    assert (made.places, made.filled, made.filled_share, made.short) == (80_000, 800, 0.01, {"buy_again": 18})
    assert "1.0% of them filled with what is popular" in world.page()
    assert "18 buy again" in world.page()


def test_figures_by_activity_and_for_what_is_new_are_told_and_drawn(world):
    world.report()

    groups = world.written().metrics.kinds["new_for_you"].groups
    assert [group.name for group in groups][-3:] == ["activity 10", "new users", "new items"]
    assert "by how much customers had bought before" in world.page()
    assert (
        'new items <span class="muted">· New for you</span></td><td class="wide">214</td><td>0.0100</td>'
        in world.page()
    )


def test_the_training_is_drawn_epoch_by_epoch(world):
    epochs = [
        EpochFigures(purpose=purpose, fit=fit, epoch=n, loss=0.5 / n, recall=recall)
        for purpose, fit, recall in (("measurement", "look_back_1", 0.04), ("everything", "final", None))
        for n in (1, 2, 4)
    ]
    metrics = msgspec.json.decode(world.store.read(KEYS.metrics), type=RunMetrics)
    holdout = msgspec.structs.replace(metrics.holdout, epochs=tuple(epochs))
    world.store.write(KEYS.metrics, msgspec.json.encode(msgspec.structs.replace(metrics, holdout=holdout)))

    world.report()

    assert world.written().metrics.epochs == tuple(epochs)
    assert "Loss and recall after each epoch" in world.page()


def test_the_published_run_is_shown_where_it_compares(world):
    world.report()
    assert "published run" not in world.page()

    write_metrics(world.store, published={"everything": holdout().kinds["everything"].model})
    world.report()

    assert world.written().metrics.kinds["everything"].published.recall_at_x == 0.332
    assert world.page().count("published run") == 4  # in the plot and in two tables of one kind, and in the plot's key


def test_a_stage_of_shards_is_the_sum_of_their_work_and_the_largest_of_their_memory(world):
    world.report()

    stages = {stage.name: stage for stage in world.written().stages}
    assert list(stages) == [
        "Prepare",
        "Train",
        "Repackage",
        "BuildIndex",
        "Evaluate",
        "Rank",
        "WriteTopX",
        "Publish",
        "SendEmails",
        "Report",
    ]
    rank = stages["Rank"]
    assert (rank.shards, rank.seconds, rank.peak_rss_mib) == (2, 6.0, 501.0)
    assert (rank.started_s, rank.ended_s) == (43.0, 48.0)
    assert stages["Prepare"].shards == 0


def test_it_says_what_each_stage_ran_as(world):
    # GIVEN shards that were ranked by functions, and by a job after the campaign asked for one
    for shard, ran_as in (("00000", "function"), ("00001", "job")):
        key = KEYS.manifest("Rank", shard)
        manifest = msgspec.json.decode(world.store.read(key), type=Manifest)
        world.store.write(key, msgspec.json.encode(msgspec.structs.replace(manifest, ran_as=ran_as)))

    world.report()

    stages = {stage.name: stage.ran_as for stage in world.written().stages}
    assert (stages["Rank"], stages["Report"], stages["Prepare"]) == ("function and job", "function", "")
    assert '<td class="wide">function and job</td>' in world.page()


def test_shards_that_the_run_no_longer_has_do_not_count(world):
    write_manifest(
        world.store, "SendEmails", SendEmailsSummary(sent=5, suppressed=0), at_s=9, seconds=1, shard="00009-000"
    )

    world.report()

    assert world.written().mails_sent == 1_800


def test_work_of_an_earlier_execution_has_no_place_on_this_ones_timeline(world):
    resumed = msgspec.structs.replace(RUN, started_at=(START + timedelta(seconds=40)).isoformat())

    world.report(resumed)

    stages = {stage.name: stage for stage in world.written().stages}
    assert stages["Train"].started_s is None
    assert stages["Train"].seconds == 20.0
    assert stages["Rank"].started_s == 3.0
    assert world.written().seconds_total == 23.0
    assert b"done by an earlier execution" in world.store.read(KEYS.report_html)


def test_the_moment_of_a_run_is_the_one_its_first_execution_fixed(world):
    world.report(msgspec.structs.replace(RUN, as_of="2026-01-09T12:00:00.000Z"))

    assert world.written().as_of == "2026-01-05T06:00:00Z"


def test_a_run_that_was_asked_not_to_mail_is_published():
    world = World()
    write_finished(world.store)
    for key in [key for key in world.store.objects if "/manifests/SendEmails/" in key]:
        world.store.delete([key])

    world.report(msgspec.structs.replace(RUN, send=False))

    assert world.written().status == "published"
    assert b"Nobody was mailed in this run" in world.store.read(KEYS.report_html)


def test_a_campaign_that_never_mails_is_completed():
    world = World()
    write_finished(world.store)
    write_campaign(world.store, campaign=msgspec.structs.replace(CAMPAIGN, mail=None))

    world.report(msgspec.structs.replace(RUN, send=False))

    assert world.written().status == "completed"


def test_a_run_that_was_held_back_is_reported_without_a_second_message():
    world = World()
    write_learned(world.store)
    reason = "everything: recall@20 of 0.3 does not beat <popularity>."
    write_metrics(world.store, publish=False, reasons=(reason,))

    world.report()

    assert world.written().status == "held_back"
    assert world.notifier.told == []
    record = world.runs.get(RUN.campaign, RUN.run_id)
    assert (record.status, record.message) == ("held_back", reason)
    assert b"does not beat &lt;popularity&gt;." in world.store.read(KEYS.report_html)


def test_a_shop_so_young_that_nothing_could_be_measured_has_a_report_too():
    world = World()
    write_learned(world.store)
    reasons = ("everything: nobody has held-out interactions of this kind.",)
    write_metrics(world.store, publish=False, reasons=reasons, measured=holdout(users=0))

    world.report()

    html = world.store.read(KEYS.report_html)
    assert b"nobody has held-out interactions" in html
    assert b"Everything</td>" not in html


def test_the_team_and_the_runs_table_learn_how_it_ended(world):
    world.report()

    record = world.runs.get(RUN.campaign, RUN.run_id)
    assert record.status == "completed"
    assert json.loads(record.report)["run_id"] == RUN.run_id
    ((subject, body),) = world.notifier.told
    assert subject == "Shortlist: weekly-picks completed"
    assert "messages sent                    1,800" in body
    assert "recall@20 0.3320  (popularity 0.1150  buy_it_again 0.3150)" in body


def test_a_second_execution_that_changes_nothing_tells_nobody_again_but_mends_the_record(world):
    world.report()
    record = world.runs.get(RUN.campaign, RUN.run_id)
    world.runs.put(msgspec.structs.replace(record, status="failed", message="interrupted"))

    _, skipped = world.report()

    assert skipped
    assert len(world.notifier.told) == 1
    assert world.runs.get(RUN.campaign, RUN.run_id).status == "completed"


def test_the_same_run_makes_the_same_page(world):
    world.report()
    first = world.store.read(KEYS.report_html)
    again = World()
    write_finished(again.store)

    again.report()

    assert _without_memory(again.store.read(KEYS.report_html)) == _without_memory(first)


def _without_memory(html):
    """The page up to the stages: this process's own memory differs from call to call."""
    return html[: html.index(b'<section id="stages">')]


def test_words_from_the_shop_cannot_become_markup(world):
    raw = json.loads(world.store.read(KEYS.manifest("Prepare")))
    raw["summary"]["reject_reasons"][0]["example"] = "<script>alert(1)</script>.csv line 2"
    world.store.write(KEYS.manifest("Prepare"), json.dumps(raw).encode())

    world.report()

    html = world.store.read(KEYS.report_html)
    assert b"<script" not in html
    assert b"&lt;script&gt;alert(1)&lt;/script&gt;.csv line 2" in html


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (7.25, "7.2 s"), (59.96, "60.0 s"), (754, "12 min 34 s"), (7_300, "2 h 1 min")],
)
def test_durations_are_read_at_a_glance(seconds, words):
    assert duration(seconds) == words


def test_earlier_mailings_stand_in_the_report_with_what_they_brought(world):
    arm = Arm(recipients=100, bought=20, bought_shown=9)
    earlier = Attribution(
        campaign=RUN.campaign,
        run_id="weekly-picks-2025-12-29",
        sent_at="2025-12-29T06:00:00+00:00",
        days=7,
        complete=True,
        held_out=Arm(recipients=10, bought=1),
        mailed={"a": arm},
        opened=40,
        clicked=7,
        not_interested=1,
        unsubscribed=2,
        bought_after_click=3,
        lift=lift(20, 100, 1, 10),
        lift_shown=lift(9, 100, 0, 10),
        items=tuple(ItemFigures(item_id=f"item-{number}", shown=100) for number in range(50)),
    )
    world.store.write(KEYS.attribution, msgspec.json.encode([earlier]))
    world.ledger.count("weekly-picks#weekly-picks-2025-12-29", {"delivered": 97, "bounced": 3}, "")

    world.report()

    (told,) = world.written().mailings
    page = world.store.read(KEYS.report_html).decode()
    assert (told.delivered, told.bounced, len(told.attribution.items)) == (97, 3, 10)
    assert points(earlier.lift_shown) in page
    assert "weekly-picks-2025-12-29" in page
