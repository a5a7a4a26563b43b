"""One-hot and standardised features, against the same made row by row."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.dataset.dataset import FeatureMatrix
from shortlist.dataset.features import encode_features

LABELS = st.sampled_from(["", "a", "b", "é", "a b", "Z"])


def dense(matrix: FeatureMatrix) -> dict[str, list[float]]:
    """Column name -> one value a row."""
    n_rows, names = len(matrix.indptr) - 1, matrix.names.to_list()
    out = np.zeros((n_rows, len(names)), np.float32)
    for row in range(n_rows):
        columns = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
        assert (np.diff(columns) > 0).all()
        out[row, columns] = matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]]
    return {name: out[:, column].tolist() for column, name in enumerate(names)}


@given(rows=st.lists(st.none() | st.lists(LABELS, max_size=4), max_size=8))
def test_labels_become_a_column_each_where_two_rows_have_them(rows):
    matrix = encode_features({"f": pa.array(rows, pa.list_(pa.string()))}, {"f": "multi_valued"}, len(rows))

    held = {label for row in rows for label in (row or []) if label}
    expected = {
        f"f={label}": [float(label in (row or [])) for row in rows]
        for label in sorted(held, key=str.encode)
        if sum(label in (row or []) for row in rows) >= 2
    }
    assert dense(matrix) == expected
    assert list(dense(matrix)) == list(expected)


def test_fields_stand_in_the_order_of_their_names_whatever_the_campaign_says():
    z, a = pa.array(["x", "x", None]), pa.array([" y ", "y", "rare"])
    kinds = {"z": "categorical", "a": "categorical"}

    one = encode_features({"z": z, "a": a}, kinds, 3)
    other = encode_features({"a": a, "z": z}, kinds, 3)

    assert dense(one) == {"a=y": [1, 1, 0], "z=x": [1, 1, 0]}
    assert one.names.to_list() == other.names.to_list() == ["a=y", "z=x"]


def test_numbers_are_standardised_over_the_rows_that_have_one():
    matrix = encode_features({"size": pa.array([1.0, None, 3.0])}, {"size": "numeric"}, 3)

    assert dense(matrix) == {"size": [-1.0, 0.0, 1.0]}
    assert matrix.indptr.tolist() == [0, 1, 1, 2]


@pytest.mark.parametrize("values", [[], [None, None], [5.0, 5.0]])
def test_a_number_that_is_the_same_everywhere_says_nothing(values):
    matrix = encode_features({"size": pa.array(values, pa.float64())}, {"size": "numeric"}, len(values))

    assert matrix.names.to_list() == []
    assert matrix.indptr.tolist() == [0] * (len(values) + 1)


def test_without_declared_features_there_are_rows_and_no_columns():
    matrix = encode_features({}, {}, 2)

    assert (matrix.indptr.tolist(), matrix.indices.dtype, matrix.data.dtype) == ([0, 0, 0], np.int32, np.float32)
