"""Columns of ids of any type in; numbers by first appearance, and in the end the sorted vocabulary, out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shortlist.contracts.arrays import BoolArray, Int32Array
from shortlist.contracts.records import MAX_ID_BYTES
from shortlist.dataset import cells
from shortlist.dataset.reader import Batch
from shortlist.errors import DatasetError


@dataclass(frozen=True, slots=True)
class EncodedIds:
    """Ids of a batch: `texts[codes[i]]`; only rows that the batch's check has left are meaningful."""

    codes: Int32Array
    texts: pa.Array

    def strings(self) -> pa.Array:
        """One string a row."""
        return self.texts.take(pa.array(self.codes))


def read_ids(batch: Batch, column: str, *, nobody: Sequence[str] = ()) -> EncodedIds:
    """The ids of a batch; rows whose id is missing or too long are refused.

    Args:
        nobody: ids whose rows are left out; empty text is the missing id.

    Raises:
        DatasetError: the column's type cannot be an id.
    """
    try:
        array = batch.columns[column]
        encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
        texts = cells.texts(encoded.dictionary)
    except pa.ArrowException as error:
        raise DatasetError(
            f"{batch.file_name()}: column {batch.table.shop_name(column)!r} has the type "
            f"{batch.columns[column].type}, which cannot be an id. Cure: export it as text or integer."
        ) from error
    # Different cells may have the same text (1 and 1.0). Code −1, a missing cell, finds the empty text at the end.
    distinct = pc.fill_null(texts, "").dictionary_encode()
    texts = pa.concat_arrays([distinct.dictionary, pa.array([""])])
    text_of_cell = np.append(distinct.indices.to_numpy(), len(texts) - 1).astype(np.int32)
    codes = text_of_cell[pc.fill_null(encoded.indices.cast(pa.int32()), -1).to_numpy()]
    unwanted = pc.is_in(texts, value_set=pa.array(nobody, pa.string())).to_numpy(zero_copy_only=False)
    batch.check.leave_out(unwanted[codes])
    lengths = pc.binary_length(texts).to_numpy()
    batch.refuse(lengths[codes] == 0, column, "is empty")
    batch.refuse(lengths[codes] > MAX_ID_BYTES, column, f"is longer than {MAX_ID_BYTES:,} bytes")
    return EncodedIds(codes, texts)


class IdColumn:
    """A column of ids growing batch by batch: four bytes a row, and each distinct id once."""

    def __init__(self) -> None:
        self.texts: pa.Array = pa.array([], pa.string())
        self._codes: list[Int32Array] = []

    def add(self, ids: EncodedIds, kept: BoolArray) -> Int32Array:
        """Append the kept rows; answers with their numbers in `texts`."""
        used = np.flatnonzero(np.bincount(ids.codes[kept], minlength=len(ids.texts)))
        texts = ids.texts.take(pa.array(used))
        known = pc.index_in(texts, value_set=self.texts)
        new = pc.is_null(known).to_numpy(zero_copy_only=False)
        numbers = pc.fill_null(known, 0).to_numpy(zero_copy_only=False).astype(np.int32)
        fresh = texts.filter(pa.array(new))
        numbers[new] = np.arange(len(self.texts), len(self.texts) + len(fresh), dtype=np.int32)
        self.texts = pa.concat_arrays([self.texts, fresh])
        of_code = np.zeros(len(ids.texts), np.int32)
        of_code[used] = numbers
        codes = of_code[ids.codes[kept]]
        self._codes.append(codes)
        return codes

    def codes(self) -> Int32Array:
        """Number in `texts` of every row added; the parts are given up."""
        whole = np.concatenate([np.empty(0, np.int32), *self._codes])
        self._codes.clear()
        return whole


def vocabulary(*columns: pa.Array) -> pa.Array:
    """All distinct ids of these columns in the order of their UTF-8 bytes; the position is the row."""
    distinct = pc.unique(pa.concat_arrays(list(columns)))
    return distinct.take(pc.array_sort_indices(distinct))


def rows_of(ids: pa.Array, words: pa.Array) -> pa.Array:
    """int32 position of each id in `words`, null where it is not there."""
    return pc.index_in(ids, value_set=words)
