"""Batches of interactions in; an items or users table made of each id's newest line out."""

import numpy as np
import pyarrow as pa

from shortlist.contracts.arrays import Int64Array
from shortlist.dataset import cells
from shortlist.dataset.ids import EncodedIds
from shortlist.dataset.reader import FEATURE, Batch
from shortlist.errors import DatasetError


class NewestLines:
    """An items or users table made of the newest interaction of each id, for shops that send lines of purchases only.

    Args:
        columns: the interactions file's columns that the table is to have.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self._lines: pa.Table | None = None

    def observe(self, batch: Batch, ids: EncodedIds, timestamp: Int64Array) -> None:
        """Keep the newest sound line of each id; of two at the same second the one further down."""
        ok = pa.array(batch.check.ok)
        try:
            shop = {name: cells.texts(batch.columns[FEATURE + name]) for name in self.columns}
        except pa.ArrowException as error:
            raise DatasetError(f"{batch.file_name()}: {error}. Cure: export these columns as text.") from error
        lines = pa.table(
            {
                "id": ids.strings(),
                "time": pa.array(timestamp),
                "file": pa.array(batch.files),
                "ordinal": pa.array(batch.ordinals),
            }
            | {FEATURE + name: array for name, array in shop.items()}
        ).filter(ok)
        self._lines = _newest(lines if self._lines is None else pa.concat_tables([self._lines, lines]))

    @property
    def lines(self) -> pa.Table:
        """A line an id: `id`, `time`, `file`, `ordinal` and `feature:<column>` for each column."""
        if self._lines is None:
            raise DatasetError(
                "there are no interactions to take a table from. Cure: add files to input/interactions/."
            )
        return self._lines


def _newest(lines: pa.Table) -> pa.Table:
    codes = lines["id"].combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.lexsort((np.arange(len(codes)), lines["time"].to_numpy(), codes))
    last = np.append(codes[order][1:] != codes[order][:-1], True) if len(order) else np.empty(0, bool)
    return lines.take(pa.array(np.sort(order[last]))).combine_chunks()
