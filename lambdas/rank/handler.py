"""The Rank function: a user shard in, its lists out."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import ShardRequest
from shortlist.stages.rank import rank


def call(request: ShardRequest, context: LambdaContext) -> tuple[Manifest, bool]:
    return rank(request, store=wiring.store(), clock=wiring.clock())


handler = stage_handler("Rank", ShardRequest, call)
