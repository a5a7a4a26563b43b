"""What SES says about messages, through SNS and SQS: bounces, complaints, deliveries in; what failed out."""

from collections import Counter
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import mail_wiring
from shortlist.mail.events import apply_event

logger = Logger(service="MailEvents")


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Apply every message of the batch; one that fails is delivered again by itself, and at last kept for the team."""
    ledger, suppressions = mail_wiring.ledger(), mail_wiring.suppressions()
    effects: Counter[str] = Counter()
    failures: list[dict[str, str]] = []
    for record in event["Records"]:
        try:
            effects[apply_event(record["body"], ledger=ledger, suppressions=suppressions)] += 1
        except Exception:  # whatever it is, the rest of the batch does not wait for it
            logger.exception("mail_event_failed", extra={"message_id": record["messageId"]})
            failures.append({"itemIdentifier": record["messageId"]})
    logger.info("mail_events_applied", extra={**effects, "failed": len(failures)})
    return {"batchItemFailures": failures}
