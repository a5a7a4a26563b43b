"""A run, a customer and a seed list in; the customer's message, marked as a test, sent to each address of it, out."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from shortlist.contracts.records import RunRecord
from shortlist.errors import ContractError, MessageRejectedError
from shortlist.mail.address import address_hash
from shortlist.ports import MailTransport, ObjectStore, Suppressions
from shortlist.stages.preview import preview

MOST: Final = 20
"""Addresses of a seed list: colleagues, not customers."""


def send_test(
    record: RunRecord,
    addresses: Sequence[str],
    user_id: str,
    *,
    store: ObjectStore,
    suppressions: Suppressions,
    transport: MailTransport,
) -> Iterator[str]:
    """Send, and say of each address when its message was taken.

    A test has no run in its tags and no claim: no entry in the ledger, no event and no report knows of it. Its
    unsubscribe link leads nowhere, as a preview's.

    Raises:
        ContractError: too many addresses, one that is none or must not be mailed, or nobody has a message in this run.
    """
    if len(addresses) > MOST:
        raise ContractError(f"{len(addresses)} addresses are no seed list: {MOST} at most.")
    for address in addresses:
        _check(address)
    as_of = datetime.fromisoformat(record.as_of)
    messages = [preview(record.run_id, as_of, user_id, store=store, to=address, test=True) for address in addresses]
    standings = suppressions.standing([address_hash(message.recipient) for message in messages])
    for message in messages:
        standing = standings.get(address_hash(message.recipient))
        if standing and standing.cause:
            raise ContractError(f"{message.recipient} must not be mailed ({standing.cause}). Leave that address out.")
    for message in messages:
        transport.send(message)
        yield message.recipient


def _check(address: str) -> None:
    try:
        address_hash(address)
    except MessageRejectedError as error:
        raise ContractError(
            f"{address!r} is no e-mail address. Give the addresses after the campaign's name."
        ) from error
