"""Run a stage's work once: a manifest that matches the inputs means it is done. Work in, manifest out."""

import os
import resource
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from shortlist.config import Campaign
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest, Output, digest
from shortlist.contracts.payloads import Run
from shortlist.contracts.stages import StageName, is_forced
from shortlist.errors import MissingObjectError
from shortlist.ports import Clock, ObjectStore


def read_campaign(run_id: str, *, store: ObjectStore) -> Campaign:
    """The campaign as Prepare resolved it for this run.

    Raises:
        MissingObjectError: Prepare has not come so far.
    """
    return msgspec.json.decode(store.read(RunKeys(run_id).campaign), type=Campaign)


class Work(msgspec.Struct):
    """What a stage did: the objects it left and the figures to report."""

    outputs: dict[str, Output]
    summary: dict[str, Any]


def read_manifest(run_id: str, stage: str, *, store: ObjectStore, shard: str = "") -> Manifest:
    """The manifest of a stage that an earlier state has run.

    Raises:
        MissingObjectError: the stage has not finished in this run.
    """
    return msgspec.json.decode(store.read(RunKeys(run_id).manifest(stage, shard)), type=Manifest)


def run_once(
    stage: StageName,
    run: Run,
    inputs: Mapping[str, Any],
    work: Callable[[], Work],
    *,
    store: ObjectStore,
    clock: Clock,
    shard: str = "",
    settled: Callable[[Manifest], bool] = lambda manifest: True,
) -> tuple[Manifest, bool]:
    """Do `work` unless its manifest is there, made from the same inputs, and not forced away.

    Args:
        inputs: everything the outputs depend on, as JSON values: settings, digests of earlier manifests.
        work: makes and stores the outputs; may be repeated, so its writes must be idempotent.
        settled: whether a matching manifest says all there is to say; where not, the work is looked at again.

    Returns:
        The manifest, and whether the work was skipped.
    """
    key = RunKeys(run.run_id).manifest(stage, shard)
    wanted = digest({"stage": stage, "inputs": dict(inputs)})
    if not is_forced(stage, run.force_from):
        try:
            manifest = msgspec.json.decode(store.read(key), type=Manifest)
        except MissingObjectError:
            pass
        else:
            if manifest.inputs == wanted and settled(manifest):
                return manifest, True
    started = clock.now()
    done = work()
    manifest = Manifest(
        stage=stage,
        shard=shard,
        inputs=wanted,
        outputs=done.outputs,
        summary=done.summary,
        started_at=started.isoformat(),
        seconds=round((clock.now() - started).total_seconds(), 3),
        peak_rss_mib=round(peak_rss_mib(), 1),
        ran_as="job" if "AWS_BATCH_JOB_ID" in os.environ else "function",
    )
    store.write(key, msgspec.json.encode(manifest))
    return manifest, False


def peak_rss_mib() -> float:
    """Largest resident set of this process so far.

    On Linux from the kernel's high-water mark: getrusage's keeps what the process had before it replaced its program,
    so that a small program started by a large one would be given the large one's figure.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, on macOS bytes
        return peak / 1024 / (1024 if sys.platform == "darwin" else 1)
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
