"""The pages behind the links in mails, at a Lambda function URL: an HTTP request in, a page out."""

import base64
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shortlist.aws import mail_wiring, wiring
from shortlist.mail import not_interested, unsubscribe

MAX_BODY: Final = 1_024
logger = Logger(service="Unsubscribe")


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request (payload format 2.0). The log never holds the address, the token or the user."""
    method = event["requestContext"]["http"]["method"]
    query = event.get("queryStringParameters") or {}
    token, locale = query.get("t", ""), query.get("l", "")
    keys, clock, responses = mail_wiring.keys(), wiring.clock(), wiring.responses()
    if "i" in query:
        event_name = "not_interested_answered"
        answered = not_interested.answer(
            method, token, query["i"], query.get("s", ""), locale, keys=keys, responses=responses, clock=clock
        )
    else:
        event_name = "unsubscribe_answered"
        answered = unsubscribe.answer(
            method,
            token,
            locale,
            _body(event),
            keys=keys,
            suppressions=mail_wiring.suppressions(),
            responses=responses,
            clock=clock,
        )
    campaign = answered.subscription.campaign if answered.subscription else ""
    told = {"method": method, "status": answered.status, "campaign": campaign, "choice": answered.choice}
    logger.info(event_name, extra=told)
    return {"statusCode": answered.status, "headers": answered.headers, "body": answered.body}


def _body(event: dict[str, Any]) -> str:
    body = str(event.get("body") or "")
    raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
    return raw[:MAX_BODY].decode("utf-8", "replace")
