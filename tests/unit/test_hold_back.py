"""HoldBack: the run is recorded as held back, and the team reads why."""

import pytest

from shortlist.contracts.records import CurrentRun, RunRecord
from shortlist.stages.hold_back import hold_back
from tests.fakes import FixedClock, MemoryNotifier, MemoryRunsTable, MemoryStore
from tests.finished_run import RUN, write_campaign, write_metrics

REASON = "everything: recall@20 of 0.3000 does not beat 0.3150 of buy_it_again."


@pytest.fixture
def store():
    store = MemoryStore()
    write_campaign(store)
    write_metrics(store, publish=False, reasons=(REASON,))
    return store


def held_back(store, runs):
    notifier = MemoryNotifier()
    hold_back(RUN, store=store, runs=runs, notifier=notifier, clock=FixedClock())
    ((subject, body),) = notifier.told
    return subject, body


def test_the_record_says_held_back_and_keeps_when_the_run_started(store):
    runs = MemoryRunsTable()
    runs.put(RunRecord(campaign=RUN.campaign, run_id=RUN.run_id, status="running", started_at="t0", as_of=RUN.as_of))

    held_back(store, runs)

    record = runs.get(RUN.campaign, RUN.run_id)
    assert (record.status, record.started_at, record.message) == ("held_back", "t0", REASON)
    assert record.finished_at == "2026-01-05T06:00:00+00:00"


def test_the_team_reads_the_reason_the_figures_and_what_to_do(store):
    subject, body = held_back(store, MemoryRunsTable())

    assert subject == "Shortlist: weekly-picks is held back"
    assert REASON in body
    assert "this model          0.3320" in body
    assert "buy_it_again        0.3150" in body
    assert f"shortlist rerun {RUN.run_id}" in body
    assert "No run has been published so far." in body


def test_the_team_reads_which_lists_customers_still_get(store):
    runs = MemoryRunsTable()
    runs.pointers[RUN.campaign] = CurrentRun(campaign=RUN.campaign, run_id="last-week", published_at=RUN.as_of)

    _, body = held_back(store, runs)

    assert "still get the lists of run last-week" in body
    assert runs.current(RUN.campaign).run_id == "last-week"
