"""Publish: the receipts of all shards in; the pointer that consumers follow moved to the run, if nothing is missing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC

from shortlist.contracts.keys import RunKeys, shard_of
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import Run, StageRequest
from shortlist.contracts.records import CurrentRun
from shortlist.errors import MissingObjectError, PublishError
from shortlist.ports import Clock, ObjectStore, RunsTable
from shortlist.stages.outcome import record_outcome
from shortlist.stages.resume import Work, read_manifest, run_once

READERS = 16
"""Manifests read at the same time."""
_CURE = "Run it again: shards that are complete are skipped, the others are made anew."


def publish(request: StageRequest, *, store: ObjectStore, runs: RunsTable, clock: Clock) -> tuple[Manifest, bool]:
    """Compare what was ranked with what was stored, shard by shard, and let consumers see the run.

    Raises:
        PublishError: a shard is missing, stale or incomplete, or another run was published meanwhile.
    """
    run = request.run
    repackaged = read_manifest(run.run_id, "Repackage", store=store)
    keys = [key for key in sorted(repackaged.outputs) if key.startswith(RunKeys(run.run_id).user_shards)]
    with ThreadPoolExecutor(READERS) as pool:
        receipts = list(pool.map(lambda key: _receipt(run, key, repackaged, store), keys))
    n_users = sum(users for users, _ in receipts)
    if n_users != repackaged.summary["users"]:
        raise PublishError(
            f"run {run.run_id}: lists of {n_users} users are stored, expected {repackaged.summary['users']}. {_CURE}"
        )
    inputs = {"lists": [sha256 for _, sha256 in receipts]}

    def work() -> Work:
        previous = _move_pointer(run, runs=runs, clock=clock)
        record_outcome(run, "published", f"lists of {n_users} users are published", runs=runs, clock=clock)
        return Work({}, {"users": n_users, "shards": len(keys), "previous_run": previous})

    return run_once("Publish", run, inputs, work, store=store, clock=clock)


def _receipt(run: Run, key: str, repackaged: Manifest, store: ObjectStore) -> tuple[int, str]:
    """Users of a shard whose lists are stored, and the checksum of the lists."""
    shard = shard_of(key)
    try:
        ranked, written = (
            read_manifest(run.run_id, stage, store=store, shard=shard) for stage in ("Rank", "WriteTopX")
        )
    except MissingObjectError as error:
        raise PublishError(f"run {run.run_id}: shard {shard} is not stored. {_CURE} ({error})") from error
    users, sha256 = ranked.summary["users"], ranked.outputs[RunKeys(run.run_id).topx(shard)].sha256
    if ranked.summary["latent"] != repackaged.outputs[key].sha256 or written.summary["topx_sha256"] != sha256:
        raise PublishError(f"run {run.run_id}: what is stored of shard {shard} is not its newest lists. {_CURE}")
    if written.summary["lists_written"] != users:
        raise PublishError(
            f"run {run.run_id}: shard {shard} has {users} users, the lists of {written.summary['lists_written']} are "
            f"stored. {_CURE}"
        )
    return users, sha256


def _move_pointer(run: Run, *, runs: RunsTable, clock: Clock) -> str:
    """Point consumers at the run; returns the run they saw before."""
    standing = runs.current(run.campaign)
    if standing is not None and standing.run_id == run.run_id:
        return standing.previous_run_id
    previous = standing.run_id if standing else ""
    runs.move_current(
        CurrentRun(
            campaign=run.campaign,
            run_id=run.run_id,
            published_at=clock.now().astimezone(UTC).isoformat(timespec="seconds"),
            previous_run_id=previous,
        )
    )
    return previous
