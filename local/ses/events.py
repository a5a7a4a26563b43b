"""Events of messages: what became of one in, the JSON that SES publishes to the configuration set's destinations out.

Format: https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from moto.core.exceptions import ServiceException
from moto.sns.models import sns_backends

from local.ses.message import Message

if TYPE_CHECKING:
    from local.server import EmbeddedAws

TYPES = ("SEND", "REJECT", "BOUNCE", "COMPLAINT", "DELIVERY", "OPEN", "CLICK")
NEVER_HAPPEN = ("RENDERING_FAILURE", "DELIVERY_DELAY", "SUBSCRIPTION")
_DETAIL_TYPES = {
    "Send": "Email Sent",
    "Reject": "Email Rejected",
    "Bounce": "Email Bounced",
    "Complaint": "Email Complaint Received",
    "Delivery": "Email Delivered",
    "Open": "Email Opened",
    "Click": "Email Clicked",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a configuration set publishes some types of events."""

    name: str
    types: frozenset[str]
    enabled: bool
    topic_arn: str | None
    event_bus_arn: str | None


class EventPublisher:
    """Publishes in the order of the events, beside the requests that caused them."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.destinations: dict[str, dict[str, Destination]] = {}  # by configuration set and name
        self._aws = aws
        self._waiting: queue.Queue[tuple[Destination, dict[str, Any]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._publish_all, name="ses-events", daemon=True)
        self._thread.start()

    def publish(self, configuration_set: str | None, event: dict[str, Any]) -> None:
        for destination in self.destinations.get(configuration_set or "", {}).values():
            if destination.enabled and event["eventType"].upper() in destination.types:
                self._waiting.put((destination, event))

    def drain(self) -> None:
        """Returns when all events so far are published."""
        self._waiting.join()

    def stop(self) -> None:
        self._waiting.put(None)
        self._thread.join(timeout=10)

    def _publish_all(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            try:
                self._publish(*waiting)
            except (
                ClientError,
                ServiceException,
            ) as error:  # the topic went: SES stops publishing to it, sending goes on
                _log.warning("ses_event_not_published %s", error)
            finally:
                self._waiting.task_done()

    def _publish(self, destination: Destination, event: dict[str, Any]) -> None:
        if destination.topic_arn:
            topics = sns_backends[self._aws.account][self._aws.region]  # one process: no need to go by the network
            subject = "Amazon SES Email Event Notification"
            topics.publish(json.dumps(event) + "\n", arn=destination.topic_arn, subject=subject)
        if destination.event_bus_arn:
            entry = {
                "Source": "aws.ses",
                "DetailType": _DETAIL_TYPES[event["eventType"]],
                "Detail": json.dumps(event),
                "EventBusName": destination.event_bus_arn,
                "Resources": [event["mail"]["sourceArn"]],
            }
            self._aws.client("events").put_events(Entries=[entry])


class MessageEvents:
    """The events that one message may have."""

    def __init__(self, message: Message, message_id: str, sent_at: datetime, aws: EmbeddedAws, caller: str) -> None:
        self._at = _iso(sent_at)
        address = parseaddr(message.source)[1]
        domain = address.partition("@")[2]
        headers = message.headers
        common = {name.lower(): value for name, value in headers}
        told = {key: common[key] for key in ("date", "subject") if key in common}
        lists = {key: [common[key]] for key in ("from", "to", "cc", "reply-to") if key in common}
        own: dict[str, list[str]] = {
            "ses:source-tls-version": ["TLSv1.3"],
            "ses:operation": ["SendEmail"],
            "ses:configuration-set": [message.configuration_set or ""],
            "ses:source-ip": ["127.0.0.1"],
            "ses:from-domain": [domain],
            "ses:caller-identity": [caller],
        }
        self._mail: dict[str, Any] = {
            "timestamp": self._at,
            "source": message.source,
            "sourceArn": f"arn:aws:ses:{aws.region}:{aws.account}:identity/{domain}",
            "sendingAccountId": aws.account,
            "messageId": message_id,
            "destination": message.recipients,
            "headersTruncated": False,
            "headers": [{"name": name, "value": value} for name, value in headers],
            "commonHeaders": {**lists, **told, "messageId": message_id},
            "tags": {**own, **{name: [value] for name, value in message.tags.items()}},
        }

    def send(self) -> dict[str, Any]:
        return self._event("Send", {})

    def reject(self) -> dict[str, Any]:
        return self._event("Reject", {"reason": "Bad content"})

    def delivery(self, recipients: list[str]) -> dict[str, Any]:
        details = {
            "timestamp": self._at,
            "processingTimeMillis": 1,
            "recipients": recipients,
            "smtpResponse": "250 2.0.0 OK",
            "reportingMTA": "a0-0.smtp-out.amazonses.com",
        }
        return self._event("Delivery", details)

    def bounce(self, recipients: list[str], subtype: str = "General", kind: str = "Permanent") -> dict[str, Any]:
        said = "smtp; 550 5.1.1 user unknown" if subtype == "General" else "Amazon SES did not send the message"
        who = [
            {"emailAddress": address, "action": "failed", "status": "5.1.1", "diagnosticCode": said}
            for address in recipients
        ]
        details = {
            "feedbackId": str(uuid.uuid4()),
            "bounceType": kind,
            "bounceSubType": subtype,
            "bouncedRecipients": who,
            "timestamp": self._at,
            "reportingMTA": "dns; a0-0.smtp-out.amazonses.com",
        }
        return self._event("Bounce", details)

    def complaint(self, recipients: list[str]) -> dict[str, Any]:
        details = {
            "complainedRecipients": [{"emailAddress": address} for address in recipients],
            "timestamp": self._at,
            "feedbackId": str(uuid.uuid4()),
            "complaintSubType": None,
            "complaintFeedbackType": "abuse",
            "userAgent": "Amazon SES Mailbox Simulator",
            "arrivalDate": self._at,
        }
        return self._event("Complaint", details)

    def open(self, at: datetime, user_agent: str, ip: str) -> dict[str, Any]:
        return self._event("Open", {"ipAddress": ip, "timestamp": _iso(at), "userAgent": user_agent})

    def click(self, link: str, at: datetime, user_agent: str, ip: str) -> dict[str, Any]:
        details = {
            "ipAddress": ip,
            "link": link,
            "linkTags": None,
            "timestamp": _iso(at),
            "userAgent": user_agent,
        }
        return self._event("Click", details)

    def _event(self, kind: str, details: dict[str, Any]) -> dict[str, Any]:
        return {"eventType": kind, "mail": self._mail, kind.lower(): details}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
