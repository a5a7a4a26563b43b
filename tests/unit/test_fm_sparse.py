"""Products of sparse and dense matrices: with numpy alone in functions, on all threads in training."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from shortlist.fm.sparse import PLACES, SparseRows
from shortlist.fm.sparse_product import SparseProduct
from shortlist.fm.threads import shares, threads

matrices = st.tuples(st.integers(0, 30), st.integers(1, 9), st.integers(0, 7), st.floats(0, 1), st.integers(0, 99))
"""Rows, columns, width of the dense matrix, how full, seed."""


def drawn(shape: tuple[int, int, int, float, int]) -> tuple[csr_array, np.ndarray]:
    n_rows, n_columns, width, density, seed = shape
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n_rows, n_columns)) * (rng.random((n_rows, n_columns)) < density)
    return csr_array(values.astype(np.float32)), rng.standard_normal((n_columns, width)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(matrices)
def test_rows_of_numpy_times_a_matrix_are_the_dense_product(shape):
    sparse, dense = drawn(shape)

    product = SparseRows.of(sparse).times(dense)

    assert product.dtype == np.float32
    np.testing.assert_allclose(product, sparse.toarray() @ dense, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block_numbers", [1, 1 << 18])
def test_rows_longer_than_most_are_summed_whole(block_numbers, monkeypatch):
    monkeypatch.setattr("shortlist.fm.sparse.BLOCK_NUMBERS", block_numbers)
    lengths = np.array([0, 1, PLACES, PLACES + 1, 5 * PLACES, 0, 2])
    rng = np.random.default_rng(3)
    columns = np.concatenate([rng.permutation(400)[:n] for n in lengths]).astype(np.int32)
    rows = SparseRows(
        np.append(0, np.cumsum(lengths)), columns, rng.standard_normal(len(columns)).astype(np.float32), 400
    )
    dense = rng.standard_normal((400, 3)).astype(np.float32)

    expected = csr_array((rows.data, rows.indices, rows.indptr), shape=rows.shape) @ dense

    np.testing.assert_allclose(rows.times(dense), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(rows.times(dense[:, 0]), expected[:, 0], rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(matrices)
def test_products_on_threads_are_the_dense_product(shape):
    sparse, dense = drawn(shape)

    with threads(2):
        product = SparseProduct.of(sparse).times(dense)

    np.testing.assert_allclose(product, sparse.toarray() @ dense, rtol=1e-4, atol=1e-5)


def test_how_rows_are_shared_out_changes_no_byte_of_a_product():
    rng = np.random.default_rng(5)
    counts = np.append(rng.integers(0, 9, 300), 4_000)  # one row has most of the values
    columns = rng.integers(0, 500, counts.sum()).astype(np.int32)
    values = rng.standard_normal(len(columns)).astype(np.float32)
    sparse = csr_array((values, columns, np.append(0, np.cumsum(counts))), shape=(301, 500))
    dense = rng.standard_normal((500, 33)).astype(np.float32)

    with threads(None):
        product = SparseProduct.of(sparse)
        found = {replace(product, lanes=shares(counts, n)).times(dense).tobytes() for n in (1, 2, 7)}

    assert found == {product.times(dense).tobytes()}


@pytest.mark.parametrize("n", [1, 2, 5])
def test_threads_have_about_the_same_work(n):
    work = np.array([9, 1, 1, 0, 4, 5, 0, 10, 10])

    ends = shares(work, n)

    assert len(ends) == n + 1
    assert (ends[0], ends[-1]) == (0, len(work))
    assert all(work[start:stop].sum() <= work.sum() / n + work.max() for start, stop in pairwise(ends))
