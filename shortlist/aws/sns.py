"""Notifier over an SNS topic."""

from typing import Any, Final

_SUBJECT_LENGTH: Final = 100
_BODY_BYTES: Final = 256_000


class SnsNotifier:
    """Tells everybody who subscribed to the topic.

    Args:
        client: a boto3 SNS client.
        topic_arn: of the topic.
    """

    def __init__(self, client: Any, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    def notify(self, subject: str, body: str) -> None:
        """Publish; what SNS would refuse is cut: subjects are 100 printable ASCII characters, messages 256 KiB."""
        plain = " ".join(subject.split()).encode("ascii", "replace").decode()
        message = body.encode()[:_BODY_BYTES].decode(errors="ignore")
        self._client.publish(TopicArn=self._topic_arn, Subject=plain[:_SUBJECT_LENGTH], Message=message)
