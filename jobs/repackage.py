"""The Repackage job: `python -m jobs.repackage '{"run": …}'`, where a function is too small for it."""

import sys

from jobs.frame import run_job
from shortlist.aws import wiring
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import StageRequest
from shortlist.ports import Progress
from shortlist.stages.repackage import repackage


def call(request: StageRequest, progress: Progress) -> list[tuple[Manifest, bool]]:
    return [repackage(request, store=wiring.store(), clock=wiring.clock())]


if __name__ == "__main__":
    sys.exit(run_job("Repackage", sys.argv, call, shape=StageRequest, store=wiring.store))
