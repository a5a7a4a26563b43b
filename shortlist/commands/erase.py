"""A user in; their address and history deleted everywhere, all but the hash that keeps them suppressed, out."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click
import msgspec
from rich.console import Console

from shortlist.aws.ledger import DynamoLedger
from shortlist.aws.lists import DynamoListsTable
from shortlist.aws.responses import DynamoResponses
from shortlist.aws.runs import DynamoRunsTable
from shortlist.aws.suppressions import DynamoSuppressions
from shortlist.commands.forget import forget_lines, rename_in_arrays
from shortlist.commands.target import TargetName, connect, target_option
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import Recipient
from shortlist.contracts.records import RunRecord, campaign_run
from shortlist.errors import ContractError, MessageRejectedError
from shortlist.mail.address import address_hash
from shortlist.ports import Ledger, ListsTable, ObjectStore, Responses, RunsTable, Suppressions


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a user and is gone; `addresses` of theirs are suppressed for good."""

    addresses: int
    lists: int
    deliveries: int
    responses: int
    arrays: int
    lines: int


def erase(
    user_id: str,
    addresses: Sequence[str],
    *,
    store: ObjectStore,
    runs: RunsTable,
    lists: ListsTable,
    ledger: Ledger,
    suppressions: Suppressions,
    responses: Responses,
    at: str,
) -> Erased:
    """Erase a user. May be repeated; killed half-way, repeating it does the rest.

    The addresses are suppressed first, so that a mailing that is under way does not mail somebody it no longer knows;
    the lines from which the addresses are known go last.

    Args:
        addresses: theirs, beside those that stand in the runs.

    Raises:
        ContractError: nothing is known of this user.
        MessageRejectedError: an address is none.
    """
    records = list(runs.all())
    known = {*addresses, *_addresses(user_id, records, store)}
    hashes = sorted({address_hash(address) for address in known})
    for known_by in hashes:
        suppressions.erase(known_by, at)
    erased = Erased(
        addresses=len(hashes),
        lists=lists.forget(user_id),
        deliveries=ledger.forget(user_id, [campaign_run(one.campaign, one.run_id) for one in records], hashes),
        responses=responses.forget(user_id),
        arrays=sum(rename_in_arrays(user_id, RunKeys(record.run_id), store=store) for record in records),
        lines=sum(forget_lines(user_id, known, RunKeys(record.run_id), store=store) for record in records),
    )
    if not any(msgspec.structs.astuple(erased)):
        raise ContractError(f"nothing is known of a user {user_id!r}. `--address` suppresses an address all the same.")
    return erased


def _addresses(user_id: str, records: Sequence[RunRecord], store: ObjectStore) -> Iterator[str]:
    """Addresses at which the runs that are kept would mail the user."""
    decoder = msgspec.json.Decoder(Recipient)
    for record in records:
        for entry in store.list(RunKeys(record.run_id).recipient_shards):
            recipients = (decoder.decode(line) for line in store.read(entry.key).splitlines())
            yield from (recipient.email for recipient in recipients if recipient.user_id == user_id)


@click.command("erase")
@click.argument("user_id")
@click.option("--address", "addresses", multiple=True, help="Of theirs, where no run that is kept has it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@target_option
def erase_command(user_id: str, addresses: tuple[str, ...], yes: bool, target: TargetName) -> None:
    """Delete what is kept of a customer, and never mail them again. There is no way back.

    What stays is the hash of their address on the suppression list.
    """
    if not yes:
        click.confirm(f"Erase user {user_id}?", abort=True)
    place = connect(target, Console())
    client, deployed = place.account.client("dynamodb"), place.deployment
    try:
        erased = erase(
            user_id,
            addresses,
            store=place.store,
            runs=DynamoRunsTable(client, deployed.runs_table),
            lists=DynamoListsTable(client, deployed.recommendations_table),
            ledger=DynamoLedger(client, deployed.deliveries_table),
            suppressions=DynamoSuppressions(client, deployed.suppressions_table),
            responses=DynamoResponses(client, deployed.responses_table),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    except MessageRejectedError as error:
        raise ContractError(f"{error} Give --address as it stands in the users table.") from error
    click.echo(
        f"Erased: {erased.lists} lists, {erased.deliveries} deliveries, {erased.responses} responses, "
        f"{erased.lines} lines and {erased.arrays} arrays of runs. {erased.addresses} addresses get no mail any more.\n"
        "Take them out of the shop's own tables too: the next run reads those. docs/mail.md says what goes by itself."
    )
