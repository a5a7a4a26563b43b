"""The Prepare job: `python -m jobs.prepare '{"run": …}'`."""

import sys
from pathlib import Path
from typing import Final

from jobs.frame import run_job
from shortlist.aws import wiring
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import StageRequest
from shortlist.ports import Progress
from shortlist.stages.prepare import prepare

CAMPAIGNS: Final = Path(__file__).parent.parent / "campaigns"
"""Shipped with the image, beside this package."""


def call(request: StageRequest, progress: Progress) -> list[tuple[Manifest, bool]]:
    done = prepare(
        request,
        store=wiring.store(),
        clock=wiring.clock(),
        shipped_campaigns=CAMPAIGNS,
        runs=wiring.runs(),
        responses=wiring.responses(),
        progress=progress,
    )
    return [done]


if __name__ == "__main__":
    sys.exit(run_job("Prepare", sys.argv, call, shape=StageRequest, store=wiring.store))
