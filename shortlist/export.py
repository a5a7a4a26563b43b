"""Lines of `topx/<shard>.jsonl` come in; rows of one CSV file for other mail tools go out, an item a row."""

import csv
from collections.abc import Iterable, Iterator
from typing import Final, TextIO

import msgspec

from shortlist.contracts.lists import UserLists, Wording
from shortlist.mail.reasons import phrase

COLUMNS: Final = (
    "user_id",
    "list",
    "rank",
    "item_id",
    "title",
    "score",
    "reason",
    "price",
    "currency",
    "category",
    "brand",
    "url",
    "image_url",
    "offer_until",
    "filled",
)


def rows(lists: UserLists, wording: Wording = "purchases") -> Iterator[tuple[str | float, ...]]:
    """The rows of one user, in the order of `COLUMNS`; the lists in the campaign's order, each best first."""
    for kind, items in lists.lists.items():
        for rank, item in enumerate(items, 1):
            yield (
                lists.user_id,
                kind,
                rank,
                item.item_id,
                item.title,
                item.score,
                phrase(item.reason, wording=wording),
                "" if item.price is None else item.price,
                item.currency,
                item.category,
                item.brand,
                item.url,
                item.image_url,
                item.offer_until,
                "yes" if item.filled else "",
            )


def write_csv(shards: Iterable[bytes], out: TextIO, wording: Wording = "purchases") -> int:
    """Write the lists of all shards, one shard in memory at a time; returns the number of users.

    Args:
        shards: contents of the `topx/` objects.
        out: opened with `newline=""`.
        wording: of the reasons.
    """
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    decoder = msgspec.json.Decoder(UserLists)
    users = 0
    for shard in shards:
        for line in shard.splitlines():
            writer.writerows(rows(decoder.decode(line), wording))
            users += 1
    return users
