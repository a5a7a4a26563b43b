"""Sizes and a seed in; ratings of made-up people and films, with genres, ages and jobs, out, as movielens-dat files.

    python -m bench made_up_ratings --users 20000 --items 3000 --ratings 120000 --seed 5 --out FOLDER

A rating is a factorization machine's, rounded to 1 to 5: a bias and ten factors of both sides, which genres, jobs and
genders decide in part, and the same noise for all. Few people rate much, few films are rated much. For shapes of data
that real files at hand do not have, such as many people with three ratings each.
"""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from shortlist.contracts.arrays import BoolArray, Float64Array, Int64Array

N_FACTORS: Final = 10
GENRES: Final = 18
JOBS: Final = 21
AGES: Final = 7
NOISE: Final = 0.85  # its standard deviation
MEAN: Final = 3.6


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench made_up_ratings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--users", type=int, default=943, help="how many people")
    parser.add_argument("--items", type=int, default=1682, help="how many films")
    parser.add_argument("--ratings", type=int, default=100_000, help="at most; somewhat fewer where they crowd")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--out", type=Path, required=True, help="a folder for ratings.dat, movies.dat and users.dat")
    given = parser.parse_args(arguments)
    if min(given.users, given.items, given.ratings) < 1:
        parser.error("--users, --items and --ratings are 1 or more")
    rng = np.random.default_rng(given.seed)
    users, items = pairs(given.users, given.items, given.ratings, rng)
    gender, age, job = (rng.integers(0, n, given.users) for n in (2, AGES, JOBS))
    genres = rng.random((given.items, GENRES)) < 0.12
    genres[np.arange(given.items), rng.integers(0, GENRES, given.items)] = True
    truth = scores(users, items, gender, job, genres, rng)
    ratings = np.clip(np.round(truth + rng.normal(0, NOISE, len(truth))), 1, 5).astype(int)
    given.out.mkdir(parents=True, exist_ok=True)
    _write(given.out / "ratings.dat", zip(users + 1, items + 1, ratings, strict=True))
    names = ("|".join(f"Genre {genre}" for genre in np.flatnonzero(row)) for row in genres)
    _write(given.out / "movies.dat", ((item, f"Film {item}", of) for item, of in enumerate(names, 1)))
    people = enumerate(zip(gender, age, job, strict=True), 1)
    _write(given.out / "users.dat", ((user, "MF"[g], a, j, "00000") for user, (g, a, j) in people))
    missed = np.sqrt(np.mean((ratings - np.clip(truth, 1, 5)) ** 2))
    print(f"{len(ratings):,} ratings in {given.out}; by who knows the truth they are missed by {missed:.4f} (RMSE)")


def pairs(n_users: int, n_items: int, n: int, rng: np.random.Generator) -> tuple[Int64Array, Int64Array]:
    """Distinct (user, item), n of them where twice as many draws have as many, in any order."""
    activity = rng.lognormal(0, 1, n_users)
    popularity = rng.permutation(1 / (np.arange(n_items) + 20) ** 0.9)
    users, items = (rng.choice(len(share), 2 * n, p=share / share.sum()) for share in (activity, popularity))
    chosen = rng.permutation(np.unique(users * n_items + items))[:n]
    return chosen // n_items, chosen % n_items


def scores(
    users: Int64Array,
    items: Int64Array,
    gender: Int64Array,
    job: Int64Array,
    genres: BoolArray,
    rng: np.random.Generator,
) -> Float64Array:
    """Of every pair, float64 (n,), without noise."""

    def factors(n: int, deviation: float) -> Float64Array:
        return rng.normal(0, deviation, (n, N_FACTORS))

    of_users = factors(len(job), 0.12) + factors(JOBS, 0.1)[job] + factors(2, 0.1)[gender]
    of_items = factors(len(genres), 0.5) + genres @ factors(GENRES, 0.35)
    biases = rng.normal(0, 0.4, len(job))[users] + rng.normal(0, 0.45, len(genres))[items]
    products: Float64Array = np.einsum("nk,nk->n", of_users[users], of_items[items])
    return MEAN + biases + products


def _write(path: Path, rows: Iterable[tuple[object, ...]]) -> None:
    path.write_text("".join("::".join(map(str, row)) + "\n" for row in rows))
