"""The Train job: `python -m jobs.train '{"run": …}'`."""

import sys

from jobs.frame import run_job
from shortlist.aws import wiring
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import StageRequest
from shortlist.ports import Progress
from shortlist.stages.train import train


def call(request: StageRequest, progress: Progress) -> list[tuple[Manifest, bool]]:
    return [train(request, store=wiring.store(), clock=wiring.clock(), runs=wiring.runs(), progress=progress)]


if __name__ == "__main__":
    sys.exit(run_job("Train", sys.argv, call, shape=StageRequest, store=wiring.store))
