"""A run as an execution names it in; the run as its first execution fixed it out."""

import re
from datetime import UTC, datetime

import msgspec

from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.payloads import CAMPAIGN_NAME, RUN_ID, Run
from shortlist.errors import ContractError
from shortlist.ports import ObjectStore


def pin(run: Run, *, store: ObjectStore) -> Run:
    """Fix the run's campaign, `as_of` and `started_at` if nobody has, and answer with the run as fixed.

    An execution that does not say when it started counts as started at `as_of`.

    Raises:
        ContractError: the run id, the campaign's name or a time is malformed, or the run belongs to another campaign.
    """
    if not re.match(RUN_ID, run.run_id):
        raise ContractError(f"run_id {run.run_id!r} does not match {RUN_ID}. Cure: letters, digits, `_` and `-`.")
    if not re.match(CAMPAIGN_NAME, run.campaign):
        raise ContractError(f"campaign {run.campaign!r} does not match {CAMPAIGN_NAME}. Cure: the name of its file.")
    wanted = PinnedRun(
        campaign=run.campaign,
        as_of=_in_utc("as_of", run.as_of),
        started_at=_in_utc("started_at", run.started_at or run.as_of),
    )
    key = RunKeys(run.run_id).run
    if store.write_if_absent(key, msgspec.json.encode(wanted)):
        pinned = wanted
    else:
        pinned = msgspec.json.decode(store.read(key), type=PinnedRun)
    if pinned.campaign != run.campaign:
        raise ContractError(
            f"run {run.run_id} belongs to the campaign {pinned.campaign}, not {run.campaign}. Cure: another run_id."
        )
    return _as_fixed(run, pinned)


def pinned(run: Run, *, store: ObjectStore) -> Run:
    """The run as its first execution fixed it, for stages after Prepare: they read it and cannot write it.

    Raises:
        MissingObjectError: no execution of the run has come as far as Prepare.
    """
    return _as_fixed(run, msgspec.json.decode(store.read(RunKeys(run.run_id).run), type=PinnedRun))


def _as_fixed(run: Run, fixed: PinnedRun) -> Run:
    return msgspec.structs.replace(run, as_of=fixed.as_of, started_at=fixed.started_at)


def _in_utc(name: str, time: str) -> str:
    """`2026-01-05T07:00:00.123+01:00` -> `2026-01-05T06:00:00Z`."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError as error:
        raise ContractError(f"{name} {time!r} is not ISO 8601. Cure: for example 2026-01-05T06:00:00Z.") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
