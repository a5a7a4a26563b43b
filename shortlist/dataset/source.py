"""What a file of the shop gives, whatever its format: column names, batches of rows, single rows by number."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol

import pyarrow as pa

from shortlist.contracts.arrays import Int64Array

MALFORMED: Final = -1
"""Ordinal of a row whose number of fields is not the header's."""


class SourceRow(NamedTuple):
    """One row as it stands in the file.

    Attributes:
        ordinal: number among the well-formed rows, from 0, or MALFORMED.
        line: line of a CSV file on which the row starts (the header is line 1); row number in a Parquet file, from 1.
        text: the row's own characters in CSV, JSON for Parquet.
    """

    ordinal: int
    line: int
    text: str


class SourceFile(Protocol):
    """An opened file. `malformed` counts the rows that `batches` left out because of their number of fields."""

    name: str
    columns: tuple[str, ...]
    malformed: int

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The well-formed rows in order, with these columns, named so.

        Raises DatasetError where the file cannot be read to its end.
        """

    def locate(self, ordinals: Int64Array) -> Iterator[SourceRow]:
        """The rows with these ordinals (ascending) and the malformed ones, in the order of the file."""
