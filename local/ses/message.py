"""A message: the parameters of SendEmail in, a sender, its recipients and the bytes that arrive out.

Limits: https://docs.aws.amazon.com/ses/latest/dg/quotas.html
Header fields: https://docs.aws.amazon.com/ses/latest/dg/header-fields.html
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.utils import format_datetime, getaddresses, parseaddr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

MAX_BYTES = 40 * 1024 * 1024
MAX_RECIPIENTS = 50
MAX_TAGS = 50
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_ADDRESS = re.compile(r"[^\s@<>]{1,64}@[^\s@<>]{1,255}")
# SES puts its own in their place, or they are instructions to SES, or they would give recipients away.
_NOT_SENT = {b"message-id", b"date", b"bcc", b"return-path", b"x-ses-configuration-set", b"x-ses-message-tags"}


class BadRequestError(Exception):
    """SES answers BadRequestException with this message."""


@dataclass(frozen=True, slots=True)
class Message:
    """What SendEmail was asked to send; addresses with their display names as given."""

    senders: list[str]  # the FromEmailAddress, and the From header of a raw message
    recipients: list[str]
    tags: dict[str, str]
    configuration_set: str | None
    headers: list[tuple[str, str]]  # unfolded and decoded
    mime: bytes  # with CRLF lines

    @property
    def source(self) -> str:
        return self.senders[0]


def read_message(parameters: dict[str, Any]) -> Message:
    """The message that the parameters describe.

    Raises:
        BadRequestError: SES would not take it.
        NotImplementedError: its content is a template.
    """
    content, sender = parameters.get("Content") or {}, parameters.get("FromEmailAddress")
    mime = _lines(_mime(content, parameters))
    if len(mime) > MAX_BYTES:
        raise BadRequestError(f"Message length is more than {MAX_BYTES} bytes long: '{len(mime)}'.")
    headers = _parsed(mime)
    named = _all(headers, "From")[:1]
    senders = list(dict.fromkeys([sender, *named] if sender else named))
    if not senders:
        raise BadRequestError("Missing required header 'From'.")
    recipients = _recipients(parameters.get("Destination") or {}, headers)
    for address in (*senders, *recipients):
        if not _ADDRESS.fullmatch(parseaddr(address)[1]):
            raise BadRequestError(f"Missing final '@domain' or invalid characters in the address: {address}")
    configuration_set = parameters.get("ConfigurationSetName") or next(
        iter(_all(headers, "X-SES-CONFIGURATION-SET")), None
    )
    return Message(senders, recipients, _tags(parameters, headers), configuration_set, headers, mime)


def as_delivered(mime: bytes, message_id: str, region: str, sent_at: datetime) -> bytes:
    """The message as it arrives: with the Message-ID and Date that SES gives it."""
    head, blank, body = mime.partition(b"\r\n\r\n")
    domain = "email.amazonses.com" if region == "us-east-1" else f"{region}.amazonses.com"
    own = [f"Message-ID: <{message_id}@{domain}>".encode(), f"Date: {format_datetime(sent_at)}".encode()]
    fields = re.split(rb"\r\n(?![ \t])", head)
    kept = [field for field in fields if field.partition(b":")[0].strip().lower() not in _NOT_SENT]
    return b"\r\n".join([*kept, *own]) + blank + body


def _mime(content: dict[str, Any], parameters: dict[str, Any]) -> bytes:
    if "Raw" in content:
        try:
            return base64.b64decode(content["Raw"]["Data"], validate=True)
        except binascii.Error as error:
            raise BadRequestError(f"Raw message data is not base64: {error}.") from error
    if "Simple" in content:
        return _composed(content["Simple"], parameters)
    if "Template" in content:
        raise NotImplementedError("SendEmail with a template (send raw or simple content)")
    raise BadRequestError("Content must be one of Raw, Simple or Template.")


def _composed(simple: dict[str, Any], parameters: dict[str, Any]) -> bytes:
    destination = parameters.get("Destination") or {}
    message = EmailMessage(policy.SMTP)
    message["From"] = parameters.get("FromEmailAddress", "")
    for header, field in (("To", "ToAddresses"), ("Cc", "CcAddresses")):
        if destination.get(field):
            message[header] = ", ".join(destination[field])
    if parameters.get("ReplyToAddresses"):
        message["Reply-To"] = ", ".join(parameters["ReplyToAddresses"])
    message["Subject"] = simple["Subject"]["Data"]
    for header in simple.get("Headers") or []:
        message[header["Name"]] = header["Value"]
    body = simple["Body"]
    if "Text" in body:
        message.set_content(body["Text"]["Data"])
    if "Html" in body:
        add = message.add_alternative if "Text" in body else message.set_content
        add(body["Html"]["Data"], subtype="html")
    return message.as_bytes()


def _recipients(destination: dict[str, Any], headers: list[tuple[str, str]]) -> list[str]:
    """Of the request; of the headers where the request names none."""
    given = [a for field in ("ToAddresses", "CcAddresses", "BccAddresses") for a in destination.get(field) or []]
    if not given:
        values = [value for name in ("To", "Cc", "Bcc") for value in _all(headers, name)]
        given = [address for _, address in getaddresses(values) if address]
    if not given:
        raise BadRequestError("No recipients: the request has no Destination and the message no To, Cc or Bcc.")
    if len(given) > MAX_RECIPIENTS:
        raise BadRequestError(f"Recipient count exceeds {MAX_RECIPIENTS}.")
    return given


def _tags(parameters: dict[str, Any], headers: list[tuple[str, str]]) -> dict[str, str]:
    given = [(tag["Name"], tag["Value"]) for tag in parameters.get("EmailTags") or []]
    for part in ",".join(_all(headers, "X-SES-MESSAGE-TAGS")[:1]).split(","):
        name, equals, value = part.partition("=")
        if equals:
            given.append((name.strip(), value.strip()))
    if len(given) > MAX_TAGS:
        raise BadRequestError(f"A message has at most {MAX_TAGS} tags, not {len(given)}.")
    for name, value in given:
        for what, text in (("name", name), ("value", value)):
            if not _TAG.fullmatch(text):
                allowed = "only alphanumeric ASCII characters, '_' and '-' are allowed, at most 256."
                raise BadRequestError(f"Invalid tag {what} <{text}>: {allowed}")
    return dict(given)


def _parsed(mime: bytes) -> list[tuple[str, str]]:
    """The header fields. Only encoded words are taken apart: to parse each address would take longer than the rest."""
    head = mime.partition(b"\r\n\r\n")[0]
    return [(name, _decoded(str(value))) for name, value in BytesHeaderParser().parsebytes(head).items()]


def _decoded(value: str) -> str:
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", value)
    return str(make_header(decode_header(unfolded))) if "=?" in unfolded else unfolded


def _all(headers: list[tuple[str, str]], name: str) -> list[str]:
    """The values of a field in the order they stand."""
    return [value for given, value in headers if given.lower() == name.lower()]


def _lines(mime: bytes) -> bytes:
    """With CRLF at the end of each line."""
    if mime.count(b"\n") == mime.count(b"\r\n") == mime.count(b"\r"):
        return mime
    return re.sub(rb"\r\n|\r|\n", b"\r\n", mime)
