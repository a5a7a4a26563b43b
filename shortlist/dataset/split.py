"""Times of the interactions in; which of them are held out to measure the model, and the split in words, out."""

from datetime import UTC, datetime
from typing import Final

import numpy as np

from shortlist.config import Evaluation
from shortlist.contracts.arrays import BoolArray, Int32Array, Int64Array

DAY: Final = 86_400
MOST_HELD_OUT: Final = 0.4
"""Of the time that the history spans: a young shop holds out fewer days, so that a model of most of it is measured."""


def hold_out(user_row: Int32Array, timestamp: Int64Array, settings: Evaluation) -> tuple[BoolArray, str]:
    """Mark the newest interactions, and never all of them.

    Args:
        user_row: int32 (n,), ascending.
        timestamp: int64 (n,), epoch seconds, ascending within a user.

    Returns:
        bool (n,), True where held out, and the split in words.
    """
    if settings.split == "last_share":
        newest_first = _starts_of_next(user_row) - 1 - np.arange(len(user_row))
        count = np.bincount(user_row)[user_row] if len(user_row) else np.empty(0, np.int64)
        words = f"each user's newest {settings.share:.0%}"
        return newest_first < np.floor(count * settings.share), words
    newest = int(timestamp.max())
    days = min(settings.days, int((newest - int(timestamp.min())) * MOST_HELD_OUT / DAY))
    if days == 0:
        return np.zeros(len(timestamp), bool), "none, the history is a few days long"
    cut = newest - days * DAY
    since = datetime.fromtimestamp(cut, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return timestamp > cut, f"last {days} days, after {since}"


def _starts_of_next(user_row: Int32Array) -> Int64Array:
    """int64 (n,): where the rows of the following user begin."""
    return np.searchsorted(user_row, user_row, side="right").astype(np.int64)
