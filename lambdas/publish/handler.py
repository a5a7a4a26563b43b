"""The Publish function: a run in, the pointer that consumers follow moved to it out."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import StageRequest
from shortlist.stages.publish import publish


def call(request: StageRequest, context: LambdaContext) -> tuple[Manifest, bool]:
    return publish(request, store=wiring.store(), runs=wiring.runs(), clock=wiring.clock())


handler = stage_handler("Publish", StageRequest, call)
