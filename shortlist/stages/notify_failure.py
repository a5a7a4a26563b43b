"""NotifyFailure: the failed state with Step Functions' error in; the run's record and a message to the team out."""

from collections.abc import Iterator

import msgspec

from shortlist.contracts.keys import RunKeys, shard_of
from shortlist.contracts.payloads import FailureRequest, ShardRequest
from shortlist.contracts.records import Failure
from shortlist.contracts.stages import STAGE_OF_JOB, STAGES_OF_MAP
from shortlist.failures import cure_of, failure_of_function, failure_of_job
from shortlist.notices import Explanation
from shortlist.notices import failed as failed_notice
from shortlist.ports import Clock, Notifier, ObjectStore, RunsTable
from shortlist.stages.outcome import record_outcome

_SHOWN_SHARDS = 10


class FailedChild(msgspec.Struct, frozen=True, rename="pascal"):
    """An entry of `FAILED_n.json`, the children of a Distributed Map that failed; `input` is a ShardRequest in JSON."""

    input: str
    error: str = ""
    cause: str = ""


def notify_failure(
    request: FailureRequest, *, store: ObjectStore, runs: RunsTable, notifier: Notifier, clock: Clock
) -> dict[str, str]:
    """Record that the run failed and tell the team where, why and what to do. Published lists stay as they are."""
    why = explain(request, store=store)
    where = f"{why.state} (shard {why.shard})" if why.shard else why.state
    message = f"{where}: {why.error}: {why.sentence}\nWhat to do: {why.cure}"
    record_outcome(request.run, "failed", message, runs=runs, clock=clock)
    current = runs.current(request.run.campaign)
    notice = failed_notice(request.run, why, current.run_id if current else "")
    notifier.notify(notice.subject, notice.body)
    return {"state": why.state, "shard": why.shard, "error": why.error}


def explain(request: FailureRequest, *, store: ObjectStore) -> Explanation:
    """Find the sentence behind a failure: a job's own note, a function's exception, or the shard's of a map."""
    state, shard = request.state, ""
    if state in STAGE_OF_JOB:
        state = STAGE_OF_JOB[state]
        failure = _note_of_job(state, request, store=store) or failure_of_job(request.error, request.cause)
    elif state in STAGES_OF_MAP:
        state, shard, failure = _failure_in_map(request, store=store)
    else:
        failure = failure_of_function(request.error, request.cause)
    return Explanation(
        state=state, shard=shard, error=failure.error, sentence=failure.message, cure=cure_of(failure.error)
    )


def _note_of_job(stage: str, request: FailureRequest, *, store: ObjectStore) -> Failure | None:
    """What the job, or its first child, wrote in this execution before it ended; None where it was killed."""
    for entry in store.list(RunKeys(request.run.run_id).failures(stage)):
        note = msgspec.json.decode(store.read(entry.key), type=Failure)
        if note.execution == request.run.execution:
            return note
    return None


def _failure_in_map(request: FailureRequest, *, store: ObjectStore) -> tuple[str, str, Failure]:
    """(stage, shards, failure) of a Distributed Map; its own error says no more than that a child failed."""
    failed = {shard_of(shard.key): child for shard, child in _failed_children(request, store=store)}
    if failed:
        first = min(failed)
        child = failed[first]
        stage = _unfinished_stage(request, first, store=store)
        return stage, _listed(sorted(failed)), failure_of_function(child.error, child.cause)
    unfinished = sorted(_unfinished_shards(request, store=store))
    return request.state, _listed(unfinished), failure_of_function(request.error, request.cause)


def _failed_children(request: FailureRequest, *, store: ObjectStore) -> Iterator[tuple[ShardRequest, FailedChild]]:
    """The children of this execution's map that failed; the results of earlier executions lie beside them."""
    for entry in store.list(RunKeys(request.run.run_id).map_results(request.state)):
        if "/FAILED_" not in entry.key:
            continue
        for child in msgspec.json.decode(store.read(entry.key), type=tuple[FailedChild, ...]):
            shard = msgspec.json.decode(child.input, type=ShardRequest)
            if shard.run.execution == request.run.execution:
                yield shard, child


def _unfinished_stage(request: FailureRequest, shard: str, *, store: ObjectStore) -> str:
    keys = RunKeys(request.run.run_id)
    missing = (s for s in STAGES_OF_MAP[request.state] if not store.exists(keys.manifest(s, shard)))
    return next(missing, request.state)


def _unfinished_shards(request: FailureRequest, *, store: ObjectStore) -> Iterator[str]:
    keys = RunKeys(request.run.run_id)
    prefix = keys.user_shards if request.state == "Recommend" else keys.recipient_shards
    last_stage = STAGES_OF_MAP[request.state][-1]
    finished = {entry.key for entry in store.list(keys.manifests(last_stage))}
    for entry in store.list(prefix):
        shard = shard_of(entry.key)
        if keys.manifest(last_stage, shard) not in finished:
            yield shard


def _listed(shards: list[str]) -> str:
    more = len(shards) - _SHOWN_SHARDS
    return ", ".join(shards[:_SHOWN_SHARDS]) + (f" and {more} more" if more > 0 else "")
