"""A Parquet file in; batches of typed columns and single rows out."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shortlist.contracts.arrays import Int64Array
from shortlist.dataset.source import SourceRow
from shortlist.errors import DatasetError

MAGIC: Final = b"PAR1"
_BATCH_ROWS: Final = 1 << 19


class ParquetFile:
    """A Parquet file.

    Args:
        path: where it lies.
        name: how the shop knows it, for messages.

    Raises:
        DatasetError: the file is damaged.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.malformed = 0
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        self.columns = tuple(self._file.schema_arrow.names)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        distinct = list(dict.fromkeys(columns))
        try:
            for batch in self._file.iter_batches(_BATCH_ROWS, columns=distinct, use_threads=False):
                yield batch.select(columns)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error

    def locate(self, ordinals: Int64Array) -> Iterator[SourceRow]:
        first = 0
        for batch in self._file.iter_batches(_BATCH_ROWS, use_threads=False):
            start, stop = np.searchsorted(ordinals, (first, first + batch.num_rows))
            for ordinal in map(int, ordinals[start:stop]):
                (row,) = batch.slice(ordinal - first, 1).to_pylist()
                yield SourceRow(ordinal, ordinal + 1, json.dumps(row, ensure_ascii=False, default=str))
            first += batch.num_rows

    def _damaged(self, error: Exception) -> DatasetError:
        return DatasetError(f"{self.name} cannot be read as Parquet: {error}. Cure: export it again.")
