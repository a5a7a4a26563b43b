"""The RequestApproval function: a run and the token of the task that waits in; the team asked, out."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.payloads import ApprovalRequest
from shortlist.stages.request_approval import request_approval


def call(request: ApprovalRequest, context: LambdaContext) -> dict[str, Any]:
    return request_approval(request, store=wiring.store(), notifier=wiring.notifier(), clock=wiring.clock())


handler = stage_handler("RequestApproval", ApprovalRequest, call)
