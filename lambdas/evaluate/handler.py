"""The Evaluate function: a run in, `{"publish": bool}` for the state machine's choice out."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import StageRequest
from shortlist.stages.evaluate import evaluate


def call(request: StageRequest, context: LambdaContext) -> tuple[Manifest, bool]:
    return evaluate(request.run, store=wiring.store(), runs=wiring.runs(), clock=wiring.clock())


handler = stage_handler("Evaluate", StageRequest, call)
