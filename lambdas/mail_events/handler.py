"""What SES says about messages, through SNS and SQS: bounces, complaints, deliveries in; what failed out."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import mail_wiring, wiring
from shortlist.mail.events import apply_events

logger = Logger(service="MailEvents")


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Apply every message of the batch; one that fails is delivered again by itself, and at last kept for the team."""
    applied = apply_events(
        ((record["messageId"], record["body"]) for record in event["Records"]),
        ledger=mail_wiring.ledger(),
        suppressions=mail_wiring.suppressions(),
        responses=wiring.responses(),
        clock=wiring.clock(),
    )
    for message_id, error in applied.failed.items():
        logger.error("mail_event_failed", extra={"message_id": message_id}, exc_info=error)
    logger.info("mail_events_applied", extra={**applied.effects, "failed": len(applied.failed)})
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in applied.failed]}
