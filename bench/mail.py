"""Made-up recipients and lists in; messages a second composed and sent, and the memory of a shard, out.

Composed: by one process, the messages of one campaign. Beside it the MIME alone, ours and `email.message` of the
standard library on the same bodies, in turns in one process. Sent: `send_emails` on one shard in a process of its own,
with claims, records and suppressions in the embedded DynamoDB, to the embedded SES and to an SMTP server (aiosmtpd),
in turns. The embedded AWS and the SMTP server share the cores with the sender, so that the sender's CPU seconds say
more than the clock.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP, default
from email.utils import format_datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from shortlist.aws.clients import client
from shortlist.aws.clock import SystemClock
from shortlist.aws.ledger import DynamoLedger
from shortlist.aws.s3 import S3ObjectStore
from shortlist.aws.ses import SesTransport, ses_client
from shortlist.aws.suppressions import DynamoSuppressions
from shortlist.config import Campaign, Mail, Smtp
from shortlist.contracts.keys import RunKeys, shard_name
from shortlist.contracts.lists import ListedItem, Reason, Recipient, UserLists
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import Run
from shortlist.contracts.records import DELIVERIES_KEY, SUPPRESSIONS_KEY
from shortlist.mail.compose import Composer
from shortlist.mail.message import Envelope, mime
from shortlist.mail.render import Rendered
from shortlist.mail.token import Keys
from shortlist.smtp import Login, SmtpTransport
from shortlist.stages.resume import peak_rss_mib
from shortlist.stages.send_emails import send_emails

if TYPE_CHECKING:
    from local.server import EmbeddedAws

Via = Literal["ses", "smtp"]
KEYS: Final = Keys("1", {"1": "k" * 64})
URL: Final = "https://unsubscribe.example.com/"
AS_OF: Final = datetime(2026, 1, 5, 6, tzinfo=UTC)
BUCKET: Final = "bench"
RATE: Final = 1_000_000.0
"""Messages a second that the mail services allow: the sender is measured, not their limit."""


def main(arguments: Sequence[str]) -> None:
    given = _parser().parse_args(arguments)
    if given.shard:
        print(json.dumps(send_shard(given.shard, given.via, given.port)))
        return
    report = {
        "composed": composed(given.messages, given.rounds),
        "mime": mimes(given.messages, given.rounds),
        "sent": sent(given.recipients, given.rounds),
    }
    print(json.dumps(report, indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench mail", description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000, help="composed in each round")
    parser.add_argument("--recipients", type=int, default=500, help="of the shard that is sent")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shard", help=argparse.SUPPRESS)
    parser.add_argument("--via", choices=["ses", "smtp"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def recipient(number: int) -> Recipient:
    return Recipient(
        user_id=f"user-{number:07d}",
        user_row=number,
        email=f"user{number}@example.com",
        first_name=("Ann", "Zoë", "")[number % 3],
        locale=("en-GB", "de-DE")[number % 2],
    )


def items(number: int) -> tuple[ListedItem, ...]:
    """Eight of a thousand products with everything that a card shows."""
    return tuple(
        ListedItem(
            item_id=f"item-{product}",
            score=1.0 - place / 100,
            reason=Reason("bought_with", f"Product {product + 1} with a name of usual length"),
            title=f"Product {product} with a name of usual length, 500 g",
            price=1.99 + product % 50,
            currency="EUR",
            url=f"https://shop.example.com/products/{product}",
            image_url=f"https://shop.example.com/pictures/{product}.jpg",
        )
        for place, product in enumerate((number * 7 + step * 31) % 1_000 for step in range(8))
    )


def campaign(via: Via = "ses", port: int = 0) -> Campaign:
    smtp = Smtp(host="localhost", port=port, security="none", max_per_second=RATE) if via == "smtp" else None
    mail = Mail(
        sender="picks@shop.example.com",
        sender_name="Corner Shop",
        shop_name="Corner Shop",
        shop_url="https://shop.example.com/",
        postal_address="Corner Shop, 1 Main Street, Springfield",
        control_share=0,
        min_days_between=0,
        smtp=smtp,
    )
    return Campaign(name="bench", mail=mail)


def composed(messages: int, rounds: int) -> dict[str, int]:
    """Whole messages: template, links, token, MIME."""
    composer = Composer(campaign(), run_id="bench", as_of=AS_OF, unsubscribe_url=URL, keys=KEYS)
    work = [(recipient(number), items(number)) for number in range(messages)]
    sizes = [len(composer.compose(*one).mime) for one in work[:100]]  # warms the template too

    def compose() -> None:
        for one in work:
            composer.compose(*one)

    return _rates({"shortlist": compose}, messages, rounds) | {"bytes_a_message": int(median(sizes))}


def mimes(messages: int, rounds: int) -> dict[str, int]:
    """The MIME of bodies that are rendered already."""
    composer = Composer(campaign(), run_id="bench", as_of=AS_OF, unsubscribe_url=URL, keys=KEYS)
    body = _body(composer.compose(recipient(1), items(1)).mime)
    envelopes = [_envelope(number) for number in range(messages)]

    def ours() -> None:
        for envelope in envelopes:
            mime(envelope, body)

    def theirs() -> None:
        for envelope in envelopes:
            standard(envelope, body)

    return _rates({"shortlist": ours, "email.message": theirs}, messages, rounds)


def standard(envelope: Envelope, body: Rendered) -> bytes:
    """The same message as `email.message` writes it."""
    message = EmailMessage(SMTP)
    message["From"] = f"{envelope.sender_name} <{envelope.sender}>"
    message["To"] = envelope.recipient
    message["Subject"] = envelope.subject
    message["Date"] = format_datetime(envelope.date)
    message["Message-ID"] = f"<{envelope.message_id}>"
    message["List-Unsubscribe"] = f"<{envelope.unsubscribe_link}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message["Feedback-ID"] = envelope.feedback_id
    message["Content-Language"] = envelope.language
    message.set_content(body.text)
    message.add_alternative(body.html, subtype="html")
    return message.as_bytes()


def sent(recipients: int, rounds: int) -> dict[Via, dict[str, float]]:
    """Shards of so many recipients, each in a process of its own, by either transport in turns."""
    from aiosmtpd.controller import Controller  # here, so that the senders' processes hold neither of the servers

    from local.server import EmbeddedAws

    found: dict[Via, list[dict[str, float]]] = {"ses": [], "smtp": []}
    port = _free_port()
    server = Controller(_Inbox(), hostname="localhost", port=port)
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder, EmbeddedAws(Path(folder)) as aws:
            _prepare(aws)
            for number in range(rounds):
                for via, measured in found.items():
                    run_id = f"{via}-{number}"
                    key = _write_run(aws, run_id, campaign(via, port), recipients)
                    measured.append(_send_apart(aws, key, via, port))
    finally:
        server.stop()
    return {
        via: {name: _middle(one[name] for one in measured) for name in measured[0]} for via, measured in found.items()
    }


def send_shard(key: str, via: Via, port: int) -> dict[str, float]:
    """One shard, in this process, whose environment says where AWS is."""
    run_id = key.split("/")[1]
    database = client("dynamodb")
    server = Smtp(host="localhost", port=port, security="none", max_per_second=RATE)
    transport = SesTransport(ses_client(), "bench") if via == "ses" else SmtpTransport(server, lambda: Login("", ""))
    began, cpu_began = time.perf_counter(), time.process_time()
    manifest, _ = send_emails(
        Run(run_id=run_id, campaign="bench", as_of=AS_OF.isoformat()),
        key,
        store=S3ObjectStore(client("s3"), BUCKET),
        ledger=DynamoLedger(database, "deliveries"),
        suppressions=DynamoSuppressions(database, "suppressions"),
        transport=transport,
        clock=SystemClock(),
        keys=KEYS,
        unsubscribe_url=URL,
        attempt=run_id,
        remaining_s=lambda: 900.0,
    )
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    messages = manifest.summary["sent"]
    return {
        "messages": messages,
        "messages_per_second": messages / seconds,
        "messages_per_cpu_second": messages / cpu_seconds,
        "peak_rss_mib": peak_rss_mib(),
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


class _Inbox:
    """Takes every message."""

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:  # noqa: N802
        return "250 taken"


def _prepare(aws: "EmbeddedAws") -> None:
    aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region})
    aws.client("sesv2").create_email_identity(EmailIdentity="shop.example.com")
    aws.client("sesv2").create_configuration_set(ConfigurationSetName="bench")
    aws.ses.account.max_send_rate = RATE
    for table, key in (("deliveries", DELIVERIES_KEY), ("suppressions", SUPPRESSIONS_KEY)):
        aws.client("dynamodb").create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": part, "AttributeType": "S"} for part in key],
            KeySchema=[
                {"AttributeName": part, "KeyType": kind} for part, kind in zip(key, ("HASH", "RANGE"), strict=False)
            ],
        )


def _write_run(aws: "EmbeddedAws", run_id: str, wanted: Campaign, recipients: int) -> str:
    """A run that stands before SendEmails; answers with the key of its one shard of recipients."""
    store, keys = S3ObjectStore(aws.client("s3"), BUCKET), RunKeys(run_id)
    people = [recipient(number) for number in range(recipients)]
    lists = [
        UserLists(user_id=one.user_id, user_row=one.user_row, lists={"everything": items(one.user_row)})
        for one in people
    ]
    store.write(keys.campaign, msgspec.json.encode(wanted))
    store.write(keys.topx(shard_name(0)), msgspec.json.Encoder().encode_lines(lists))
    ranked = Manifest(stage="Rank", inputs=run_id, outputs={}, summary={}, seconds=0, peak_rss_mib=0)
    store.write(keys.manifest("Rank", shard_name(0)), msgspec.json.encode(ranked))
    key = keys.recipient_shard(shard_name(0), 0)
    store.write(key, msgspec.json.Encoder().encode_lines(people))
    return key


def _send_apart(aws: "EmbeddedAws", key: str, via: Via, port: int) -> dict[str, float]:
    environment = os.environ | {
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_DEFAULT_REGION": aws.region,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    command = [sys.executable, "-m", "bench", "mail", "--shard", key, "--via", via, "--port", str(port)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _rates(contenders: dict[str, Callable[[], None]], messages: int, rounds: int) -> dict[str, int]:
    """Messages a CPU second of each, the median of rounds in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            began = time.process_time()
            work()
            seconds[name].append(time.process_time() - began)
    return {name: round(messages / median(took)) for name, took in seconds.items()}


def _middle(values: Iterable[float]) -> float:
    return round(median(values), 1)


def _body(raw: bytes) -> Rendered:
    """The bodies of a message of ours."""
    parsed = message_from_bytes(raw, policy=default)
    html, text = parsed.get_body(("html",)), parsed.get_body(("plain",))
    return Rendered(html.get_content() if html else "", text.get_content() if text else "")


def _envelope(number: int) -> Envelope:
    return Envelope(
        sender="picks@shop.example.com",
        sender_name="Corner Shop",
        reply_to="",
        recipient=f"user{number}@example.com",
        subject="Zoë, your picks of the week",
        date=AS_OF,
        message_id=f"{number:032x}@shop.example.com",
        unsubscribe_link=f"{URL}?t={'x' * 200}{number}&l=en",
        feedback_id="bench:bench:picks:shortlist",
        language="en",
    )
