"""The PlanMailing function: a run and its rounds so far in; the next step of its mailing out."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.payloads import MailingRequest
from shortlist.stages.plan_mailing import plan_mailing


def call(request: MailingRequest, context: LambdaContext) -> dict[str, Any]:
    return plan_mailing(request, store=wiring.store(), clock=wiring.clock())


handler = stage_handler("PlanMailing", MailingRequest, call)
