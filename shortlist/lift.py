"""Two groups and how many of each did something, in; the difference of their shares with its interval out."""

import math
from statistics import NormalDist
from typing import Final

from shortlist.contracts.attribution import Lift

CONFIDENCE: Final = 0.95


def lift(done: int, of: int, done_without: int, of_without: int, confidence: float = CONFIDENCE) -> Lift | None:
    """The share of the first group less that of the second; None where a group is empty.

    Newcombe's hybrid score interval: it needs no large samples and never leaves [−1, 1], unlike the textbook's.
    Source: R. G. Newcombe, Interval estimation for the difference between independent proportions, Statistics in
    Medicine 17 (1998) 873–890, method 10.
    """
    if not of or not of_without:
        return None
    first, second = done / of, done_without / of_without
    low_first, high_first = score_interval(done, of, confidence)
    low_second, high_second = score_interval(done_without, of_without, confidence)
    return Lift(
        difference=first - second,
        low=first - second - math.hypot(first - low_first, high_second - second),
        high=first - second + math.hypot(high_first - first, second - low_second),
    )


def score_interval(done: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a share: JASA 22 (1927) 209–212."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = done / of
    middle = share + z * z / (2 * of)
    reach = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, (middle - reach) / (1 + z * z / of)), min(1.0, (middle + reach) / (1 + z * z / of))


def points(found: Lift) -> str:
    """In words: `+1.20 (−0.31 to +2.70)`, percentage points with the interval."""
    shares = (found.difference, found.low, found.high)
    difference, low, high = (f"{100 * share:+.2f}".replace("-", "−") for share in shares)
    return f"{difference} ({low} to {high})"
