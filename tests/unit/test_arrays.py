"""Arrays survive the way through the bucket, whatever the strings hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.contracts.arrays import StringTable, UserShard, npy_array, npy_bytes, npz_arrays, npz_bytes, shard_bounds
from shortlist.errors import ContractError

texts = st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"])), max_size=30)


@given(texts)
def test_a_string_table_gives_back_every_string(strings: list[str]) -> None:
    table = StringTable.of(strings)

    assert table.to_list() == strings
    assert [table[row] for row in range(len(table))] == strings


@given(texts, st.data())
def test_a_slice_of_a_string_table_is_the_slice_of_its_strings(strings: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(strings)))
    stop = data.draw(st.integers(start, len(strings)))

    assert StringTable.of(strings).slice(start, stop).to_list() == strings[start:stop]


@given(texts)
def test_a_string_table_survives_an_npz(strings: list[str]) -> None:
    raw = npz_bytes(StringTable.of(strings).arrays("titles"))

    assert StringTable.from_arrays(npz_arrays(raw), "titles").to_list() == strings


def test_the_same_arrays_give_the_same_bytes() -> None:
    arrays = {"a": np.arange(5, dtype=np.int32), "b": np.ones((2, 3), np.float32)}

    assert npz_bytes(arrays) == npz_bytes(dict(arrays))


def test_a_user_shard_survives_the_bucket() -> None:
    shard = UserShard(
        first_row=40,
        user_ids=StringTable.of(["a", "b,\n"]),
        latent=np.eye(2, 3, dtype=np.float32),
        indptr=np.array([0, 1, 3], np.int64),
        item_rows=np.array([5, 1, 2], np.int32),
        repeat=np.array([0.5, 0.1, 0.2], np.float32),
        weight=np.ones(3, np.float32),
        last_seen=np.array([1, 2, 3], np.int64),
        days=np.array([4, 1, 1], np.int32),
        segment=np.array([-1, 0], np.int32),
        prior=np.zeros((2, 3), np.float32),
        withheld_indptr=np.array([0, 2, 2], np.int64),
        withheld_rows=np.array([3, 7], np.int32),
    )

    back = UserShard.from_bytes(shard.to_bytes())

    assert back.first_row == 40
    assert back.user_ids.to_list() == ["a", "b,\n"]
    for name in set(UserShard.__slots__) - {"first_row", "user_ids"}:
        np.testing.assert_array_equal(getattr(back, name), getattr(shard, name))
        assert getattr(back, name).dtype == getattr(shard, name).dtype


def test_bytes_that_are_no_array_are_refused() -> None:
    with pytest.raises(ContractError, match=r"not an \.npy file"):
        npy_array(b"user_id,item_id\n")


def test_pickled_objects_are_refused() -> None:
    with pytest.raises(ValueError, match=r"[Oo]bject arrays"):
        npy_bytes(np.array([{"a": 1}], dtype=object))


@given(st.integers(0, 500), st.integers(1, 60))
def test_shards_cover_every_row_once(n_rows: int, rows_per_shard: int) -> None:
    bounds = shard_bounds(n_rows, rows_per_shard)

    assert [row for start, stop in bounds for row in range(start, stop)] == list(range(n_rows))
    assert all(0 < stop - start <= rows_per_shard for start, stop in bounds)
