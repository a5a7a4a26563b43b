"""A child of the Rank job: `python -m jobs.rank '{"run": …, "children": 2}'`; Batch says which child it is."""

import os
import sys
from collections.abc import Iterator

from jobs.frame import run_job
from shortlist.aws import wiring
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import RankJobRequest
from shortlist.ports import Progress
from shortlist.stages.rank_part import rank_part


def this_child() -> str:
    """Number of this child in the array; a job that is no array is its only child."""
    return os.environ.get("AWS_BATCH_JOB_ARRAY_INDEX", "0")


def call(request: RankJobRequest, progress: Progress) -> Iterator[tuple[Manifest, bool]]:
    return rank_part(request, int(this_child()), store=wiring.store(), clock=wiring.clock())


if __name__ == "__main__":
    sys.exit(run_job("Rank", sys.argv, call, shape=RankJobRequest, store=wiring.store, child=this_child()))
