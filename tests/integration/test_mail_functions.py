"""The mailing functions as AWS calls them: one message through sending, its events, and its unsubscribe link."""

import email
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from html import unescape
from types import ModuleType, SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import boto3
import msgspec
import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

import lambdas.mail_events.handler as mail_events
import lambdas.send_emails.handler as send_emails
import lambdas.unsubscribe.handler as unsubscribe
from shortlist.aws import clients, mail_wiring, wiring
from shortlist.contracts.records import DELIVERIES_KEY, RESPONSES_KEY, SUPPRESSIONS_KEY
from shortlist.mail.address import address_hash
from shortlist.mail.tags import tags
from tests.mailing import MAIL, RUN, URL, Mailing, recipient

REGION = "eu-central-1"
CONTEXT = SimpleNamespace(
    function_name="f",
    memory_limit_in_mb=512,
    invoked_function_arn="arn:aws:lambda:eu-central-1:1:function:f",
    aws_request_id="r",
    get_remaining_time_in_millis=lambda: 900_000,
)


def forget(*modules: ModuleType) -> None:
    """Adapters live as long as their process; each case here is a process of its own."""
    for module in modules:
        for value in vars(module).values():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


@dataclass
class Deployment:
    """What the functions find in AWS."""

    keys: list[str]

    def send(self) -> dict[str, object]:
        event = {"run": msgspec.to_builtins(RUN), "key": self.keys[0]}
        return send_emails.handler(event, CONTEXT)

    def mails(self) -> list[str]:
        return [message.raw_data for message in ses_backends[DEFAULT_ACCOUNT_ID][REGION].sent_messages]

    def entry(self, user_id: str) -> str:
        return mail_wiring.ledger().find("weekly-picks#r1", [user_id])[user_id].state


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "POWERTOOLS_TRACE_DISABLED": "true",
        "SHORTLIST_BUCKET": "bucket",
        "SHORTLIST_DELIVERIES_TABLE": "deliveries",
        "SHORTLIST_SUPPRESSIONS_TABLE": "suppressions",
        "SHORTLIST_RESPONSES_TABLE": "responses",
        "SHORTLIST_UNSUBSCRIBE_URL": URL,
        "SHORTLIST_UNSUBSCRIBE_KEY_SECRET": "unsubscribe-key",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    forget(clients, wiring, mail_wiring)
    with mock_aws():
        boto3.client("secretsmanager").create_secret(Name="unsubscribe-key", SecretString="p" * 64)
        boto3.client("ses").verify_email_identity(EmailAddress=MAIL.sender)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        mailing = Mailing([recipient(0), recipient(1)])
        for key, body in mailing.store.objects.items():
            s3.put_object(Bucket="bucket", Key=key, Body=body)
        tables = {"deliveries": DELIVERIES_KEY, "suppressions": SUPPRESSIONS_KEY, "responses": RESPONSES_KEY}
        for table, key in tables.items():
            boto3.client("dynamodb").create_table(
                TableName=table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": part, "AttributeType": "S"} for part in key],
                KeySchema=[
                    {"AttributeName": part, "KeyType": kind} for part, kind in zip(key, ("HASH", "RANGE"), strict=False)
                ],
            )
        monkeypatch.setattr(
            mail_wiring.transport(None), "quota", lambda: mailing.transport.quota()
        )  # moto has no quota
        yield Deployment(mailing.keys)
    forget(clients, wiring, mail_wiring)


def test_a_shard_is_sent_once_however_often_the_function_is_called(deployment: Deployment) -> None:
    first, second = deployment.send(), deployment.send()

    assert (first["sent"], first["skipped"], second["skipped"]) == (2, False, True)
    assert len(deployment.mails()) == 2
    assert deployment.entry("user-00000") == "sent"


def test_the_link_in_the_mail_unsubscribes_its_reader(deployment: Deployment) -> None:
    deployment.send()
    mail = email.message_from_string(deployment.mails()[0], policy=policy.default)
    query = {name: values[0] for name, values in parse_qs(urlsplit(mail["List-Unsubscribe"].strip("<>")).query).items()}

    def ask(method: str) -> dict[str, object]:
        event = {"requestContext": {"http": {"method": method}}, "queryStringParameters": query}
        return unsubscribe.handler(event, CONTEXT)

    looked, before = ask("GET"), mail_wiring.suppressions().standing(_hashes(mail))
    pressed, after = ask("POST"), mail_wiring.suppressions().standing(_hashes(mail))

    assert (looked["statusCode"], pressed["statusCode"]) == (200, 200)
    assert before == {}
    assert [standing.cause for standing in after.values()] == ["unsubscribed"]


def test_the_link_beside_a_product_leaves_it_out_and_unsubscribes_nobody(deployment: Deployment) -> None:
    deployment.send()
    mail = email.message_from_string(deployment.mails()[0], policy=policy.default)
    html = mail.get_body(("html",)).get_content()
    links = [unescape(link) for link in re.findall(r'ses:no-track="" *href="([^"]+)"', re.sub(r"\s+", " ", html))]
    query = {name: values[0] for name, values in parse_qs(urlsplit(links[0]).query).items()}

    event = {"requestContext": {"http": {"method": "POST"}}, "queryStringParameters": query}
    answer = unsubscribe.handler(event, CONTEXT)

    (found,) = wiring.responses().all()
    assert answer["statusCode"] == 200
    assert (found.kind, found.item_id, found.user_id) == ("not_interested", "item-0", "user-00000")
    assert mail_wiring.suppressions().standing(_hashes(mail)) == {}


def test_a_request_without_a_token_is_refused(deployment: Deployment) -> None:
    answer = unsubscribe.handler({"requestContext": {"http": {"method": "POST"}}}, CONTEXT)

    assert answer["statusCode"] == 400


def test_a_bounce_reaches_the_ledger_though_another_message_of_its_batch_is_no_event(deployment: Deployment) -> None:
    deployment.send()
    event = {
        "eventType": "Bounce",
        "mail": {"tags": {name: [value] for name, value in tags("weekly-picks", "r1", "user-00000").items()}},
        "bounce": {
            "bounceType": "Permanent",
            "bouncedRecipients": [{"emailAddress": "user0@example.com"}],
            "feedbackId": "f1",
            "timestamp": "2026-01-05T06:00:00.000Z",
        },
    }

    records = [{"messageId": "m1", "body": "not an event"}, {"messageId": "m2", "body": json.dumps(event)}]

    answer = mail_events.handler({"Records": records}, CONTEXT)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert deployment.entry("user-00000") == "bounced"
    assert deployment.entry("user-00001") == "sent"


def test_no_function_writes_an_address_a_name_or_a_token_to_its_log(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    deployment.send()
    mail = email.message_from_string(deployment.mails()[0], policy=policy.default)
    token = parse_qs(urlsplit(mail["List-Unsubscribe"].strip("<>")).query)["t"][0]
    event = {"requestContext": {"http": {"method": "POST"}}, "queryStringParameters": {"t": token}}
    unsubscribe.handler(event, CONTEXT)

    log = " ".join(str(vars(record)) for record in caplog.records)
    assert "stage_done" in log
    assert "unsubscribe_answered" in log
    assert not [secret for secret in ("@example.com", "Ann", token, "user-0000") if secret in log]


def _hashes(mail: EmailMessage) -> list[str]:
    return [address_hash(mail["To"])]
