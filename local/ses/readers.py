"""What a recipient does with a message: an open or a click in, the event that SES publishes of it out.

SES learns of both by a pixel and by redirects that it puts into the HTML of messages whose configuration set publishes
them. Here the message stays as it was sent, and a test says what its reader does. Only what SES would hear of can be
done: links that stand in the HTML and are not marked `ses:no-track`, of messages that arrived.
https://docs.aws.amazon.com/ses/latest/dg/faqs-metrics.html
"""

from __future__ import annotations

import email
import json
from datetime import UTC, datetime
from email import policy
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from local.ses import events
from local.ses.mailbox import INDEX
from local.ses.message import Message

if TYPE_CHECKING:
    from local.server import EmbeddedAws

BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1"
IP = "192.0.2.10"


class Readers:
    """The recipients of the mailbox's messages."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws

    def open(self, message_id: str, *, at: datetime | None = None, user_agent: str = BROWSER, ip: str = IP) -> None:
        """Show the message with its pictures.

        Raises:
            ValueError: SES would not hear of it.
        """
        _, told, configuration_set = self._posted(message_id)
        self._aws.ses.events.publish(configuration_set, told.open(at or datetime.now(UTC), user_agent, ip))

    def click(
        self, message_id: str, link: str, *, at: datetime | None = None, user_agent: str = BROWSER, ip: str = IP
    ) -> None:
        """Follow a link of the message.

        Raises:
            ValueError: the HTML has no such link, or SES would not hear of it.
        """
        html, told, configuration_set = self._posted(message_id)
        tracked = links(html)
        if link not in tracked:
            raise ValueError(f"{message_id} has no tracked link {link!r}; it has {tracked}")
        self._aws.ses.events.publish(configuration_set, told.click(link, at or datetime.now(UTC), user_agent, ip))

    def links(self, message_id: str) -> list[str]:
        """Those of a message of which SES would hear."""
        return links(self._posted(message_id)[0])

    def _posted(self, message_id: str) -> tuple[str, events.MessageEvents, str | None]:
        """The HTML of a message, its events and its configuration set."""
        folder = self._aws.mailbox
        lines = map(json.loads, (folder / INDEX).read_text(encoding="utf-8").splitlines())
        line: dict[str, Any] | None = next((line for line in lines if line["message_id"] == message_id), None)
        if line is None or not line["file"]:
            raise ValueError(f"{message_id} did not arrive anywhere")
        raw = (folder / line["file"]).read_bytes()
        parsed = email.message_from_bytes(raw, policy=policy.default)
        html = parsed.get_body(("html",))
        if html is None:
            raise ValueError(f"{message_id} has no HTML, where alone SES can track")
        message = Message(
            [line["source"]],
            line["destination"],
            line["tags"],
            line["configuration_set"],
            [(name, str(value)) for name, value in parsed.items()],
            raw,
        )
        sent_at = datetime.fromisoformat(line["time"])
        told = events.MessageEvents(message, message_id, sent_at, self._aws, "recipient")
        return html.get_content(), told, line["configuration_set"]


def links(html: str) -> list[str]:
    """The addresses of the links that SES would track, in their order, each once."""
    found = _Links()
    found.feed(html)
    return list(dict.fromkeys(found.tracked))


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tracked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        href = given.get("href") or ""
        if tag == "a" and "ses:no-track" not in given and href.startswith(("http://", "https://")):
            self.tracked.append(href)
