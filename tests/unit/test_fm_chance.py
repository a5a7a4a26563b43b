"""Random numbers of our own kernels against SciPy's distributions, to the last tail."""

import numpy as np
import pytest
from scipy.special import log_ndtr, ndtr, ndtri
from scipy.stats import kstest, truncnorm

from shortlist.fm.chance import random_bits, standard_normals
from shortlist.fm.chance_kernels import hidden_scores, normals, surprise
from shortlist.fm.compiled import load_kernels

EDGES = np.array([0, 1, 2, 3, 2**31, 2**32 - 2, 2**32 - 1], np.uint32)


@pytest.fixture(autouse=True)
def kernels():
    load_kernels("ratings")


def test_a_normal_number_is_the_quantile_of_its_bits():
    bits = np.concatenate([EDGES, random_bits(np.random.default_rng(1), 100_001)])
    numbers = np.empty(len(bits), np.float32)

    normals(bits, numbers)

    exact = ndtri(((bits >> 1) + 0.5) * 2.0**-32)
    np.testing.assert_allclose(numbers, np.where(bits & 1, -exact, exact), atol=1e-5)


def test_normal_numbers_are_distributed_as_such_in_any_shape():
    numbers = standard_normals(np.random.default_rng(2), 333, 301)

    assert numbers.shape == (333, 301)
    assert numbers.dtype == np.float32
    assert kstest(numbers.reshape(-1), "norm").pvalue > 0.01


@pytest.mark.parametrize("score", [-40, -9, -2.5, 0, 0.3, 4, 9])
@pytest.mark.parametrize("liked", [0, 1])
def test_a_hidden_score_is_the_quantile_of_its_bits_on_its_side_of_zero(score, liked):
    bits = np.concatenate([EDGES, random_bits(np.random.default_rng(3), 10_000)])
    classes, hidden = np.full(len(bits), liked, np.float32), np.empty(len(bits), np.float32)

    hidden_scores(classes, np.full(len(bits), score, np.float32), bits, hidden)

    sign = 1 if liked else -1
    toward = max(sign * score, -11)
    chance = (bits + 0.5) * 2.0**-32
    below, above = chance * ndtr(toward), (1 - chance) + chance * ndtr(-toward)
    exact = toward - np.where(below < above, ndtri(below), -ndtri(above))
    np.testing.assert_allclose(sign * hidden, exact, atol=1e-5)
    assert (sign * hidden >= 0).all()


def test_hidden_scores_have_the_truncated_normal_distribution():
    n = 50_000
    hidden = np.empty(n, np.float32)

    hidden_scores(
        np.ones(n, np.float32), np.full(n, -0.7, np.float32), random_bits(np.random.default_rng(4), n), hidden
    )

    assert kstest(hidden, truncnorm(0.7, np.inf, loc=-0.7).cdf).pvalue > 0.01


def test_surprise_is_minus_the_log_of_the_probability_of_what_came():
    rng = np.random.default_rng(5)
    scores, classes = rng.uniform(-10, 10, 9_001).astype(np.float32), (rng.random(9_001) < 0.5).astype(np.float32)

    total = surprise(classes, scores)

    assert total == pytest.approx(-log_ndtr(np.where(classes > 0, scores, -scores).astype(float)).sum(), rel=1e-5)
