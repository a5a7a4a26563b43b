"""The SendEmails function: a run and a recipient shard in, the shard's totals out."""

from uuid import uuid4

from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import mail_wiring, wiring
from shortlist.aws.powertools import stage_handler
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import ShardRequest
from shortlist.stages.resume import read_campaign
from shortlist.stages.send_emails import send_emails


def call(request: ShardRequest, context: LambdaContext) -> tuple[Manifest, bool]:
    mail = read_campaign(request.run.run_id, store=wiring.store()).mail
    return send_emails(
        request.run,
        request.key,
        store=wiring.store(),
        ledger=mail_wiring.ledger(),
        suppressions=mail_wiring.suppressions(),
        transport=mail_wiring.transport(mail.smtp if mail else None),
        clock=wiring.clock(),
        keys=mail_wiring.keys(),
        unsubscribe_url=wiring.environment().unsubscribe_url,
        attempt=uuid4().hex,
        remaining_s=lambda: context.get_remaining_time_in_millis() / 1_000,
    )


handler = stage_handler("SendEmails", ShardRequest, call)
