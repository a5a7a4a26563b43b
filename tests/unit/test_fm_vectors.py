"""Sums of products in vectors, against numpy."""

import numpy as np
import pytest
from numba import njit

from shortlist.fm.vectors import EIGHT, LANES, WIDTH, add_gram, add_products, add_scaled, product


@njit
def gram_of(x, weighted, gram):
    add_gram(x, weighted, gram)


@njit
def sum_of(out, place, factor, left, left_place, left_step, right, right_place, right_step, n):
    add_products(out, place, factor, left, left_place, left_step, right, right_place, right_step, n)


@njit
def scaled_into(out, place, factor, x, x_place):
    add_scaled(out, place, factor, x, x_place)


@njit
def product_of(x, x_place, y, y_place):
    return product(x, x_place, y, y_place)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


@pytest.mark.parametrize(("n", "width"), [(3, WIDTH), (WIDTH + 2, WIDTH), (WIDTH + 5, 2 * WIDTH), (40, 3 * WIDTH)])
def test_a_gram_matrix_has_every_product_up_to_its_diagonal(n, width):
    x, weighted, gram = numbers(EIGHT, width), numbers(EIGHT, n + 1), numbers(n, width)
    expected = gram + weighted[:, :n].T @ x

    gram_of(x, weighted, gram)

    summed = np.arange(width) <= np.arange(n)[:, None]
    np.testing.assert_allclose(gram[summed], expected[summed], atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 8])
@pytest.mark.parametrize("factor", [1.0, -1.0])
def test_products_are_summed_in_every_lane_and_nothing_else_is_touched(n, factor):
    # GIVEN a column of one array, so with steps, and a row of another
    left, right, out = numbers(9, 4, LANES), numbers(3, 10, LANES), numbers(2, 5, LANES)
    expected = out.copy()
    expected[1, 2] += np.float32(factor) * (left[:n, 3] * right[2, 1 : n + 1]).sum(0)

    sum_of(out, 7, np.float32(factor), left, 3, 4, right, 21, 1, n)

    np.testing.assert_allclose(out, expected, atol=1e-5)
    untouched = np.ones(out.shape[:2], bool)
    untouched[1, 2] = False
    np.testing.assert_array_equal(out[untouched], expected[untouched])


def test_numbers_are_added_scaled_from_any_place_and_nothing_else_is_touched():
    out, x = numbers(3, WIDTH), numbers(2, 2 * WIDTH)
    expected = out.copy().ravel()
    expected[5 : 5 + WIDTH] += np.float32(-0.5) * x.ravel()[9 : 9 + WIDTH]

    scaled_into(out, 5, np.float32(-0.5), x, 9)

    np.testing.assert_allclose(out.ravel(), expected, atol=1e-6)
    np.testing.assert_array_equal(out.ravel()[:5], expected[:5])
    np.testing.assert_array_equal(out.ravel()[5 + WIDTH :], expected[5 + WIDTH :])


def test_a_product_is_the_inner_product_from_any_place():
    x, y = numbers(3 * WIDTH), numbers(2, WIDTH)

    assert product_of(x, 7, y, WIDTH) == pytest.approx(float(x[7 : 7 + WIDTH] @ y[1]), abs=1e-5)
