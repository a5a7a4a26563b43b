"""A campaign's earlier mailings in; what they showed to whom, so that it can rest for a while, out."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.payloads import Run
from shortlist.ports import ObjectStore, RunsTable


class Mailed(NamedTuple):
    """A mailing, and the objects that say what it showed to whom: key -> its ETag."""

    run_id: str
    outcomes: dict[str, str]


class _Shown(msgspec.Struct):
    """What is wanted of a line of `outcomes/`: the recipient, and the items that the message showed."""

    user_id: str
    outcome: str
    items: tuple[str, ...] = ()


def mailings_before(run: Run, most: int, *, runs: RunsTable, store: ObjectStore) -> list[Mailed]:
    """The newest mailings of the campaign that began before this run did, at most so many, newest first."""
    began = datetime.fromisoformat(run.started_at)
    found: list[Mailed] = []
    for record in runs.list(run.campaign) if most else ():
        if record.run_id == run.run_id or datetime.fromisoformat(record.started_at) >= began:
            continue
        outcomes = {entry.key: entry.etag for entry in store.list(RunKeys(record.run_id).outcomes_prefix)}
        if outcomes:
            found.append(Mailed(record.run_id, outcomes))
        if len(found) == most:
            break
    return found


def shown(mailings: Sequence[Mailed], *, store: ObjectStore) -> Iterator[tuple[str, str]]:
    """User and item of everything that these mailings showed."""
    decoder = msgspec.json.Decoder(_Shown)
    for mailing in mailings:
        for key in mailing.outcomes:
            for line in decoder.decode_lines(store.read(key)):
                if line.outcome in ("sent", "in_doubt"):  # who was held out has items too, which nobody saw
                    yield from ((line.user_id, item_id) for item_id in line.items)
