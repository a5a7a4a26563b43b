"""The interval of a difference of shares: published values, and how often it holds the truth."""

import numpy as np
import pytest

from shortlist.lift import lift, score_interval


@pytest.mark.parametrize(
    ("done", "of", "without", "of_without", "low", "high"),
    [  # Newcombe 1998, table II, method 10
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0),
        (10, 10, 0, 10, 0.6075, 1.0),
    ],
)
def test_the_interval_is_the_published_one(done, of, without, of_without, low, high):
    found = lift(done, of, without, of_without)

    assert found.difference == pytest.approx(done / of - without / of_without)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_a_share_of_a_score_interval_is_the_published_one():
    assert score_interval(81, 263) == (pytest.approx(0.2553, abs=6e-5), pytest.approx(0.3662, abs=6e-5))


@pytest.mark.parametrize(("of", "of_without"), [(0, 10), (10, 0), (0, 0)])
def test_without_a_group_there_is_no_difference(of, of_without):
    assert lift(0, of, 0, of_without) is None


@pytest.mark.parametrize("truth", [0.0, 0.03])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(truth):
    rng = np.random.default_rng(1)
    mailed, held_out = rng.binomial(1_900, 0.10 + truth, 2_000), rng.binomial(100, 0.10, 2_000)

    intervals = [lift(int(a), 1_900, int(b), 100) for a, b in zip(mailed, held_out, strict=True)]

    assert 0.93 < np.mean([one.low <= truth <= one.high for one in intervals]) < 0.975
