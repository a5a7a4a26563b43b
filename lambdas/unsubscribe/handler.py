"""The unsubscribe endpoint behind a Lambda function URL: an HTTP request in, a page out."""

import base64
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import mail_wiring, wiring
from shortlist.mail.unsubscribe import answer

MAX_BODY: Final = 1_024
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
        _body(event),
        keys=mail_wiring.keys(),
        suppressions=mail_wiring.suppressions(),
        clock=wiring.clock(),
    )
    campaign = response.subscription.campaign if response.subscription else ""
    told = {"method": method, "status": response.status, "campaign": campaign, "choice": response.choice}
    logger.info("unsubscribe_answered", extra=told)
    return {"statusCode": response.status, "headers": response.headers, "body": response.body}


def _body(event: dict[str, Any]) -> str:
    body = str(event.get("body") or "")
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    return raw[:MAX_BODY].decode("utf-8", "replace")
