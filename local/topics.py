"""SNS to Lambda: a published message in, one asynchronous invocation for each function subscribed out.

moto invents the message's id and topic in the event, waits for the function, and knows no dead-letter queue.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from local.server import EmbeddedAws


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
        _require_permission(aws, subscription)
        aws.client("lambda").invoke(
            FunctionName=subscription.endpoint,
            InvocationType="Event",
            Payload=json.dumps({"Records": [record]}).encode(),
        )
    except ClientError as error:
        _keep(aws, subscription, message, error)


def _require_permission(aws: EmbeddedAws, subscription: Any) -> None:
    """Raises ClientError where the function's policy does not let the topic call it."""
    policy = json.loads(aws.client("lambda").get_policy(FunctionName=subscription.endpoint)["Policy"])
    for statement in policy["Statement"]:
        arn = next(iter(statement.get("Condition", {}).get("ArnLike", {}).values()), subscription.topic.arn)
        if statement["Principal"] == {"Service": "sns.amazonaws.com"} and arn == subscription.topic.arn:
            return
    said = f"sns.amazonaws.com may not call {subscription.endpoint} for {subscription.topic.arn}"
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": said}}, "Invoke")


def _keep(aws: EmbeddedAws, subscription: Any, message: str, error: ClientError) -> None:
    """Puts what could not be delivered into the subscription's dead-letter queue, if it has one."""
    redrive = json.loads(subscription.attributes.get("RedrivePolicy") or "{}")
    if "deadLetterTargetArn" in redrive:
        sqs = aws.client("sqs")
        queue = sqs.get_queue_url(QueueName=redrive["deadLetterTargetArn"].rpartition(":")[2])["QueueUrl"]
        details = {"StringValue": error.response["Error"]["Code"], "DataType": "String"}
        sqs.send_message(QueueUrl=queue, MessageBody=message, MessageAttributes={"ERROR_CODE": details})
