"""Declared feature columns along a vocabulary in; one CSR matrix out: a column per category, a column per number."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shortlist.config import FeatureKind
from shortlist.contracts.arrays import Float32Array, Int64Array, StringTable
from shortlist.dataset.dataset import FeatureMatrix

MIN_ROWS: Final = 2
"""A category of a single row says no more than the row's id, so it gets no column."""


class _Entries(NamedTuple):
    """One field: entries by row and column, columns counted from 0 within the field."""

    rows: Int64Array
    columns: Int64Array
    values: Float32Array
    names: list[str]


def encode_features(features: Mapping[str, pa.Array], kinds: Mapping[str, FeatureKind], n_rows: int) -> FeatureMatrix:
    """Encode all fields, in the order of their names.

    Args:
        features: field -> string, float64 or list<string> array (n_rows,); null is missing and gets no entry.
    """
    rows: list[Int64Array] = []
    columns: list[Int64Array] = []
    values: list[Float32Array] = []
    names: list[str] = []
    for field in sorted(features):
        entries = _numeric(features[field], field) if kinds[field] == "numeric" else _labels(features[field], field)
        rows.append(entries.rows)
        columns.append(entries.columns + len(names))
        values.append(entries.values)
        names += entries.names
    row = np.concatenate([np.empty(0, np.int64), *rows])
    column = np.concatenate([np.empty(0, np.int64), *columns])
    order = np.lexsort((column, row))
    return FeatureMatrix(
        indptr=np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n_rows))]).astype(np.int64),
        indices=column[order].astype(np.int32),
        data=np.concatenate([np.empty(0, np.float32), *values])[order],
        names=StringTable.of(names),
    )


def _labels(array: pa.Array, field: str) -> _Entries:
    """Value 1 for each distinct label of a row; labels in the order of their bytes."""
    if pa.types.is_list(array.type):
        rows, flat = pc.list_parent_indices(array).to_numpy().astype(np.int64), pc.list_flatten(array)
    else:
        rows, flat = np.arange(len(array)), array
    labels = pc.utf8_trim_whitespace(flat)
    there = pc.fill_null(pc.not_equal(labels, ""), False)
    rows, labels = rows[there.to_numpy(zero_copy_only=False)], labels.filter(there)
    distinct = pc.unique(labels)
    distinct = distinct.take(pc.array_sort_indices(distinct))
    codes = pc.index_in(labels, value_set=distinct).to_numpy().astype(np.int64)
    pairs = np.unique(rows * max(len(distinct), 1) + codes)
    rows, codes = np.divmod(pairs, max(len(distinct), 1))
    common = np.bincount(codes, minlength=len(distinct)) >= MIN_ROWS
    column = np.cumsum(common) - 1
    kept = common[codes]
    names = [f"{field}={label}" for label in distinct.filter(pa.array(common)).to_pylist()]
    return _Entries(rows[kept], column[codes[kept]], np.ones(np.count_nonzero(kept), np.float32), names)


def _numeric(array: pa.Array, field: str) -> _Entries:
    """Standard deviations from the mean of the rows that have a value; nothing where all are equal."""
    there = array.is_valid().to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(there)
    numbers = array.drop_null().to_numpy()
    spread = float(numbers.std()) if len(numbers) else 0.0
    if spread == 0.0:
        return _Entries(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), [])
    values = ((numbers - numbers.mean()) / spread).astype(np.float32)
    return _Entries(rows, np.zeros(len(rows), np.int64), values, [field])
