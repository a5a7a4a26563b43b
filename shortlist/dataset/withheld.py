"""Blocks, customers' answers and recent mailings in; the pairs of a user and an item that stay off every list out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shortlist.contracts.arrays import RESPONSE_CODES, Int64Array, StringTable, Withheld
from shortlist.dataset.dataset import ResponseRows
from shortlist.dataset.ids import read_ids, rows_of
from shortlist.dataset.reader import Batch, InputTable, batches

BLOCKABLE: Final = ("item_id", "category", "brand")


@dataclass(frozen=True, slots=True)
class NamedPairs:
    """Users, and what each is not to be shown: an item's id, or the name of a category or brand.

    Attributes:
        users, named: string (n,).
    """

    users: pa.Array
    named: pa.Array

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "NamedPairs":
        listed = list(pairs)
        return cls(pa.array([user for user, _ in listed], pa.string()), pa.array([n for _, n in listed], pa.string()))

    def __len__(self) -> int:
        return len(self.users)


def read_blocks(table: InputTable | None) -> Mapping[str, NamedPairs]:
    """The blocks table by what it names (`BLOCKABLE`); None: the shop sends none.

    Raises:
        DatasetError: a file cannot be used.
    """
    parts = [] if table is None else [_read(batch) for batch in batches(table)]
    empty = pa.array([], pa.string())
    return {
        column: NamedPairs(
            pa.concat_arrays([empty, *(part[column].users for part in parts)]),
            pa.concat_arrays([empty, *(part[column].named for part in parts)]),
        )
        for column in BLOCKABLE
    }


def withhold(
    by_item: Iterable[NamedPairs],
    by_kind: Iterable[tuple[NamedPairs, StringTable]],
    responses: ResponseRows,
    user_words: pa.Array,
    item_words: pa.Array,
) -> Withheld:
    """All pairs as rows; ids and names that the run does not know say nothing.

    Args:
        by_item: pairs that name items.
        by_kind: pairs that name categories or brands, and the category or brand of every item. A pair is made for each
            item of the kind: 4 bytes each.
        responses: of which those of no interest count.
    """
    n_items = max(len(item_words), 1)
    refused = responses.kind == RESPONSE_CODES["not_interested"]
    keys = [responses.user_row[refused].astype(np.int64) * n_items + responses.item_row[refused]]
    for pairs in by_item:
        users, items = _rows(pairs.users, user_words), _rows(pairs.named, item_words)
        known = (users >= 0) & (items >= 0)
        keys.append(users[known] * n_items + items[known])
    for pairs, kinds in by_kind:
        if len(pairs):
            keys.append(_of_kind(pairs, kinds, user_words, n_items))
    users, items = np.divmod(np.unique(np.concatenate(keys)), n_items)
    indptr = np.searchsorted(users, np.arange(len(user_words) + 1)).astype(np.int64)
    return Withheld(indptr, items.astype(np.int32))


def _of_kind(pairs: NamedPairs, kinds: StringTable, user_words: pa.Array, n_items: int) -> Int64Array:
    of_item = pa.array(kinds.to_list(), pa.string()).dictionary_encode()
    kind_of_item = of_item.indices.to_numpy()
    items = np.argsort(kind_of_item, kind="stable")
    ends = np.cumsum(np.bincount(kind_of_item, minlength=len(of_item.dictionary)))
    users, named = _rows(pairs.users, user_words), _rows(pairs.named, of_item.dictionary)
    known = (users >= 0) & (named >= 0)
    starts = np.concatenate([[0], ends])
    keys = [
        user * n_items + items[starts[kind] : starts[kind + 1]]
        for user, kind in zip(users[known].tolist(), named[known].tolist(), strict=True)
    ]
    return np.concatenate([np.empty(0, np.int64), *keys])


def _rows(names: pa.Array, words: pa.Array) -> Int64Array:
    rows: Int64Array = pc.fill_null(rows_of(names, words), -1).to_numpy().astype(np.int64)
    return rows


def _read(batch: Batch) -> dict[str, NamedPairs]:
    ids = read_ids(batch, "user_id")
    absent = pa.nulls(len(batch), pa.string())
    named = {column: batch.read("text", column) if column in batch.columns else absent for column in BLOCKABLE}
    blank = [pc.fill_null(pc.equal(cells, ""), True).to_numpy(zero_copy_only=False) for cells in named.values()]
    batch.refuse(np.logical_and.reduce(blank), "user_id", "comes without an item, a category or a brand to block")
    users = ids.strings()
    return {
        column: NamedPairs(
            users.filter(pa.array(batch.check.ok & ~empty)), cells.filter(pa.array(batch.check.ok & ~empty))
        )
        for (column, cells), empty in zip(named.items(), blank, strict=True)
    }
