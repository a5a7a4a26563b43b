"""The NotifyFailure function: the failed state and its error in; the run's record and a notification out."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.payloads import FailureRequest
from shortlist.stages.notify_failure import notify_failure


def call(request: FailureRequest, context: LambdaContext) -> dict[str, Any]:
    return dict(
        notify_failure(
            request,
            store=wiring.store(),
            runs=wiring.runs(),
            notifier=wiring.notifier(),
            clock=wiring.clock(),
        )
    )


handler = stage_handler("NotifyFailure", FailureRequest, call)
