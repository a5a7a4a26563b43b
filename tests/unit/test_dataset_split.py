"""What is held out to measure the model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.config import Evaluation
from shortlist.dataset.split import DAY, hold_out

START = 1_700_000_000


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), min_size=1), st.integers(1, 70))
def test_the_last_days_of_everybody_are_held_out_but_no_more_than_two_fifths_of_the_time(rows, days):
    # GIVEN interactions of some users on some days
    rows = sorted(rows)
    users = np.array([user for user, _ in rows], np.int32)
    times = np.array([START + day * DAY for _, day in rows], np.int64)

    # WHEN the last days are held out
    held, words = hold_out(users, times, Evaluation(split="last_days", days=days))

    # THEN it is those after the newest interaction less so many days, of a short history two fifths
    newest, oldest = max(d for _, d in rows), min(d for _, d in rows)
    days = min(days, (newest - oldest) * 2 // 5)
    assert held.tolist() == [day > newest - days for _, day in rows]
    assert not held.all()
    assert words.startswith(f"last {days} days, after 20" if days else "none")


@given(st.lists(st.integers(0, 3), max_size=30), st.sampled_from([0.1, 0.2, 0.5, 0.9]))
def test_the_newest_share_of_each_user_is_held_out(users, share):
    rows = np.sort(np.array(users, np.int32))

    held, words = hold_out(rows, np.arange(len(rows)) + START, Evaluation(split="last_share", share=share))

    for user in range(4):
        mine = held[rows == user].tolist()
        n_held = int(len(mine) * share)
        assert mine == [False] * (len(mine) - n_held) + [True] * n_held
    assert words == f"each user's newest {share:.0%}"


@pytest.mark.parametrize("split", ["last_days", "last_share"])
def test_a_single_interaction_is_never_held_out(split):
    held, _ = hold_out(np.zeros(1, np.int32), np.array([START]), Evaluation(split=split))

    assert held.tolist() == [False]
