"""The Report function: a run that has ended in; its report, its record and a message to the team out."""

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import mail_wiring, wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import StageRequest
from shortlist.stages.report import report


def call(request: StageRequest, context: LambdaContext) -> tuple[Manifest, bool]:
    return report(
        request.run,
        store=wiring.store(),
        runs=wiring.runs(),
        ledger=mail_wiring.ledger(),
        notifier=wiring.notifier(),
        clock=wiring.clock(),
    )


handler = stage_handler("Report", StageRequest, call)
