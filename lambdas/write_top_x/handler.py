"""The WriteTopX function: a shard's lists in, items in the recommendations table out."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import ShardRequest
from shortlist.stages.write_top_x import write_top_x


def call(request: ShardRequest, context: LambdaContext) -> tuple[Manifest, bool]:
    return write_top_x(request, store=wiring.store(), lists=wiring.lists(), clock=wiring.clock())


handler = stage_handler("WriteTopX", ShardRequest, call)
