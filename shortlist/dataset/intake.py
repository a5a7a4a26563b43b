"""All files of the shop in; interactions, items and users as read, with the rows that were set aside, out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from shortlist.config import Input, Table
from shortlist.contracts.arrays import Int64Array
from shortlist.contracts.keys import input_prefix
from shortlist.dataset.entities import COLUMN_KINDS, Entities, batches_of, no_entities, read_entities
from shortlist.dataset.ids import EncodedIds
from shortlist.dataset.newest_lines import NewestLines
from shortlist.dataset.offers import Offers, read_offers
from shortlist.dataset.purchases import Purchases, read_purchases
from shortlist.dataset.reader import Batch, InputTable, batches, check_columns, open_table
from shortlist.dataset.rejects import Rejects
from shortlist.dataset.withheld import NamedPairs, read_blocks
from shortlist.errors import DatasetError
from shortlist.ports import Progress

EntityTable = Literal["items", "users"]
ENTITY_TABLES: Final[tuple[EntityTable, ...]] = ("items", "users")

Files = Mapping[str, Sequence[tuple[Path, str]]]
"""Table -> path and key of each of its files."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What the shop sent. `tables` has those that were read; only interactions are always there."""

    tables: Mapping[str, InputTable]
    purchases: Purchases
    items: Entities
    users: Entities
    offers: Offers
    blocks: Mapping[str, NamedPairs]


def take_in(files: Files, settings: Input, as_of: int, progress: Progress) -> Intake:
    """Read everything once.

    Args:
        as_of: epoch seconds; interactions after it are refused.

    Raises:
        DatasetError: a file cannot be used, or there are no interactions.
        ContractError: the settings do not fit the tables.
    """
    if not files["interactions"]:
        prefix = input_prefix(settings.prefix, "interactions")
        raise DatasetError(f"{prefix} holds no file. Cure: put the purchases there, as CSV (plain or .gz) or Parquet.")
    origins = {"items": settings.items_from, "users": settings.users_from}
    table_settings: dict[EntityTable, Table] = {"items": settings.items, "users": settings.users}
    interactions = open_table("interactions", settings.interactions, files["interactions"], progress)
    tables = {"interactions": interactions}
    made: dict[EntityTable, NewestLines] = {}
    for name in ENTITY_TABLES:
        if origins[name] == "interactions":
            check_columns(name, table_settings[name])
            made[name] = NewestLines(_columns_of(name, table_settings[name]))
            rejects = Rejects(name, from_files=False)
            tables[name] = InputTable(name, table_settings[name], interactions.sources, rejects, progress)
        elif files[name]:
            tables[name] = open_table(name, table_settings[name], files[name], progress)
    for other, its_settings in (("offers", settings.offers), ("blocks", settings.blocks)):
        if files[other]:
            tables[other] = open_table(other, its_settings, files[other], progress)
    purchases = _purchases(interactions, settings, as_of, made)
    entities = {name: _entities(name, tables.get(name), made.get(name)) for name in ENTITY_TABLES}
    return Intake(
        tables,
        purchases,
        **entities,
        offers=read_offers(tables.get("offers")),
        blocks=read_blocks(tables.get("blocks")),
    )


def _purchases(table: InputTable, settings: Input, as_of: int, made: Mapping[EntityTable, NewestLines]) -> Purchases:
    def observe(batch: Batch, users: EncodedIds, items: EncodedIds, timestamp: Int64Array) -> None:
        for name, newest in made.items():
            newest.observe(batch, items if name == "items" else users, timestamp)

    extra = tuple(dict.fromkeys(column for newest in made.values() for column in newest.columns))
    return read_purchases(table, settings, as_of, extra=extra, observe=observe)


def _entities(name: EntityTable, table: InputTable | None, newest: NewestLines | None) -> Entities:
    if table is None:
        return no_entities(name)
    return read_entities(table, batches(table) if newest is None else batches_of(table, newest))


def _columns_of(name: EntityTable, settings: Table) -> tuple[str, ...]:
    """The interactions file's columns that the table is made of, besides the id."""
    mapped = (theirs for ours, theirs in settings.columns.items() if ours in COLUMN_KINDS[name])
    return tuple(dict.fromkeys((*mapped, *settings.features)))
