"""Ids of any type, numbered batch by batch, in a vocabulary whose order is that of their bytes."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.config import Table
from shortlist.dataset.ids import IdColumn, read_ids, rows_of, vocabulary
from shortlist.dataset.reader import Batch, InputTable
from shortlist.dataset.rejects import Rejects, RowCheck
from shortlist.errors import DatasetError

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


class NamedSource:
    """As much of a file as a message needs."""

    name = "input/users/a.parquet"
    columns = ("user_id",)
    malformed = 0


def batch_of(array: pa.Array) -> Batch:
    table = InputTable("users", Table(), [NamedSource()], Rejects("users"), lambda event, figures: None)
    files, ordinals = np.zeros(len(array), np.int32), np.arange(len(array))
    return Batch(table, {"user_id": array}, files, ordinals, RowCheck(table.rejects, files, ordinals))


@given(st.lists(st.lists(IDS, max_size=10), max_size=4))
def test_rows_follow_the_bytes_of_the_ids_whatever_the_batches(batches):
    column = IdColumn()
    for ids in batches:
        batch = batch_of(pa.array(ids, pa.string()))
        column.add(read_ids(batch, "user_id"), batch.check.ok)

    words = vocabulary(column.texts)
    rows = rows_of(column.texts, words).to_numpy()[column.codes()]

    flat = [word for ids in batches for word in ids]
    assert words.to_pylist() == sorted(set(flat), key=str.encode)
    assert [words[int(row)].as_py() for row in rows] == flat


def test_only_ids_of_kept_rows_enter_the_vocabulary():
    column = IdColumn()
    batch = batch_of(pa.array(["a", "b", "a"]))

    numbers = column.add(read_ids(batch, "user_id"), np.array([True, False, True]))

    assert numbers.tolist() == [0, 0]
    assert column.texts.to_pylist() == ["a"]


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (pa.array([17850, 3]), ["17850", "3"]),
        (pa.array([17850.0, 3.0]), ["17850", "3"]),
        (pa.array(["a,b", "two\nlines"]), ["a,b", "two\nlines"]),
        (pa.array(["x", "x"]).dictionary_encode(), ["x", "x"]),
        (pa.array([0.0, -0.0]), ["0", "0"]),
    ],
    ids=str,
)
def test_ids_are_text_whatever_their_type(array, texts):
    batch = batch_of(array)

    ids = read_ids(batch, "user_id")

    assert ids.strings().to_pylist() == texts
    assert batch.check.ok.all()


def test_an_id_that_dynamodb_cannot_hold_is_refused():
    batch = batch_of(pa.array(["", None, "x" * 1025, "é" * 513, "x" * 1024, " "]))

    read_ids(batch, "user_id")

    assert batch.check.ok.tolist() == [False, False, False, False, True, True]


def test_a_type_that_is_no_id_is_refused_by_name():
    with pytest.raises(DatasetError, match=r"a\.parquet: column 'user_id' has the type list.*Cure"):
        read_ids(batch_of(pa.array([["a"]])), "user_id")
