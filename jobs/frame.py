"""What every job has in common: the payload in argv[1] in, one call, an exit code out, and a note where it failed.

A job logs and measures as a function of the same stage does (shortlist.aws.powertools).

Batch passes on an exit code only, so the sentence that says why lies in `failures/<stage>.json` of the run, where
NotifyFailure reads it. The exit codes are those of sysexits.h; the job definition retries 75 and reclaimed machines.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import msgspec
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from shortlist.contracts.deployment import METRIC_NAMESPACE
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import RankJobRequest, Run, StageRequest, decode
from shortlist.contracts.records import Failure
from shortlist.contracts.stages import StageName
from shortlist.errors import ContractError, ShortlistError, TransientError
from shortlist.ports import ObjectStore, Progress

DONE: Final = 0
CRASHED: Final = 1
BAD_DATA: Final = 65
"""EX_DATAERR: somebody must change the input; a retry fails again."""
TRY_AGAIN: Final = 75
"""EX_TEMPFAIL: a retry may succeed."""


T = TypeVar("T", StageRequest, RankJobRequest)


def run_job(
    stage: StageName,
    arguments: Sequence[str],
    call: Callable[[T, Progress], Iterable[tuple[Manifest, bool]]],
    *,
    shape: type[T],
    store: Callable[[], ObjectStore],
    child: str = "",
) -> int:
    """Run a stage as a job.

    Args:
        arguments: of the process; the second is the payload, `{"run": {…}}`.
        call: the stage; answers with `run_once`'s pair, once for each shard that it works on.
        shape: struct of the payload.
        store: makes the store; within the frame, so that its failure is logged too.
        child: number of the child of an array job; it has a note of its own.

    Returns:
        The exit code.
    """
    logger = Logger(service=stage)
    request: T | None = None
    try:
        request = _request(arguments, shape)
        run = request.run
        logger.append_keys(run_id=run.run_id, campaign=run.campaign)
        for manifest, skipped in call(request, lambda event, figures: logger.info(event, extra=figures)):
            _tell(stage, manifest, logger, skipped=skipped)
        store().delete([RunKeys(run.run_id).failure(stage, child)])
    except Exception as error:
        logger.exception("job_failed")
        if request is not None:
            _leave_note(RunKeys(request.run.run_id).failure(stage, child), request.run, error, store, logger)
        return _exit_code(error)
    return DONE


def _tell(stage: StageName, manifest: Manifest, logger: Logger, *, skipped: bool) -> None:
    figures = {"skipped": skipped, "seconds": manifest.seconds, "peak_rss_mib": manifest.peak_rss_mib}
    logger.info("stage_done", extra=figures | {"shard": manifest.shard} | manifest.summary)
    if not skipped:
        metrics = Metrics(namespace=METRIC_NAMESPACE, service=stage)
        metrics.add_metric(name=f"{stage}Seconds", unit=MetricUnit.Seconds, value=manifest.seconds)
        metrics.flush_metrics()


def _request(arguments: Sequence[str], shape: type[T]) -> T:
    if len(arguments) != 2:
        raise ContractError(f'expected one argument, {{"run": …}} as JSON, got {len(arguments) - 1}.')
    try:
        payload: Any = msgspec.json.decode(arguments[1])
    except msgspec.DecodeError as error:
        raise ContractError(
            f"the argument is not JSON: {error}. Cure: start the job through the state machine."
        ) from error
    return decode(payload, shape)


def _leave_note(key: str, run: Run, error: Exception, store: Callable[[], ObjectStore], logger: Logger) -> None:
    """Say in the run why the job failed. That this fails too must not hide the first failure."""
    try:
        note = Failure(type(error).__name__, str(error), run.execution)
        store().write(key, msgspec.json.encode(note))
    except Exception:
        logger.exception("note_not_written")


def _exit_code(error: Exception) -> int:
    if isinstance(error, TransientError):
        return TRY_AGAIN
    return BAD_DATA if isinstance(error, ShortlistError) else CRASHED
