"""SNS to Lambda: a published message in, one asynchronous invocation for each function subscribed out.

moto invents the message's id and topic in the event, waits for the function, and knows no dead-letter queue.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import JsonRESTError

if TYPE_CHECKING:
    from local.server import EmbeddedAws

_log = logging.getLogger(__name__)


def install(aws: EmbeddedAws) -> None:
    from moto.sns.models import Subscription

    deliver = Subscription.publish

    def publish(self: Any, message: str, message_id: str, **rest: Any) -> None:
        if self.protocol != "lambda":
            deliver(self, message, message_id, **rest)
        elif self._filter_policy_matcher is None or self._filter_policy_matcher.matches(
            rest.get("message_attributes"), message
        ):
            _invoke(aws, self, message, message_id, rest)

    aws.replace(Subscription, "publish", publish)


def _invoke(aws: EmbeddedAws, subscription: Any, message: str, message_id: str, rest: dict[str, Any]) -> None:
    if rest.get("message_structure") == "json":
        variants = json.loads(message)
        message = variants.get("lambda", variants["default"])
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription.arn,
        "Sns": {
            "Type": "Notification",
            "MessageId": message_id,
            "TopicArn": subscription.topic.arn,
            "Subject": rest.get("subject"),
            "Message": message,
            "Timestamp": datetime.now(tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "SignatureVersion": "1",
            "Signature": "not-signed-by-the-embedded-aws",
            "SigningCertUrl": f"{aws.endpoint}/sns-does-not-sign-here",
            "UnsubscribeUrl": f"{aws.endpoint}/?Action=Unsubscribe&SubscriptionArn={subscription.arn}",
            "MessageAttributes": rest.get("message_attributes") or {},
        },
    }
    try:
        function = _function(subscription)
        function.invoke(json.dumps({"Records": [record]}), {"X-Amz-Invocation-Type": "Event"}, {})
    except JsonRESTError as refused:
        _log.warning("message_not_delivered %s %s", subscription.endpoint, refused.message)
        _keep(aws, subscription, message, refused)


def _function(subscription: Any) -> Any:
    """moto's function. Raises JsonRESTError where it is not there, or its policy does not let the topic call it."""
    from moto.awslambda.utils import get_backend

    _, _, _, region, account, *_ = subscription.endpoint.split(":")
    function = get_backend(account, region).get_function(subscription.endpoint)
    for statement in function.policy.statements:
        source = next(iter(statement.get("Condition", {}).get("ArnLike", {}).values()), subscription.topic.arn)
        if statement["Principal"] == {"Service": "sns.amazonaws.com"} and source == subscription.topic.arn:
            return function
    said = f"sns.amazonaws.com may not call {subscription.endpoint} for {subscription.topic.arn}"
    raise JsonRESTError("AccessDeniedException", said)


def _keep(aws: EmbeddedAws, subscription: Any, message: str, refused: Any) -> None:
    """Puts what could not be delivered into the subscription's dead-letter queue, if it has one."""
    redrive = json.loads(subscription.attributes.get("RedrivePolicy") or "{}")
    if "deadLetterTargetArn" in redrive:
        sqs = aws.client("sqs")
        queue = sqs.get_queue_url(QueueName=redrive["deadLetterTargetArn"].rpartition(":")[2])["QueueUrl"]
        details = {"StringValue": refused.error_type, "DataType": "String"}
        sqs.send_message(QueueUrl=queue, MessageBody=message, MessageAttributes={"ERROR_CODE": details})
