"""How a run ended comes in; its record in the runs table, kept from its start, goes out."""

from datetime import UTC

import msgspec

from shortlist.contracts.payloads import Run
from shortlist.contracts.records import RunRecord, RunStatus
from shortlist.ports import Clock, RunsTable


def record_outcome(
    run: Run, status: RunStatus, message: str, *, runs: RunsTable, clock: Clock, report: str | None = None
) -> RunRecord:
    """Put the run's record with a new status; the report of an earlier execution stays unless another is given."""
    now = clock.now().astimezone(UTC).isoformat(timespec="seconds")
    record = runs.get(run.campaign, run.run_id) or RunRecord(
        campaign=run.campaign, run_id=run.run_id, status=status, started_at=run.started_at or now, as_of=run.as_of
    )
    changed = msgspec.structs.replace(
        record,
        status=status,
        message=message,
        finished_at=now,
        report=record.report if report is None else report,
    )
    runs.put(changed)
    return changed
