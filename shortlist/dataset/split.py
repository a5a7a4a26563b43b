"""Times of the interactions in; which of them are held out to measure the model, and the split in words, out."""

from datetime import UTC, datetime
from typing import Final

import numpy as np

from shortlist.config import Evaluation
from shortlist.contracts.arrays import BoolArray, Int32Array, Int64Array

DAY: Final = 86_400


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
    cut = int(timestamp.max()) - settings.days * DAY
    held_out = timestamp > cut
    if held_out.all():
        return np.zeros(len(timestamp), bool), f"none, the history is no longer than {settings.days} days"
    since = datetime.fromtimestamp(cut, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return held_out, f"last {settings.days} days, after {since}"


def _starts_of_next(user_row: Int32Array) -> Int64Array:
    """int64 (n,): where the rows of the following user begin."""
    return np.searchsorted(user_row, user_row, side="right").astype(np.int64)
