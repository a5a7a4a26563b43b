"""Purchases and demographics in; Recall@20 of households that training never saw out: ours, LightFM and popularity.

completejourney: 801 of 2,469 households have said their age, income and so on. A tenth of these is removed. Products
are ids alone, for all three; LightFM and ours choose among as many settings (bench/_removals.py).
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from scipy.sparse import csr_array

from bench._removals import Contender, Rows, Settings, Shop, lightfm, lightfm_settings, measure, with_constant
from bench._report import write_json
from bench.cold_items import groceries
from bench.purchases import one_hot
from local.demo.data import USER_FEATURES, package_folder
from shortlist.fm.machine import FactorizationMachine
from shortlist.latent import item_latent, user_prior


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench cold_users", description=__doc__)
    parser.add_argument("--removals", type=int, default=10, help="so many random tenths, each removed in its turn")
    parser.add_argument("--validation-removals", type=int, default=3, help="so many choose the settings")
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args(arguments)
    rows, compared = measure(households(), CONTENDERS, given.removals, given.validation_removals)
    if given.json:
        write_json(given.json, rows, ["numpy", "scipy", "numba", "lightfm-next"], compared=compared)


def ours(kept: Shop, features: csr_array, settings: Settings) -> Rows:
    given: Any = settings
    model = FactorizationMachine(**given).fit(kept.purchases, kept.features).model
    return user_prior(model, features), item_latent(model)


def popularity(kept: Shop, features: csr_array, settings: Settings) -> Rows:
    """What most households bought, for everybody."""
    buyers = kept.purchases.sum(0).astype(np.float32)
    return np.ones((features.shape[0], 1), np.float32), buyers[:, None]


def households() -> Shop:
    """Whatever a household bought in the year; seven answers about itself, of those who gave any."""
    folder = package_folder()
    ids = np.unique(pq.read_table(folder / "transactions.parquet", columns=["household_id"])["household_id"].to_numpy())
    features = one_hot(pq.read_table(folder / "demographics.parquet"), "household_id", ids, USER_FEATURES)
    return Shop(groceries().purchases, with_constant(features), "users")


def _settings(trials: Sequence[tuple[int, float, float, float]]) -> list[Settings]:
    """Of factors, α₀, λ and the ridge on features."""
    return [
        {
            "n_factors": k,
            "epochs": 8,
            "unobserved_weight": alpha,
            "regularization": strength,
            "regularization_exponent": 0.5,
            "feature_regularization": ridge,
        }
        for k, alpha, strength, ridge in trials
    ]


CONTENDERS: Final[Mapping[str, Contender]] = {
    "shortlist": Contender(ours, _settings([(64, 0.1, 0.1, 1.0), (64, 0.1, 0.1, 10.0), (64, 1.0, 0.3, 10.0)])),
    "lightfm": Contender(
        lightfm,
        lightfm_settings([(32, 10, 0.05, 1e-5, 10), (64, 10, 0.05, 1e-6, 30), (32, 10, 0.02, 0.0, 10)], "user_alpha"),
    ),
    "popularity": Contender(popularity, [{}]),
}
