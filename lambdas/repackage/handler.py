"""The Repackage function: a run in, its latent matrices out."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import StageRequest
from shortlist.stages.repackage import repackage


def call(request: StageRequest, context: LambdaContext) -> tuple[Manifest, bool]:
    return repackage(request, store=wiring.store(), clock=wiring.clock())


handler = stage_handler("Repackage", StageRequest, call)
