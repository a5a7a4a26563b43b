"""HoldBack: `metrics.json` of a model that did not pass comes in; the run's record and a message to the team go out."""

import msgspec

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.metrics import RunMetrics
from shortlist.contracts.payloads import Run
from shortlist.notices import held_back as held_back_notice
from shortlist.ports import Clock, Notifier, ObjectStore, RunsTable
from shortlist.stages.outcome import record_outcome
from shortlist.stages.resume import read_campaign


def hold_back(
    run: Run, *, store: ObjectStore, runs: RunsTable, notifier: Notifier, clock: Clock
) -> dict[str, list[str]]:
    """Record that the run is held back and say why. Every execution that is held back says so once."""
    metrics = msgspec.json.decode(store.read(RunKeys(run.run_id).metrics), type=RunMetrics)
    campaign = read_campaign(run.run_id, store=store)
    record_outcome(run, "held_back", " ".join(metrics.reasons), runs=runs, clock=clock)
    current = runs.current(run.campaign)
    notice = held_back_notice(run, metrics, campaign.lists, current.run_id if current else "")
    notifier.notify(notice.subject, notice.body)
    return {"reasons": list(metrics.reasons)}
