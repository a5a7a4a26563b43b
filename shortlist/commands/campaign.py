"""`shortlist campaign …`: a campaign and the team's order in; the order where senders look it up, out."""

from datetime import UTC, datetime
from typing import Final, Literal

import click
from rich.console import Console

from shortlist.aws.ledger import DynamoLedger
from shortlist.aws.runs import DynamoRunsTable
from shortlist.commands import execute, look
from shortlist.commands.decide import decide
from shortlist.commands.target import TargetName, connect, target_option
from shortlist.contracts.records import MailingOrder

_SAID: Final[dict[MailingOrder, str]] = {
    "pause": "Nobody else is mailed by {0} until `shortlist campaign resume {0}`. Runs ask again every 15 minutes.",
    "stop": "Nobody else is mailed by {0}: its runs end at SendEmails until `shortlist campaign resume {0}`.",
    "go": "{0} mails again. Runs that are waiting go on within 15 minutes; resume those that ended.",
}


@click.group("campaign")
def campaign_group() -> None:
    """What the team decides about a campaign, and what became of it."""


@campaign_group.command("pause")
@click.argument("campaign")
@target_option
def pause_command(campaign: str, target: TargetName) -> None:
    """Mail nobody else until it is resumed."""
    _order("pause", campaign, target)


@campaign_group.command("resume")
@click.argument("campaign")
@target_option
def resume_command(campaign: str, target: TargetName) -> None:
    """Let a campaign that was paused or stopped mail again."""
    _order("go", campaign, target)


@campaign_group.command("stop")
@click.argument("campaign")
@target_option
def stop_command(campaign: str, target: TargetName) -> None:
    """Mail nobody else, and end the runs that are sending."""
    _order("stop", campaign, target)


@campaign_group.command("approve")
@click.argument("run_id")
@target_option
def approve_command(run_id: str, target: TargetName) -> None:
    """Let a run that waits for it mail its recipients."""
    _decide("approved", run_id, target)
    click.echo(f"Run {run_id} mails its recipients now.")


@campaign_group.command("reject")
@click.argument("run_id")
@target_option
def reject_command(run_id: str, target: TargetName) -> None:
    """Let a run that waits for approval end without a mail. Resuming it asks again."""
    _decide("rejected", run_id, target)
    click.echo(f"Run {run_id} ends without a mail.")


def _decide(decision: Literal["approved", "rejected"], run_id: str, target: TargetName) -> None:
    place = connect(target, Console())
    machine = place.account.client("stepfunctions")
    decide(execute.check_run_id(run_id), decision, store=place.store, machine=machine, now=datetime.now(UTC))


def _order(order: MailingOrder, campaign: str, target: TargetName) -> None:
    place = connect(target, Console())
    client = place.account.client("dynamodb")
    known = look.campaigns(store=place.store, shipped=look.SHIPPED_CAMPAIGNS)
    look.check_campaign(campaign, known, runs=DynamoRunsTable(client, place.deployment.runs_table))
    ledger = DynamoLedger(client, place.deployment.deliveries_table)
    ledger.give_order(campaign, order, datetime.now(UTC).isoformat(timespec="seconds"))
    click.echo(_SAID[order].format(campaign))
