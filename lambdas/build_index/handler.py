"""The BuildIndex function: a run in, its k-NN index out."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import StageRequest
from shortlist.stages.build_index import build_index


def call(request: StageRequest, context: LambdaContext) -> tuple[Manifest, bool]:
    return build_index(request, store=wiring.store(), clock=wiring.clock())


handler = stage_handler("BuildIndex", StageRequest, call)
