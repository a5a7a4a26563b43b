"""What the demonstration promises, checked against what AWS holds: report, tables and mailbox in, complaints out."""

from collections import Counter
from collections.abc import Iterator
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Final

import msgspec
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import Recipient, UserLists
from shortlist.contracts.report import Report
from shortlist.ports import ListsTable, ObjectStore

UNSUBSCRIBE_HEADERS: Final = ("List-Unsubscribe", "List-Unsubscribe-Post")


def check(
    report: Report, tables: dict[str, Path], *, store: ObjectStore, lists: ListsTable, mailbox: Path
) -> Iterator[str]:
    """Sentences about what is not as it should be; nothing where all is well."""
    yield from _counts(report, tables["interactions"])
    yield from _lists(report, store=store, lists=lists)
    yield from _mails(report, store=store, mailbox=mailbox)
    figures = report.metrics
    for name in ("popularity", "buy_it_again"):
        baseline = figures.by_name[name]
        if figures.recall_at_x <= baseline.recall_at_x:
            yield f"recall@{figures.x} {figures.recall_at_x:.4f} does not beat {name} {baseline.recall_at_x:.4f}"


def _counts(report: Report, interactions: Path) -> Iterator[str]:
    """The run used every line, household and product of the source file, counted anew here."""
    source = pq.read_table(interactions, columns=["household_id", "product_id"])
    wanted = (pc.count_distinct(source["household_id"]).as_py(), pc.count_distinct(source["product_id"]).as_py())
    counts = report.counts
    if (counts.users, counts.items, counts.interactions) != (*wanted, source.num_rows):
        yield f"the source has {wanted} and {source.num_rows} lines, the report says {counts}"


def _lists(report: Report, *, store: ObjectStore, lists: ListsTable) -> Iterator[str]:
    """Every user's item in DynamoDB holds exactly the list that was ranked, of full length and without repeats."""
    checked = 0
    everyone = list(user_lists(report.run_id, store=store))
    found_of = lists.find([ranked.user_id for ranked in everyone], report.run_id)
    for ranked in everyone:
        stored = found_of.get(ranked.user_id)
        wanted = [entry.item_id for entry in next(iter(ranked.lists.values()))]
        found = [] if stored is None else [entry.item_id for entry in stored.items]
        if found != wanted or len(set(found)) != report.metrics.x:
            yield f"the list of {ranked.user_id} is not stored as it was ranked: {found}"
        checked += 1
    if checked != report.counts.users or report.lists_written != checked:
        yield f"{report.counts.users} users, {checked} lists ranked, {report.lists_written} written"


def _mails(report: Report, *, store: ObjectStore, mailbox: Path) -> Iterator[str]:
    """One message for every mailable household, none for any other."""
    wanted = Counter(
        msgspec.json.decode(line, type=Recipient).email
        for shard in store.list(RunKeys(report.run_id).recipient_shards)
        for line in store.read(shard.key).splitlines()
    )
    found: Counter[str] = Counter()
    headers = BytesHeaderParser()
    for path in sorted(mailbox.glob("*.eml")):
        message = headers.parsebytes(path.read_bytes())
        found[str(message["To"])] += 1
        if missing := [name for name in UNSUBSCRIBE_HEADERS if not message[name]]:
            yield f"{path.name} lacks {', '.join(missing)}"
    if found != wanted:
        wrong = sorted((found - wanted) | (wanted - found))
        yield f"{found.total()} mails for {wanted.total()} recipients; wrong are {wrong[:5]}"
    if report.mails_sent != found.total():
        yield f"the report says {report.mails_sent} mails, the mailbox holds {found.total()}"


def user_lists(run_id: str, *, store: ObjectStore) -> Iterator[UserLists]:
    """The ranked lists of all users, as the run left them in the bucket."""
    for shard in store.list(RunKeys(run_id).topx_prefix):
        for line in store.read(shard.key).splitlines():
            yield msgspec.json.decode(line, type=UserLists)
