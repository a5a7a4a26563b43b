"""The command line: `shortlist …`. Arguments in; a deployment is acted on; tables and an exit code out."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

import shortlist
from shortlist.aws.lists import DynamoListsTable
from shortlist.aws.runs import DynamoRunsTable
from shortlist.commands import execute, look
from shortlist.commands.campaign import campaign_group
from shortlist.commands.campaign_report import campaign_report_command
from shortlist.commands.embedded import EmbeddedServer
from shortlist.commands.erase import erase_command
from shortlist.commands.messages import preview_command, send_test_command
from shortlist.commands.target import Target, TargetName, connect, target_option
from shortlist.commands.upload import read_campaign, upload
from shortlist.commands.view import list_table, runs_table
from shortlist.contracts.lists import ListKind
from shortlist.contracts.stages import FORCE_FROM
from shortlist.errors import ContractError, ShortlistError
from shortlist.mail.reasons import phrase
from shortlist.stages.resume import read_campaign as read_run_campaign

INTERRUPTED = 130
EXISTING = click.Path(exists=True, path_type=Path)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
out_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Folder for the results.",
)
no_mail_option = click.option("--no-mail", is_flag=True, help="Publish the lists, but mail nobody.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Learn from a shop's purchases, and give every customer a short, personal list of products."""


@cli.command()
@click.option(
    "--interactions", type=EXISTING, required=True, help="Purchases: CSV (plain or .gz) or Parquet, or a folder."
)
@click.option("--items", type=EXISTING, help="The catalogue.")
@click.option("--users", type=EXISTING, help="The customers. Without it nobody has an address.")
@click.option("--offers", type=EXISTING, help="When which item is on offer, for campaigns of deals.")
@click.option("--blocks", type=EXISTING, help="What a customer is never to be shown.")
@click.option("--campaign", type=EXISTING_FILE, help="A campaign file, as in campaigns/.")
@click.option("--run-id", default="", help="Name of the run; of one that failed: resume it with these tables.")
@click.option("--as-of", default="", help="The moment that the run takes as now, ISO 8601. For purchases of long ago.")
@no_mail_option
@out_option
@target_option
def run(
    interactions: Path,
    items: Path | None,
    users: Path | None,
    offers: Path | None,
    blocks: Path | None,
    campaign: Path | None,
    run_id: str,
    as_of: str,
    no_mail: bool,
    out: Path,
    target: TargetName,
) -> int:
    """Upload the tables of a shop and run a campaign on them.

    Exit code 1: the run failed. 3: the quality gate held it back.
    """
    console = Console()
    tables = {"interactions": interactions, "items": items, "users": users, "offers": offers, "blocks": blocks}
    chosen, campaign_file = read_campaign(campaign, tables)
    run_id = execute.check_run_id(run_id or execute.new_run_id(chosen.name, datetime.now(UTC)))
    payload: dict[str, Any] = {
        "campaign": chosen.name,
        "run_id": run_id,
        "send": not no_mail and chosen.mail is not None,
    }
    if as_of:
        payload["as_of"] = _moment(as_of)
    place = connect(target, console, start=True)
    with console.status("Uploading"):
        size = upload(chosen, campaign_file, tables, store=place.store)
    console.print(
        f"Run {run_id}: {size / 1e6:,.1f} MB uploaded to {chosen.input.prefix}", markup=False, highlight=False
    )
    if chosen.mail is None:
        console.print("The campaign has no `mail`, so the lists are stored and nobody is mailed.")
    arn = execute.start(place, payload, datetime.now(UTC))
    return execute.see_through(place, chosen.name, run_id, arn, out, console)


@cli.command()
@click.argument("run_id")
@click.option("--from", "force_from", type=click.Choice(FORCE_FROM), help="Do this stage and all after it again.")
@no_mail_option
@out_option
@target_option
def rerun(run_id: str, force_from: str | None, no_mail: bool, out: Path, target: TargetName) -> int:
    """Resume a run; what is complete is not done again.

    Nobody is mailed twice. A run that was started with --no-mail sends its mails when it is resumed without.
    """
    console = Console()
    place = connect(target, console)
    campaign = execute.campaign_of(place, execute.check_run_id(run_id))
    payload = {"campaign": campaign, "run_id": run_id, "send": not no_mail, "force_from": force_from or ""}
    arn = execute.start(place, payload, datetime.now(UTC))
    return execute.see_through(place, campaign, run_id, arn, out, console)


@cli.command()
@click.argument("user_id")
@click.option("--campaign", default="", metavar="NAME", help="Needed where several campaigns have published lists.")
@click.option("--list", "kind", type=click.Choice(get_args(ListKind)), help="The campaign's first list by default.")
@target_option
def show(user_id: str, campaign: str, kind: ListKind | None, target: TargetName) -> None:
    """Print a customer's published list, with scores and reasons."""
    console = Console()
    place = connect(target, console)
    names = look.campaigns(store=place.store, shipped=look.SHIPPED_CAMPAIGNS)
    wanted = look.check_campaign(campaign, names, runs=_runs(place)) if campaign else ""
    pointer = look.published_campaign(wanted, names, runs=_runs(place))
    found = look.find_lists(user_id, pointer, lists=_lists(place))
    kind, stored = look.choose_list(found, kind, store=place.store)
    items = look.with_titles(found.run_id, stored, store=place.store)
    title = f"{user_id} · {kind.replace('_', ' ')} · run {found.run_id}"
    wording = read_run_campaign(found.run_id, store=place.store).wording
    console.print(list_table(title, items, [phrase(item.reason, wording=wording) for item in items]))


@cli.command()
@click.option("--campaign", default="", metavar="NAME", help="All of them by default.")
@target_option
def runs(campaign: str, target: TargetName) -> None:
    """List the runs, the newest first; the published ones are marked."""
    console = Console()
    place = connect(target, console)
    table = _runs(place)
    known = look.campaigns(store=place.store, shipped=look.SHIPPED_CAMPAIGNS)
    names = [look.check_campaign(campaign, known, runs=table)] if campaign else known
    records = [execute.as_it_stands(record, place) for name in names for record in table.list(name)]
    current = {pointer.run_id for name in names if (pointer := table.current(name)) is not None}
    records.sort(key=lambda record: record.started_at, reverse=True)
    console.print(runs_table([(record, look.read_report(record)) for record in records], current))


@cli.command()
@click.argument("run_id")
@target_option
def publish(run_id: str, target: TargetName) -> None:
    """Go back: let customers see the lists of an earlier run again."""
    console = Console()
    place = connect(target, console)
    campaign = execute.campaign_of(place, execute.check_run_id(run_id))
    before = look.publish(
        campaign, run_id, store=place.store, runs=_runs(place), lists=_lists(place), now=datetime.now(UTC)
    )
    instead = f" instead of {before.run_id}" if before is not None and before.run_id != run_id else ""
    console.print(f"{campaign} shows the lists of {run_id}{instead}.", markup=False, highlight=False)


@cli.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option("--stop", is_flag=True, help="Stop it; what it holds is forgotten.")
@click.option("--status", is_flag=True, help="Say whether it runs.")
def local(port: int, stop: bool, status: bool) -> int:
    """Keep the embedded AWS running, with the stack deployed."""
    console = Console()
    server = EmbeddedServer.of_this_checkout()
    if stop:
        console.print("Stopped." if server.stop() else "It was not running.")
        return 0
    running = server.running()
    if running is None and status:
        console.print("Not running.")
        return 1
    running = running or server.start(console, port=port)
    console.print(
        f"The embedded AWS runs at {running.endpoint} (process {running.pid}, log {server.log}).\n"
        f"aws --endpoint-url {running.endpoint} --region {running.region} s3 ls\n"
        "shortlist local --stop ends it and forgets what it holds.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 0


@cli.command()
@click.option("--interactions", type=EXISTING, required=True, help="Purchases, as for `run`.")
@click.option("--items", type=EXISTING, help="The catalogue.")
@click.option("--users", type=EXISTING, help="The customers.")
@click.option("--campaign", type=EXISTING_FILE, required=True, help="The campaign file; its `model` is rewritten.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=10, show_default=True)
@click.option("--trials", type=click.IntRange(min=1), help="At most so many; with minutes enough, the result repeats.")
@click.option("--as-of", default="", help="The moment taken as now, ISO 8601. For purchases of long ago.")
@out_option
def tune(
    interactions: Path,
    items: Path | None,
    users: Path | None,
    campaign: Path,
    minutes: float,
    trials: int | None,
    as_of: str,
    out: Path,
) -> None:
    """Find better settings of the model for a shop.

    They are chosen on the newest purchases outside the held-out part. Cut off, it goes on from the journal in the
    folder for results.
    """
    from shortlist.commands.tune import tune_campaign  # what it imports takes seconds, and is not always installed

    tables = {"interactions": interactions, "items": items, "users": users}
    moment = datetime.fromisoformat(_moment(as_of)) if as_of else datetime.now(UTC)
    tune_campaign(campaign, tables, minutes=minutes, n_trials=trials, as_of=moment, out=out, console=Console())


cli.add_command(preview_command)
cli.add_command(send_test_command)
cli.add_command(erase_command)
campaign_group.add_command(campaign_report_command)
cli.add_command(campaign_group)


@cli.command()
def version() -> None:
    """Print the version."""
    click.echo(shortlist.__version__)


def _moment(text: str) -> str:
    """An ISO 8601 moment, UTC where it names no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ContractError(f"--as-of {text!r} is not ISO 8601, for example 2026-01-05T06:00:00Z.") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()


def _runs(place: Target) -> DynamoRunsTable:
    return DynamoRunsTable(place.account.client("dynamodb"), place.deployment.runs_table)


def _lists(place: Target) -> DynamoListsTable:
    return DynamoListsTable(place.account.client("dynamodb"), place.deployment.recommendations_table)


def main(arguments: Sequence[str] | None = None) -> int:
    """The one place where an error becomes a sentence; answers with the exit code."""
    try:
        code = cli(arguments, prog_name="shortlist", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except (ShortlistError, BotoCoreError, ClientError, OSError) as error:
        Console(stderr=True).print(f"shortlist: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return execute.FAILED
    return int(code or execute.DONE)


if __name__ == "__main__":
    sys.exit(main())
