"""An items or users table in; one line per id out, its columns typed, ready to be laid along a vocabulary."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shortlist.config import FeatureKind
from shortlist.contracts.arrays import Int32Array
from shortlist.dataset.cells import CellKind
from shortlist.dataset.ids import read_ids
from shortlist.dataset.newest_lines import NewestLines
from shortlist.dataset.reader import FEATURE, Batch, InputTable
from shortlist.dataset.rejects import RowCheck

ID_COLUMN: Final = {"items": "item_id", "users": "user_id"}
COLUMN_KINDS: Final[Mapping[str, Mapping[str, CellKind]]] = {
    "items": {
        "title": "text",
        "url": "text",
        "image_url": "text",
        "currency": "text",
        "category": "text",
        "brand": "text",
        "price": "number",
        "margin": "number",
        "available_from": "moment",
        "available_until": "moment",
        "in_stock": "truth",
    },
    "users": {
        "email": "text",
        "first_name": "text",
        "locale": "text",
        "time_zone": "text",
        "subscribed": "truth",
    },
}
_ARROW_TYPES: Final[Mapping[CellKind, pa.DataType]] = {
    "text": pa.string(),
    "number": pa.float64(),
    "moment": pa.int64(),
    "truth": pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class Entities:
    """Items or users, one line an id.

    Attributes:
        ids: string (n,), distinct.
        columns: every column of COLUMN_KINDS; null where the table does not say.
        features: the declared ones by the shop's name: string, float64 or list<string>.
        kinds: of the features.
        present: columns that some file has.
        superseded: lines that a later line of the same id replaced.
    """

    ids: pa.Array
    columns: Mapping[str, pa.Array]
    features: Mapping[str, pa.Array]
    kinds: Mapping[str, FeatureKind]
    present: frozenset[str]
    superseded: int

    def along(self, words: pa.Array) -> "Entities":
        """The same laid along a vocabulary: one line a word, all null for words that are not here."""
        positions = pc.index_in(words, value_set=self.ids)
        return Entities(
            ids=words,
            columns={name: array.take(positions) for name, array in self.columns.items()},
            features={name: array.take(positions) for name, array in self.features.items()},
            kinds=self.kinds,
            present=self.present,
            superseded=self.superseded,
        )


def read_entities(table: InputTable, parts: Iterable[Batch]) -> Entities:
    """Read a table; where an id comes again, its last line in the order of the files counts, as in a log of changes.

    Raises:
        DatasetError: a file cannot be used.
    """
    kinds = COLUMN_KINDS[table.name]
    ids: list[pa.Array] = []
    columns: dict[str, list[pa.Array]] = {name: [] for name in kinds}
    features: dict[str, list[pa.Array]] = {name: [] for name in table.settings.features}
    present: set[str] = set()
    for batch in parts:
        encoded = read_ids(batch, ID_COLUMN[table.name])
        present |= batch.columns.keys() & kinds.keys()
        read = {name: _column(batch, name, kind) for name, kind in kinds.items()}
        declared = {name: _feature(batch, name, kind) for name, kind in table.settings.features.items()}
        ok = pa.array(batch.check.ok)
        ids.append(encoded.strings().filter(ok))
        for name, array in read.items():
            columns[name].append(array.filter(ok))
        for name, array in declared.items():
            features[name].append(array.filter(ok))
    whole = _concatenated(ids, pa.string())
    last = _last_lines(whole)
    return Entities(
        ids=whole.take(last),
        columns={name: _concatenated(columns[name], _ARROW_TYPES[kind]).take(last) for name, kind in kinds.items()},
        features={
            name: _concatenated(features[name], _feature_type(kind)).take(last)
            for name, kind in table.settings.features.items()
        },
        kinds=table.settings.features,
        present=frozenset(present),
        superseded=len(whole) - len(last),
    )


def no_entities(name: str) -> Entities:
    """What a table has that the shop does not send."""
    columns = {column: pa.array([], _ARROW_TYPES[kind]) for column, kind in COLUMN_KINDS[name].items()}
    return Entities(pa.array([], pa.string()), columns, {}, {}, frozenset(), 0)


def batches_of(table: InputTable, newest: NewestLines) -> Iterable[Batch]:
    """The newest lines as batches of `table`, whose settings map and declare the interactions file's columns."""
    lines = newest.lines
    files, ordinals = lines["file"].to_numpy(), lines["ordinal"].to_numpy()
    columns = {
        ours: lines[FEATURE + theirs].combine_chunks()
        for ours, theirs in table.settings.columns.items()
        if ours in COLUMN_KINDS[table.name]
    }
    columns |= {FEATURE + name: lines[FEATURE + name].combine_chunks() for name in table.settings.features}
    columns[ID_COLUMN[table.name]] = lines["id"].combine_chunks()
    table.rejects.rows += len(lines)
    yield Batch(table, columns, files, ordinals, RowCheck(table.rejects, files, ordinals))


def _column(batch: Batch, name: str, kind: CellKind) -> pa.Array:
    if name not in batch.columns:
        return pa.nulls(len(batch), _ARROW_TYPES[kind])
    array = batch.read(kind, name)
    if kind == "number":
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)
    if name == "price":
        batch.refuse(pc.fill_null(pc.less(array, 0.0), False).to_numpy(zero_copy_only=False), name, "is negative")
    return array


def _feature(batch: Batch, name: str, kind: FeatureKind) -> pa.Array:
    if kind == "multi_valued":
        return batch.read_labels(FEATURE + name)
    if kind == "numeric":
        array = batch.read("number", FEATURE + name)
        return pc.if_else(pc.is_nan(array), pa.scalar(None, pa.float64()), array)
    return batch.read("text", FEATURE + name)


def _feature_type(kind: FeatureKind) -> pa.DataType:
    return {"categorical": pa.string(), "numeric": pa.float64(), "multi_valued": pa.list_(pa.string())}[kind]


def _concatenated(parts: list[pa.Array], kind: pa.DataType) -> pa.Array:
    return pa.concat_arrays([pa.array([], kind), *parts])


def _last_lines(ids: pa.Array) -> pa.Array:
    """Positions of the last line of each id, ascending."""
    encoded = ids.dictionary_encode()
    last: Int32Array = np.zeros(len(encoded.dictionary), np.int32)
    last[encoded.indices.to_numpy()] = np.arange(len(ids), dtype=np.int32)
    return pa.array(np.sort(last))
