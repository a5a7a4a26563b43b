"""`shortlist preview` and `send-test`: a campaign and a customer in; their message to look at, out."""

import email
from datetime import datetime
from email import policy
from pathlib import Path

import click
from rich.console import Console

from shortlist.aws.runs import DynamoRunsTable
from shortlist.aws.secrets import read_login
from shortlist.aws.ses import ONCE, SesTransport
from shortlist.aws.suppressions import DynamoSuppressions
from shortlist.commands.send_test import send_test
from shortlist.commands.target import Target, TargetName, connect, target_option
from shortlist.config import Smtp
from shortlist.contracts.deployment import SMTP_LOGIN_SECRET, STACK_NAME
from shortlist.contracts.records import RunRecord
from shortlist.errors import ContractError
from shortlist.ports import MailTransport
from shortlist.smtp import SmtpTransport
from shortlist.stages.preview import preview
from shortlist.stages.resume import read_campaign


@click.command("preview")
@click.argument("campaign")
@click.option("--user", "user_id", default="", help="Whose message; the first recipient's by default.")
@click.option("--run", "run_id", default="", help="Of which run; the published one by default.")
@click.option("--open", "show", is_flag=True, help="Show the message in the web browser.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("out"), show_default=True)
@target_option
def preview_command(campaign: str, user_id: str, run_id: str, show: bool, out: Path, target: TargetName) -> None:
    """Write a customer's message as .eml and .html, and print it."""
    place = connect(target, Console())
    record = _record(place, campaign, run_id)
    message = preview(record.run_id, datetime.fromisoformat(record.as_of), user_id, store=place.store)
    parsed = email.message_from_bytes(message.mime, policy=policy.default)
    text, html = (parsed.get_body((subtype,)) for subtype in ("plain", "html"))
    out.mkdir(parents=True, exist_ok=True)
    (out / "preview.eml").write_bytes(message.mime)
    page = out / "preview.html"
    page.write_text(html.get_content() if html else "", encoding="utf-8")
    click.echo(f"Subject: {parsed['Subject']}\nTo: {parsed['To']}\n\n{text.get_content() if text else ''}")
    click.echo(f"{len(message.mime) / 1024:.0f} KB in {out / 'preview.eml'}, HTML in {page}")
    if show:
        click.launch(page.resolve().as_uri())


@click.command("send-test")
@click.argument("campaign")
@click.argument("addresses", nargs=-1, required=True)
@click.option("--user", "user_id", default="", help="Whose message; the first recipient's, without a name, by default.")
@click.option("--run", "run_id", default="", help="Of which run; the published one by default.")
@target_option
def send_test_command(campaign: str, addresses: tuple[str, ...], user_id: str, run_id: str, target: TargetName) -> None:
    """Send a customer's message to colleagues, marked as a test. It stands in no ledger and unsubscribes nobody."""
    place = connect(target, Console())
    record = _record(place, campaign, run_id)
    mail = read_campaign(record.run_id, store=place.store).mail
    for address in send_test(
        record,
        addresses,
        user_id,
        store=place.store,
        suppressions=DynamoSuppressions(place.account.client("dynamodb"), place.deployment.suppressions_table),
        transport=_transport(place, mail.smtp if mail else None),
    ):
        click.echo(f"Sent to {address}.")


def _record(place: Target, campaign: str, run_id: str) -> RunRecord:
    """The run that is meant: the published one where none is named."""
    runs = DynamoRunsTable(place.account.client("dynamodb"), place.deployment.runs_table)
    pointer = runs.current(campaign)
    run_id = run_id or (pointer.run_id if pointer else "")
    record = runs.get(campaign, run_id) if run_id else None
    if record is None:
        raise ContractError(
            f"{campaign} has no {f'run {run_id}' if run_id else 'published run'}. See `shortlist runs`."
        )
    return record


def _transport(place: Target, smtp: Smtp | None) -> MailTransport:
    if smtp is None:
        return SesTransport(place.account.client("sesv2", ONCE), STACK_NAME)
    return SmtpTransport(smtp, lambda: read_login(place.account.client("secretsmanager"), SMTP_LOGIN_SECRET))
