"""The made-up dense rows: hundreds of distinct items a user, a fifth of them in the other file, the same every time."""

import numpy as np

from bench import dense_rows
from bench.ranking import read_adjacency


def test_users_have_many_items_a_fifth_of_them_held_out_and_the_files_are_the_same_every_time(tmp_path):
    for name in ("a", "b"):
        dense_rows.main([str(tmp_path / name), "--users", "40", "--items", "500"])

    train, test = read_adjacency(tmp_path / "a" / "train.txt", tmp_path / "a" / "test.txt")

    assert train.shape == test.shape == (40, 500)
    assert not train.multiply(test).nnz
    np.testing.assert_allclose(np.diff(test.indptr), (np.diff(train.indptr) + np.diff(test.indptr)) // 5)
    assert np.diff(train.indptr).mean() > 100
    assert (tmp_path / "a" / "train.txt").read_text() == (tmp_path / "b" / "train.txt").read_text()
