"""The unsubscribe endpoint behind a Lambda function URL: an HTTP request in, a page out."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import mail_wiring, wiring
from shortlist.mail.unsubscribe import answer

logger = Logger(service="Unsubscribe")


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request (payload format 2.0). The log never holds the address, the token or the user."""
    method = event["requestContext"]["http"]["method"]
    query = event.get("queryStringParameters") or {}
    response = answer(
        method,
        query.get("t", ""),
        query.get("l", ""),
        keys=mail_wiring.keys(),
        suppressions=mail_wiring.suppressions(),
        clock=wiring.clock(),
    )
    campaign = response.subscription.campaign if response.subscription else ""
    logger.info("unsubscribe_answered", extra={"method": method, "status": response.status, "campaign": campaign})
    return {"statusCode": response.status, "headers": response.headers, "body": response.body}
