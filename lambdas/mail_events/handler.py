"""What SES says about messages, through SNS: bounces, complaints, deliveries in; counts by kind out."""

from collections import Counter
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import mail_wiring
from shortlist.mail.events import apply_event

logger = Logger(service="MailEvents")


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Apply every record; where one fails SNS delivers all of them again, which changes nothing for the others."""
    effects: Counter[str] = Counter(
        apply_event(record["Sns"]["Message"], ledger=mail_wiring.ledger(), suppressions=mail_wiring.suppressions())
        for record in event["Records"]
    )
    logger.info("mail_events_applied", extra=dict(effects))
    return dict(effects)
