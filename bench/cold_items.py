"""Purchases and item features in; Recall@20 among items that training never saw out: our machine beside LightFM.

Both train on the same matrix and the same features, and choose among as many settings (bench/_removals.py).
"""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from scipy.sparse import csr_array

from bench._removals import (
    Contender,
    Rows,
    Settings,
    Shop,
    lightfm,
    lightfm_settings,
    measure,
    ones,
    with_constant,
)
from bench._report import write_json
from bench.purchases import one_hot
from local.demo.data import ITEM_FEATURES, package_folder
from shortlist.fm.machine import FactorizationMachine
from shortlist.latent import item_prior, user_latent


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench cold_items", description=__doc__)
    parser.add_argument("--movielens", type=Path, help="folder with ratings.csv, movies.csv, tags.csv; else groceries")
    parser.add_argument("--removals", type=int, default=10, help="so many random tenths, each removed in its turn")
    parser.add_argument("--validation-removals", type=int, default=3, help="so many choose the settings")
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args(arguments)
    shop = movielens(given.movielens) if given.movielens else groceries()
    contenders = MOVIELENS if given.movielens else GROCERIES
    rows, compared = measure(shop, contenders, given.removals, given.validation_removals)
    if given.json:
        write_json(given.json, rows, ["numpy", "scipy", "numba", "lightfm-next"], compared=compared)


def ours(kept: Shop, features: csr_array, settings: Settings) -> Rows:
    given: Any = settings
    model = FactorizationMachine(**given).fit(kept.purchases, None, kept.features).model
    return user_latent(model), item_prior(model, features)


def _settings(trials: Sequence[tuple[int, float, float | None]]) -> list[Settings]:
    """Of factors, λ and the strength of the last fit; None for W of the joint fit."""
    return [
        {
            "n_factors": k,
            "epochs": 8,
            "unobserved_weight": 0.1,
            "regularization": strength,
            "regularization_exponent": 0.5,
            "feature_regularization": 1.0,
            **({} if new is None else {"new_item_regularization": new}),
        }
        for k, strength, new in trials
    ]


MOVIELENS: Final[Mapping[str, Contender]] = {
    "shortlist": Contender(
        ours, _settings([(64, 0.1, 5.0), (64, 0.1, 10.0), (128, 0.1, 10.0), (128, 0.1, 20.0), (64, 0.3, None)])
    ),
    "lightfm": Contender(
        lightfm,
        lightfm_settings(
            [
                (64, 20, 0.02, 1e-5, 30),
                (64, 10, 0.05, 1e-6, 30),
                (32, 30, 0.02, 0.0, 30),
                (32, 10, 0.05, 1e-5, 10),
                (64, 20, 0.05, 1e-4, 10),
            ],
            "item_alpha",
        ),
    ),
}
"""Five for each, out of wider trials on the same validation."""
GROCERIES: Final[Mapping[str, Contender]] = {
    "shortlist": Contender(ours, _settings([(128, 0.1, 1.0), (256, 0.1, 1.0)])),
    "lightfm": Contender(
        lightfm, lightfm_settings([(64, 10, 0.05, 1e-6, 30), (128, 10, 0.05, 1e-6, 30)], "item_alpha")
    ),
}
"""Two for each: a fit of LightFM takes minutes here."""


def movielens(folder: Path) -> Shop:
    """Every rating is a purchase; genres, and tags in lower case, are the features of a film."""
    with (folder / "ratings.csv").open(newline="", encoding="utf-8") as file:
        pairs = np.array([(int(row["userId"]), int(row["movieId"])) for row in csv.DictReader(file)])
    films, columns = np.unique(pairs[:, 1], return_inverse=True)
    users, rows = np.unique(pairs[:, 0], return_inverse=True)
    place = {film: row for row, film in enumerate(films.tolist())}
    words: dict[str, int] = {}
    said = []
    for name, column, separator in (("movies.csv", "genres", "|"), ("tags.csv", "tag", "\n")):
        with (folder / name).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if (film := place.get(int(row["movieId"]))) is not None:
                    said += [
                        (film, words.setdefault(f"{column} {word}", len(words)))
                        for word in row[column].lower().split(separator)
                    ]
    film_rows, word_columns = np.array(said).T
    features = ones(film_rows, word_columns, (len(films), len(words)))
    return Shop(ones(rows, columns, (len(users), len(films))), with_constant(features))


def groceries() -> Shop:
    """Whatever a household bought in the year; department, category, type, brand and maker of a product."""
    folder = package_folder()
    table = pq.read_table(folder / "transactions.parquet", columns=["household_id", "product_id"])
    users, rows = np.unique(table["household_id"].to_numpy(), return_inverse=True)
    items, columns = np.unique(table["product_id"].to_numpy(), return_inverse=True)
    features = one_hot(pq.read_table(folder / "products.parquet"), "product_id", items, ITEM_FEATURES)
    return Shop(ones(rows, columns, (len(users), len(items))), with_constant(features))
