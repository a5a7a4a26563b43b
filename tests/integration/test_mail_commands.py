"""`shortlist campaign`, `send-test` and `erase` against an account, with the messages in its mailbox."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from local.server import EmbeddedAws
from shortlist.aws.deployment import Deployment
from shortlist.aws.ledger import DynamoLedger
from shortlist.aws.responses import DynamoResponses
from shortlist.aws.runs import DynamoRunsTable
from shortlist.aws.s3 import S3ObjectStore
from shortlist.aws.suppressions import DynamoSuppressions
from shortlist.cli import main
from shortlist.contracts.deployment import STACK_NAME
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.records import MailingOrder, Response, RunRecord, Standing
from shortlist.mail.address import address_hash
from tests.integration.test_command_line import template
from tests.mailing import MAIL, RUN, Mailing, recipient

RECORD = RunRecord(
    campaign="weekly-picks", run_id="r1", status="completed", started_at="2026-01-05T06:00:00Z", as_of=RUN.as_of
)


class Account:
    """A stack with one run in it, mailed to three customers, and what the commands leave there."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self.aws = aws
        self.deployment = Deployment.find(aws.client("cloudformation"))
        client = aws.client("dynamodb")
        self.ledger = DynamoLedger(client, self.deployment.deliveries_table)
        self.suppressions = DynamoSuppressions(client, self.deployment.suppressions_table)
        self.store = S3ObjectStore(aws.client("s3"), self.deployment.bucket)
        mailing = Mailing(
            [recipient(number) for number in range(3)], ledger=self.ledger, suppressions=self.suppressions
        )
        mailing.send()
        for key, body in mailing.store.objects.items():
            self.store.write(key, body)
        DynamoRunsTable(client, self.deployment.runs_table).put(RECORD)
        aws.client("sesv2").create_configuration_set(ConfigurationSetName=STACK_NAME)
        aws.client("sesv2").create_email_identity(EmailIdentity=MAIL.sender)

    def order(self) -> MailingOrder:
        return self.ledger.mailing_state("weekly-picks", "weekly-picks#r1").order

    def mailbox(self) -> list[dict[str, object]]:
        index = self.aws.mailbox / "mailbox.jsonl"
        return [json.loads(line) for line in index.read_text().splitlines()] if index.exists() else []


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with EmbeddedAws(tmp_path_factory.mktemp("aws")) as aws:
        client = aws.client("cloudformation")
        client.create_stack(StackName=STACK_NAME, TemplateBody=template(), Capabilities=["CAPABILITY_IAM"])
        client.get_waiter("stack_create_complete").wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1})
        yield Account(aws)


@pytest.fixture(autouse=True)
def ordinary_credentials(account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in account.aws.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SHORTLIST_TARGET", "aws")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("command", "order"), [("pause", "pause"), ("stop", "stop"), ("resume", "go")])
def test_the_teams_order_is_where_senders_look_it_up(account: Account, command: str, order: MailingOrder) -> None:
    code = main(["campaign", command, "weekly-picks"])

    assert (code, account.order()) == (0, order)


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_a_run_that_asks_nothing_is_not_answered(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["campaign", command, "r1"])

    assert code == 1
    assert "asks for no approval" in capsys.readouterr().err


def test_colleagues_get_the_message_as_a_test(account: Account, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["send-test", "weekly-picks", "bo@shop.example.com", "--run", "r1"])

    (entry,) = account.mailbox()
    assert code == 0
    assert "Sent to bo@shop.example.com." in capsys.readouterr().out
    assert entry["destination"] == ["bo@shop.example.com"]
    assert entry["tags"] == {"campaign": "weekly-picks", "test": "yes"}


def test_a_mailing_is_reported_and_every_recipient_stands_in_the_csv(
    account: Account, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    counts = {"users": 5, "items": 9, "interactions": 20, "rejected": 0, "mailable": 4}
    prepared = Manifest(stage="Prepare", inputs="", outputs={}, summary=counts, seconds=1, peak_rss_mib=1)
    account.store.write(RunKeys("r1").manifest("Prepare"), msgspec.json.encode(prepared))
    responses = DynamoResponses(account.aws.client("dynamodb"), account.deployment.responses_table)
    for user_id, kind, item_id in (("user-00000", "clicked", "item-2"), ("user-00002", "unsubscribed", "")):
        responses.note(
            Response(
                user_id=user_id,
                item_id=item_id,
                kind=kind,
                campaign="weekly-picks",
                run_id="r1",
                times=("2026-01-05T09:00:00.000+00:00",),
            )
        )

    code = main(["campaign", "report", "weekly-picks", "--csv", str(tmp_path / "recipients.csv")])

    told = dict(re.findall(r"^ *([a-z ]+?) {2,}(\d+)", capsys.readouterr().out, re.MULTILINE))
    written = (tmp_path / "recipients.csv").read_text()
    rows = {row["user_id"]: row for row in csv.DictReader(written.splitlines())}
    assert code == 0
    assert (told["eligible"], told["sent"], told["not reached yet"]) == ("4", "3", "1")
    assert (told["clicked"], told["unsubscribed"]) == ("1", "1")
    assert {user_id: row["outcome"] for user_id, row in rows.items()} == {f"user-0000{n}": "sent" for n in range(3)}
    assert (rows["user-00000"]["clicked_items"], rows["user-00001"]["clicked_items"]) == ("item-2", "")
    assert "@" not in written


def test_a_customer_is_erased_once_it_was_confirmed(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    known_by = address_hash("user1@example.com")
    monkeypatch.setattr("click.confirm", lambda question, abort: None)

    code = main(["erase", "user-00001"])
    again = main(["erase", "user-00001", "--yes"])

    assert (code, again) == (0, 1)  # the second time nothing is known of them
    assert account.suppressions.standing([known_by]) == {known_by: Standing(cause="erased")}
    assert account.ledger.find("weekly-picks#r1", ["user-00000", "user-00001"]).keys() == {"user-00000"}
    kept = b"".join(account.store.read(entry.key) for entry in account.store.list("runs/r1/"))
    assert b"user-00001" not in kept
    assert b"user-00002" in kept


def test_a_preview_of_a_run_is_written_and_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = main(["preview", "weekly-picks", "--run", "r1", "--user", "user-00002", "--out", str(tmp_path)])

    assert code == 0
    assert "Subject: Ann, your picks of the week" in capsys.readouterr().out
    assert (tmp_path / "preview.eml").read_bytes().startswith(b"From: Corner Shop")
    assert "<html" in (tmp_path / "preview.html").read_text()


def test_without_a_published_run_there_is_nothing_to_send(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["send-test", "weekly-picks", "bo@shop.example.com"])

    assert code == 1
    assert "no published run" in capsys.readouterr().err
