"""Purchases and item features in; Recall@20 among items that training never saw out: our machine beside LightFM.

A tenth of the items, with all their purchases, is removed; for every user who bought some of them the removed items
alone are ranked, by their features. Recall divides by all of a user's removed items. Both train on the same matrix and
the same features; the settings of both are chosen by removing a tenth of the remaining items in the same way.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from scipy.sparse import csr_array, csr_matrix, eye_array, hstack

from bench._figures import recall_and_ndcg
from bench._report import print_table, write_json
from bench.purchases import one_hot
from local.demo.data import ITEM_FEATURES, package_folder
from shortlist.contracts.arrays import Float32Array, Float64Array, Int64Array
from shortlist.fm.machine import FactorizationMachine
from shortlist.latent import item_prior, user_latent

REMOVED_SHARE: Final = 0.1
VALIDATION_SEED: Final = 1000
Setting = float | int | str
CANDIDATES: Final[Mapping[str, list[dict[str, Setting]]]] = {
    "shortlist": [
        {
            "n_factors": k,
            "epochs": 8,
            "unobserved_weight": alpha,
            "regularization": strength,
            "regularization_exponent": 0.5,
            "feature_regularization": 1.0,
            **({} if new is None else {"new_item_regularization": new}),
        }
        for k, alpha, strength, new in (
            *((64, 0.1, 0.1, 10.0), (128, 0.1, 0.1, 20.0), (64, 0.1, 0.3, None)),
            *((128, 0.1, 0.3, None), (128, 0.1, 0.1, 1.0)),
        )
    ],
    "lightfm": [
        {"n_factors": k, "epochs": epochs, "learning_rate": rate, "item_alpha": strength, "max_sampled": sampled}
        for k, epochs, rate, strength, sampled in (
            *((64, 20, 0.02, 1e-5, 30), (64, 10, 0.05, 1e-6, 30), (32, 30, 0.02, 0.0, 30)),
            *((32, 10, 0.05, 1e-5, 10), (64, 20, 0.05, 1e-4, 10)),
        )
    ],
}
"""Five for each, out of wider trials on the same validation."""


@dataclass(frozen=True, slots=True)
class Shop:
    """0/1 purchases (n_users, n_items) and item features (n_items, f)."""

    purchases: csr_array
    features: csr_array

    def remove(self, seed: int) -> tuple["Shop", "Shop"]:
        """The shop with nine tenths of its items, and with the others."""
        removed = np.random.default_rng(seed).random(self.purchases.shape[1]) < REMOVED_SHARE
        kept, out = (
            Shop(self.purchases[:, rows], self.features[rows]) for rows in map(np.flatnonzero, (~removed, removed))
        )
        return kept, out


Rows = tuple[Float32Array, Float32Array]
Recommend = Callable[[Shop, csr_array, Mapping[str, Setting]], Rows]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench cold_items", description=__doc__)
    parser.add_argument("--movielens", type=Path, help="folder with ratings.csv, movies.csv, tags.csv; else groceries")
    parser.add_argument("--removals", type=int, default=10, help="so many random tenths, each removed in its turn")
    parser.add_argument("--validation-removals", type=int, default=3, help="so many choose the settings")
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args(arguments)
    shop = movielens(given.movielens) if given.movielens else groceries()
    print(f"{shop.purchases.shape}, {shop.purchases.nnz:,} pairs, {shop.features.shape[1]:,} features")
    chosen, measured = {}, {}
    for name, recommend in RECOMMENDERS.items():
        chosen[name] = choose(name, recommend, shop.remove(0)[0], given.validation_removals)
        print(f"{name} takes {json.dumps(chosen[name])}", flush=True)
        figures = [_figures(recommend, *shop.remove(seed), chosen[name]) for seed in range(given.removals)]
        measured[name] = np.array(figures)
    rows = [_row(name, figures, chosen[name]) for name, figures in measured.items()]
    print_table(rows, ("name", "recall_at_20", "ndcg_at_20", "cpu_seconds"))
    compared = compare(measured["shortlist"][:, 0], measured["lightfm"][:, 0])
    print("Recall@20, shortlist less lightfm on the same removals:", json.dumps(compared))
    if given.json:
        write_json(given.json, rows, ["numpy", "scipy", "numba", "lightfm-next"], compared=compared)


def choose(name: str, recommend: Recommend, shop: Shop, n_removals: int) -> Mapping[str, Setting]:
    """The candidate with the best mean recall when tenths of this shop's items are removed."""
    tried = []
    for settings in CANDIDATES[name]:
        figures = [_figures(recommend, *shop.remove(VALIDATION_SEED + n), settings) for n in range(n_removals)]
        recall, ndcg, _ = np.mean(figures, 0)
        print(f"validation: {name} {json.dumps(settings)} {recall:.4f} {ndcg:.4f}", flush=True)
        tried.append((recall, settings))
    return max(tried, key=lambda one: one[0])[1]


def compare(ours: Float64Array, theirs: Float64Array) -> dict[str, float]:
    """The mean difference over the removals, its standard error, and on how many of them ours is ahead."""
    difference = ours - theirs
    error = float(difference.std(ddof=1) / np.sqrt(len(difference))) if len(difference) > 1 else float("nan")
    return {
        "difference": round(float(difference.mean()), 5),
        "standard_error": round(error, 5),
        "ahead": int((difference > 0).sum()),
        "removals": len(difference),
    }


def _row(name: str, figures: Float64Array, settings: Mapping[str, Setting]) -> dict[str, object]:
    recall, ndcg, seconds = figures.mean(0).round(5).tolist()
    means = {"name": name, "recall_at_20": recall, "ndcg_at_20": ndcg, "cpu_seconds": seconds}
    return means | {"recalls": figures[:, 0].round(5).tolist(), "settings": settings}


def _figures(
    recommend: Recommend, kept: Shop, removed: Shop, settings: Mapping[str, Setting]
) -> tuple[float, float, float]:
    """Recall, NDCG and the processor time of the training."""
    started = time.process_time()
    users, items = recommend(kept, removed.features, settings)
    seconds = time.process_time() - started
    nothing = csr_array(removed.purchases.shape, dtype=np.float32)
    return *recall_and_ndcg(users, items, nothing, removed.purchases), seconds


def ours(kept: Shop, features: csr_array, settings: Mapping[str, Setting]) -> Rows:
    given: Any = settings
    model = FactorizationMachine(**given).fit(kept.purchases, None, kept.features).model
    return user_latent(model), item_prior(model, features)


def lightfm(kept: Shop, features: csr_array, settings: Mapping[str, Setting]) -> Rows:
    """Hybrid: an item is its id and its features; a removed one its features alone. One thread: more make it vary."""
    from lightfm import LightFM

    given: Any = dict(settings)
    epochs = given.pop("epochs")
    n_items = kept.features.shape[0]
    ids = eye_array(n_items, dtype=np.float32, format="csr")
    model = LightFM(no_components=given.pop("n_factors"), loss="warp", random_state=42, **given)
    model.fit(
        csr_matrix(kept.purchases).tocoo(),
        item_features=_for_lightfm([ids, kept.features]),
        epochs=epochs,
        num_threads=1,
    )
    no_ids = csr_array((features.shape[0], n_items), dtype=np.float32)
    bias, items = model.get_item_representations(_for_lightfm([no_ids, features]))
    users = model.get_user_representations()[1]
    return np.column_stack([users, np.ones(len(users), np.float32)]), np.column_stack([items, bias])


def _for_lightfm(parts: Sequence[csr_array]) -> csr_matrix:
    """Side by side, with the 32-bit indices that it asks for."""
    whole = csr_matrix(hstack(parts), dtype=np.float32)
    whole.indices, whole.indptr = whole.indices.astype(np.int32), whole.indptr.astype(np.int32)
    return whole


RECOMMENDERS: Final[Mapping[str, Recommend]] = {"shortlist": ours, "lightfm": lightfm}


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
    features = _ones(*np.array(said).T, (len(films), len(words)))
    return Shop(_ones(rows, columns, (len(users), len(films))), _with_constant(features))


def groceries() -> Shop:
    """Whatever a household bought in the year; department, category, type, brand and maker of a product."""
    folder = package_folder()
    table = pq.read_table(folder / "transactions.parquet", columns=["household_id", "product_id"])
    users, rows = np.unique(table["household_id"].to_numpy(), return_inverse=True)
    items, columns = np.unique(table["product_id"].to_numpy(), return_inverse=True)
    features = one_hot(pq.read_table(folder / "products.parquet"), "product_id", items, ITEM_FEATURES)
    return Shop(_ones(rows, columns, (len(users), len(items))), _with_constant(features))


def _with_constant(features: csr_array) -> csr_array:
    """And a feature that every item has: what they all have in common."""
    return csr_array(hstack([features, csr_array(np.ones((features.shape[0], 1), np.float32))]))


def _ones(rows: Int64Array, columns: Int64Array, shape: tuple[int, int]) -> csr_array:
    matrix = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
