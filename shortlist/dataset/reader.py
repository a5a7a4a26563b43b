"""The files of one input table in; batches under the contract's column names out, whatever the shop calls them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from shortlist.config import Table
from shortlist.contracts.arrays import BoolArray, Int32Array, Int64Array
from shortlist.contracts.inputs import OPTIONAL_COLUMNS, REQUIRED_COLUMNS
from shortlist.dataset import cells, parquet_file
from shortlist.dataset.csv_file import CsvFile
from shortlist.dataset.parquet_file import ParquetFile
from shortlist.dataset.rejects import Rejects, RowCheck
from shortlist.dataset.source import SourceFile
from shortlist.errors import ContractError, DatasetError
from shortlist.ports import Progress

FEATURE: Final = "feature:"
"""Before the file's name of a feature column, to keep it apart from ours."""

_PROGRESS_ROWS: Final = 5_000_000
_SHOWN: Final = 500
"""Characters of a header that a message repeats."""
_ZIP_MAGIC: Final = b"PK\x03\x04"
_OLD_EXCEL_MAGIC: Final = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, slots=True)
class InputTable:
    """An input table: its opened files in the order of their keys, its settings, its bad rows."""

    name: str
    settings: Table
    sources: Sequence[SourceFile]
    rejects: Rejects
    progress: Progress

    def shop_name(self, column: str) -> str:
        """What the shop calls our column; a feature is called so already."""
        return column.removeprefix(FEATURE) if column.startswith(FEATURE) else self.settings.columns.get(column, column)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a table. `columns` has those that the file has, by our names; `files`, `ordinals` say whence."""

    table: InputTable
    columns: Mapping[str, pa.Array]
    files: Int32Array
    ordinals: Int64Array
    check: RowCheck

    def __len__(self) -> int:
        return len(self.files)

    def read(self, kind: cells.CellKind, column: str) -> pa.Array:
        """A column as `kind`; rows that do not fit are refused.

        Raises:
            DatasetError: no cell of the column can be of that kind.
        """
        try:
            array, bad = cells.read(kind, self.columns[column])
        except pa.ArrowException as error:
            raise DatasetError(self._wrong_type(column, _WORDS[kind])) from error
        self.refuse(bad, column, f"is not {_WORDS[kind]}")
        return array

    def read_labels(self, column: str) -> pa.Array:
        """A multi-valued feature as list<string>."""
        try:
            return cells.label_lists(self.columns[column], self.table.settings.separator)
        except pa.ArrowException as error:
            raise DatasetError(self._wrong_type(column, "a list of values")) from error

    def file_name(self) -> str:
        """The file of the first row."""
        return self.table.sources[int(self.files[0]) if len(self) else 0].name

    def refuse(self, bad: BoolArray, column: str, reason: str) -> None:
        self.check.refuse(bad, self.table.shop_name(column), reason)

    def _wrong_type(self, column: str, wanted: str) -> str:
        return (
            f"{self.file_name()}: column {self.table.shop_name(column)!r} has the type {self.columns[column].type}, "
            f"expected {wanted}. Cure: export it as text, or map another column."
        )


_WORDS: Final[Mapping[cells.CellKind, str]] = {
    "text": "a text",
    "number": "a number (decimal point, no thousands separators)",
    "moment": "a time (ISO 8601, or epoch seconds after 1973)",
    "truth": "true or false",
}


def open_table(name: str, settings: Table, files: Sequence[tuple[Path, str]], progress: Progress) -> InputTable:
    """Open the files of a table.

    Args:
        name: `interactions`, `items` or `users`.
        files: path and key of each.

    Raises:
        ContractError: the settings name a column that the table does not have, or an unknown encoding.
        DatasetError: a file is empty, damaged or of another kind.
    """
    check_columns(name, settings)
    known = REQUIRED_COLUMNS[name] + OPTIONAL_COLUMNS[name]
    wanted = {settings.columns.get(column, column) for column in known} | set(settings.features)
    sources = [_open(path, key, name, settings.encoding, wanted) for path, key in files]
    return InputTable(name, settings, sources, Rejects(name), progress)


def check_columns(name: str, settings: Table) -> None:
    """Refuse a mapping of columns that the table does not have.

    Raises:
        ContractError: names the column and those there are.
    """
    known = REQUIRED_COLUMNS[name] + OPTIONAL_COLUMNS[name]
    for column in settings.columns:
        if column not in known:
            raise ContractError(
                f"`input.{name}.columns` maps {column!r}, which {name} do not have. Cure: one of {', '.join(known)}; "
                f"feature columns go under `input.{name}.features`."
            )


def batches(table: InputTable, extra: Sequence[str] = ()) -> Iterator[Batch]:
    """The rows of all files, with every column of the contract that is there, and the declared features.

    Args:
        extra: further columns by the shop's names, which must be there; they come under the same names as features.

    Raises:
        DatasetError: a file lacks a column, or cannot be read to its end.
    """
    for number, source in enumerate(table.sources):
        chosen = _chosen(table, source, extra)
        ours, theirs = list(chosen), list(chosen.values())
        first = 0
        for part in source.batches(list(dict.fromkeys(theirs))):
            ordinals = np.arange(first, first + part.num_rows, dtype=np.int64)
            files = np.full(part.num_rows, number, np.int32)
            columns = {column: part.column(name) for column, name in zip(ours, theirs, strict=True)}
            yield Batch(table, columns, files, ordinals, RowCheck(table.rejects, files, ordinals))
            first += part.num_rows
            if first // _PROGRESS_ROWS > (first - part.num_rows) // _PROGRESS_ROWS:
                table.progress("rows_read", {"table": table.name, "file": source.name, "rows": first})
        table.rejects.rows += first + source.malformed
        table.rejects.rejected += source.malformed
        table.progress("file_read", {"table": table.name, "file": source.name, "rows": first + source.malformed})


def _chosen(table: InputTable, source: SourceFile, extra: Sequence[str]) -> dict[str, str]:
    """Our column -> the file's column."""
    settings, required = table.settings, REQUIRED_COLUMNS[table.name]
    chosen: dict[str, str] = {}
    for column in required + OPTIONAL_COLUMNS[table.name]:
        name = settings.columns.get(column, column)
        if name in source.columns:
            chosen[column] = name
        elif column in required or column in settings.columns:
            raise _missing(
                source,
                name,
                f"set `input.{table.name}.columns.{column}` to the file's name of it, "
                "or put the names of the columns into its first line",
            )
    for name in (*settings.features, *extra):
        if name not in source.columns:
            raise _missing(source, name, "correct the campaign file, or add the column")
        chosen[FEATURE + name] = name
    return chosen


def _missing(source: SourceFile, name: str, cure: str) -> DatasetError:
    return DatasetError(
        f"{source.name} has no column {name!r}; it has {', '.join(source.columns)[:_SHOWN]}. Cure: {cure}."
    )


def _open(path: Path, key: str, table: str, encoding: str, wanted: set[str]) -> SourceFile:
    with path.open("rb") as file:
        start = file.read(4)
    if start == parquet_file.MAGIC:
        return ParquetFile(path, key)
    if start in (_ZIP_MAGIC, _OLD_EXCEL_MAGIC):
        raise DatasetError(
            f"{key} is a ZIP archive or an Excel workbook. Cure: save it as CSV (plain or .gz) or Parquet."
        )
    return CsvFile(path, key, encoding=encoding, setting=f"input.{table}.encoding", wanted=wanted)
