"""`shortlist campaign report`: a campaign in; what became of its mailing, and of every recipient, out."""

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shortlist.aws.ledger import DynamoLedger
from shortlist.aws.responses import DynamoResponses
from shortlist.aws.runs import DynamoRunsTable
from shortlist.commands.target import Target, TargetName, connect, target_option
from shortlist.contracts.attribution import Arm, Attribution, Lift
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.records import RunRecord, campaign_run
from shortlist.contracts.summaries import PrepareSummary
from shortlist.errors import ContractError, MissingObjectError
from shortlist.lift import points
from shortlist.mail.delivery import Outcome
from shortlist.ports import ObjectStore, RunsTable
from shortlist.report.mailing import MailingFigures, Recipient, figures, recipients, write_csv
from shortlist.responses import of_people
from shortlist.stages.resume import read_manifest

_SHOWN_ITEMS = 10


@click.command("report")
@click.argument("campaign")
@click.option("--run", "run_id", default="", help="Of which run; the newest that mailed by default.")
@click.option("--csv", "path", type=click.Path(path_type=Path), help="Write a row for every recipient there.")
@target_option
def campaign_report_command(campaign: str, run_id: str, path: Path | None, target: TargetName) -> None:
    """Say what became of a mailing, and what it brought.

    Recipients are counted once each: sent, suppressed by cause, held out, rejected, in doubt, waiting.
    """
    console = Console()
    place = connect(target, console)
    table = DynamoRunsTable(place.account.client("dynamodb"), place.deployment.runs_table)
    run_id = run_id or newest_mailing(campaign, runs=table, store=place.store)
    found = _recipients(place, campaign, run_id)
    eligible = msgspec.convert(read_manifest(run_id, "Prepare", store=place.store).summary, PrepareSummary).mailable
    console.print(mailing_table(campaign, run_id, figures(found, eligible)))
    told = attribution_of(campaign, run_id, runs=table, store=place.store)
    if told is None:
        console.print("What it brought is told by the next run, with the purchases until then.")
    else:
        for part in attribution_tables(told):
            console.print(part)
    if path is not None:
        with path.open("w", newline="", encoding="utf-8") as out:
            count = write_csv(found, out)
        console.print(f"{count:,} recipients in {path}", markup=False, highlight=False)


def newest_mailing(campaign: str, *, runs: RunsTable, store: ObjectStore) -> str:
    """The newest run of a campaign that has mailed somebody, or said why not.

    Raises:
        ContractError: there is none.
    """
    for record in runs.list(campaign):
        if next(store.list(RunKeys(record.run_id).outcomes_prefix), None) is not None:
            return record.run_id
    raise ContractError(f"{campaign} has not mailed anybody. See `shortlist runs`.")


def attribution_of(campaign: str, run_id: str, *, runs: RunsTable, store: ObjectStore) -> Attribution | None:
    """What the newest later run knows of a mailing."""
    for record in runs.list(campaign):
        for told in _attributions(record, store):
            if told.run_id == run_id:
                return told
        if record.run_id == run_id:
            break
    return None


def mailing_table(campaign: str, run_id: str, counted: MailingFigures) -> Table:
    """Every recipient counted once by outcome, then what the mail service and the recipients said."""
    table = Table(title=f"{campaign} · {run_id}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("recipients")
    table.add_column("", justify="right")
    table.add_column("", justify="right")

    def add(name: str, count: int, of: int, style: str = "") -> None:
        table.add_row(Text(name, style), f"{count:,}", f"{count / of:.1%}" if of else "")

    add("eligible", counted.eligible, 0, "bold")
    for outcome in ("sent", "suppressed", "held_out", "rejected", "in_doubt", "without_list", "waiting"):
        add(outcome.replace("_", " "), counted.outcomes.get(outcome, 0), counted.eligible)
        if outcome == "suppressed":
            for cause, count in counted.suppressed_by_cause.items():
                add(f"  {cause.replace('_', ' ')}", count, counted.eligible, "dim")
    if counted.not_reached:
        add("not reached yet", counted.not_reached, counted.eligible)
    table.add_section()
    sent = counted.outcomes.get("sent", 0)
    for state in ("delivered", "bounced", "complained"):
        add(state, counted.states.get(state, 0), sent)
    for kind in ("opened", "clicked", "not_interested", "unsubscribed"):
        add(kind.replace("_", " "), counted.responses.get(kind, 0), sent)
    return table


def attribution_tables(told: Attribution) -> Iterator[Table]:
    """What a mailing brought, by groups and by products."""
    after = f"within {told.days:g} days" + ("" if told.complete else ", which have not passed yet")
    groups = Table(title=f"Bought {after}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("group", "recipients", "anything", "what it shows"):
        groups.add_column(name, justify="left" if name == "group" else "right")
    variants = told.mailed.items()
    for name, arm in (*((f"mailed {key}" if len(told.mailed) > 1 else "mailed", arm) for key, arm in variants),):
        groups.add_row(name, *_shares(arm))
    if told.held_out.recipients:
        groups.add_row("held out", *_shares(told.held_out))
        groups.add_row("lift (95 %)", "", _points(told.lift), _points(told.lift_shown))
    if told.b_against_a:
        groups.add_row("b against a (95 %)", "", _points(told.b_against_a), _points(told.b_against_a_shown))
    yield groups
    items = Table(
        title=f"{told.clicked:,} clicked, {told.bought_after_click:,} of them bought what they clicked on",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in ("item", "shown", "clicked", "bought", "bought after click"):
        items.add_column(name, justify="left" if name == "item" else "right")
    for item in told.items[:_SHOWN_ITEMS]:
        counts = (item.shown, item.clicked, item.bought, item.bought_after_click)
        items.add_row(Text(item.item_id), *(f"{count:,}" for count in counts))
    yield items


def _recipients(place: Target, campaign: str, run_id: str) -> list[Recipient]:
    database = place.account.client("dynamodb")
    ledger = DynamoLedger(database, place.deployment.deliveries_table)
    responses = DynamoResponses(database, place.deployment.responses_table)
    entries = {entry.user_id: entry for entry in ledger.entries(campaign_run(campaign, run_id))}
    said = of_people(responses.of_run(campaign, run_id))
    return list(recipients(_outcomes(run_id, place.store), entries, said))


def _outcomes(run_id: str, store: ObjectStore) -> Iterator[Outcome]:
    decoder = msgspec.json.Decoder(Outcome)
    for entry in store.list(RunKeys(run_id).outcomes_prefix):
        yield from decoder.decode_lines(store.read(entry.key))


def _attributions(record: RunRecord, store: ObjectStore) -> list[Attribution]:
    try:
        return msgspec.json.decode(store.read(RunKeys(record.run_id).attribution), type=list[Attribution])
    except MissingObjectError:
        return []


def _shares(arm: Arm) -> tuple[str, str, str]:
    return f"{arm.recipients:,}", f"{arm.bought / arm.recipients:.2%}", f"{arm.bought_shown / arm.recipients:.2%}"


def _points(lift: Lift | None) -> str:
    return f"{points(lift)} points" if lift else ""
