"""The input side: columns of the shop's tables, rows that were set aside, what the first execution of a run pinned."""

from typing import Final

import msgspec

REQUIRED_COLUMNS: Final = {
    "interactions": ("user_id", "item_id", "timestamp"),
    "items": ("item_id", "title"),
    "users": ("user_id",),
    "offers": ("item_id",),
    "blocks": ("user_id",),
}
OPTIONAL_COLUMNS: Final = {
    "interactions": ("event_type", "value"),
    "items": (
        "url",
        "image_url",
        "price",
        "currency",
        "margin",
        "category",
        "brand",
        "available_from",
        "available_until",
        "in_stock",
    ),
    "users": ("email", "first_name", "locale", "time_zone", "subscribed"),
    "offers": ("offer_from", "offer_until"),
    "blocks": ("item_id", "category", "brand"),
}


class RejectedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `rejected/<table>.jsonl`. Personal data.

    Attributes:
        file: key of the input object.
        line: where the row starts in a CSV file, the header being line 1; number of the row in a Parquet file, from 1.
        column: the file's name of the column at fault; empty where it is the whole row.
        row: the row as it stands in a CSV file, as JSON where it comes from Parquet.
    """

    file: str
    line: int
    column: str
    reason: str
    row: str


class PinnedRun(msgspec.Struct, frozen=True, kw_only=True):
    """`run.json`: what the first execution of a run fixed for all later ones.

    Attributes:
        as_of: the moment the run takes as now, `2026-01-05T06:00:00Z`.
        started_at: when that execution started, in the same form; what is kept for some days is kept from here, as
            `as_of` may lie years back.
    """

    campaign: str
    as_of: str
    started_at: str
