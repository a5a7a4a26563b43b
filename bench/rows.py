"""Purchases in; trained rows of users and items with what `bench retrieval --factors` and `bench index` ask for, out.

The groceries of the demo as a run would learn them, or a file of users with their items (Gowalla's training part).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.purchases import read
from bench.ranking import read_adjacency
from bench.retrieval import SETTINGS
from shortlist.config import Model
from shortlist.contracts.arrays import Float32Array
from shortlist.fm.machine import FactorizationMachine
from shortlist.fm.model import FactorModel
from shortlist.latent import item_latent, user_latent, user_prior
from shortlist.recommender import latent, learn


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench rows", description=__doc__)
    parser.add_argument("out", type=Path, help=".npz")
    parser.add_argument(
        "--train", type=Path, help="a line: a user, then its items; plain or .gz. Groceries if not given"
    )
    parser.add_argument("--n-factors", type=int, default=64)
    given = parser.parse_args(arguments)
    if given.train:
        _of_file(given.out, given.train, given.n_factors)
    else:
        _of_groceries(given.out, given.n_factors)


def _of_file(out: Path, train: Path, n_factors: int) -> None:
    pairs, _ = read_adjacency(train, train)
    machine = FactorizationMachine(
        n_factors=n_factors,
        epochs=5,
        unobserved_weight=SETTINGS["unobserved_weight"],
        regularization=SETTINGS["regularization"],
        regularization_exponent=SETTINGS["regularization_exponent"],
    )
    model = machine.fit(pairs).model
    users = user_latent(model)
    _save(out, model, users, item_latent(model), np.zeros_like(users), pairs.indptr, pairs.indices, pairs.data)


def _of_groceries(out: Path, n_factors: int) -> None:
    split, settings = read(), Model(n_factors=n_factors)
    recommender = learn(split.train, split.shop, settings)
    users, items = latent(recommender.model, split.shop)
    past = recommender.past(split.train, split.shop)
    prior = user_prior(recommender.model, split.shop.user_features)
    _save(out, recommender.model, users, items, prior, past.indptr, past.item_rows, past.weight)


def _save(
    out: Path,
    model: FactorModel,
    users: Float32Array,
    items: Float32Array,
    prior: Float32Array,
    indptr: NDArray[np.integer],
    seen: NDArray[np.integer],
    weight: NDArray[np.floating],
) -> None:
    np.savez(
        out,
        allow_pickle=False,
        users=users,
        items=items,
        prior=prior,
        weight=weight.astype(np.float32),
        indptr=indptr.astype(np.int64),
        seen=seen.astype(np.int32),
        **{name: np.array(model.settings[name]) for name in SETTINGS},
    )
