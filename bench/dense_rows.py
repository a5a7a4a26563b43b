"""Sizes in; train.txt and test.txt of made-up users with hundreds of items each out, for `python -m bench ranking`.

Every user draws distinct items by popularity and taste (Gumbel's trick); a fifth of them is the test file's.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

TASTES = 12


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench dense_rows", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--items", type=int, default=3000)
    given = parser.parse_args(arguments)
    rng = np.random.default_rng(42)
    popularity = -0.7 * np.log(np.arange(1, given.items + 1))
    items, users = (rng.standard_normal((n, TASTES)) for n in (given.items, given.users))
    given.folder.mkdir(parents=True, exist_ok=True)
    with (given.folder / "train.txt").open("w") as train, (given.folder / "test.txt").open("w") as test:
        for user, taste in enumerate(users):
            liking = popularity + 0.8 * (items @ taste) + rng.gumbel(size=given.items)
            wanted = int(np.clip(rng.lognormal(5.6, 0.6), 50, 0.4 * given.items))
            bought = rng.permutation(np.argsort(-liking)[:wanted])
            print(user, *bought[wanted // 5 :], file=train)
            print(user, *bought[: wanted // 5], file=test)
