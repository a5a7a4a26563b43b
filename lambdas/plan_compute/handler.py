"""The PlanCompute function: a run in; where the stages after it run, and how large, out."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.payloads import StageRequest
from shortlist.stages.plan_compute import plan_compute


def call(request: StageRequest, context: LambdaContext) -> dict[str, Any]:
    return plan_compute(request, store=wiring.store())


handler = stage_handler("PlanCompute", StageRequest, call)
