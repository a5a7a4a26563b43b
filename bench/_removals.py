"""A shop in; Recall@20 among items, or of users, that training never saw out: each recommender on the same removals.

A tenth of one side is removed with all its purchases; features alone then have to carry it. Removed items are ranked
among themselves for every user who bought some; for a removed user all items are ranked. Recall divides by all that the
user bought of what is ranked. Each recommender's settings are chosen in what the first removal leaves, by removing
tenths of that.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from scipy.sparse import csr_array, csr_matrix, eye_array, hstack

from bench._figures import recall_and_ndcg
from bench._report import print_table
from shortlist.contracts.arrays import Float32Array, Float64Array, Int64Array

REMOVED_SHARE: Final = 0.1
VALIDATION_SEED: Final = 1000
Setting = float | int | str
Settings = Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class Shop:
    """0/1 purchases (n_users, n_items) and the features of one side, of which rows can be removed."""

    purchases: csr_array
    features: csr_array
    side: Literal["items", "users"] = "items"

    def remove(self, seed: int) -> tuple["Shop", "Shop"]:
        """The shop with nine tenths of its items or users, and with the others.

        Users of whom nothing is known but what they all have in common stay: features do not tell them apart.
        """
        removed = np.random.default_rng(seed).random(self.features.shape[0]) < REMOVED_SHARE
        if self.side == "users":
            removed &= np.diff(self.features.indptr) > 1
        return self._only(np.flatnonzero(~removed)), self._only(np.flatnonzero(removed))

    def _only(self, rows: Int64Array) -> "Shop":
        purchases = self.purchases[:, rows] if self.side == "items" else self.purchases[rows]
        return replace(self, purchases=purchases, features=self.features[rows])


Rows = tuple[Float32Array, Float32Array]
Recommend = Callable[[Shop, csr_array, Settings], Rows]
"""The shop that is left, the features of what was removed and settings in; latent rows of users and of items out."""


@dataclass(frozen=True, slots=True)
class Contender:
    """How it recommends, and the settings among which validation chooses."""

    recommend: Recommend
    candidates: Sequence[Settings]


def measure(
    shop: Shop, contenders: Mapping[str, Contender], n_removals: int, n_validation: int
) -> tuple[list[dict[str, object]], dict[str, dict[str, float]]]:
    """A row of means for each contender, printed as a table, and `compare` of the first with each of the others."""
    print(f"{shop.purchases.shape}, {shop.purchases.nnz:,} pairs, {shop.features.shape[1]:,} features")
    rows, recalls = [], {}
    for name, contender in contenders.items():
        settings = choose(name, contender, shop.remove(0)[0], n_validation)
        print(f"{name} takes {json.dumps(settings)}", flush=True)
        figures = np.array([_removal(name, contender, shop, seed, settings) for seed in range(n_removals)])
        rows.append(_row(name, figures, settings))
        recalls[name] = figures[:, 0]
    print_table(rows, ("name", "recall_at_20", "ndcg_at_20", "cpu_seconds"))
    ours, *others = recalls
    compared = {name: compare(recalls[ours], recalls[name]) for name in others}
    for name, figures_of in compared.items():
        print(f"Recall@20, {ours} less {name} on the same removals: {json.dumps(figures_of)}")
    return rows, compared


def choose(name: str, contender: Contender, shop: Shop, n_removals: int) -> Settings:
    """The candidate with the best mean recall when tenths of this shop's items or users are removed."""
    if len(contender.candidates) == 1:
        return contender.candidates[0]
    tried = []
    for settings in contender.candidates:
        figures = [_figures(contender, *shop.remove(VALIDATION_SEED + n), settings) for n in range(n_removals)]
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


def _row(name: str, figures: Float64Array, settings: Settings) -> dict[str, object]:
    recall, ndcg, seconds = figures.mean(0).round(5).tolist()
    means = {"name": name, "recall_at_20": recall, "ndcg_at_20": ndcg, "cpu_seconds": seconds}
    return means | {"recalls": figures[:, 0].round(5).tolist(), "settings": settings}


def _removal(name: str, contender: Contender, shop: Shop, seed: int, settings: Settings) -> tuple[float, float, float]:
    recall, ndcg, seconds = _figures(contender, *shop.remove(seed), settings)
    print(f"removal {seed}: {name} {recall:.4f} {ndcg:.4f}", flush=True)
    return recall, ndcg, seconds


def _figures(contender: Contender, kept: Shop, removed: Shop, settings: Settings) -> tuple[float, float, float]:
    """Recall, NDCG and the processor time of the training."""
    started = time.process_time()
    users, items = contender.recommend(kept, removed.features, settings)
    seconds = time.process_time() - started
    nothing = csr_array(removed.purchases.shape)
    return *recall_and_ndcg(users, items, nothing, removed.purchases), seconds


def lightfm(kept: Shop, features: csr_array, settings: Settings) -> Rows:
    """Hybrid: a row is its id and its features; a removed one its features alone. On one thread, so that it repeats."""
    from lightfm import LightFM

    given: Any = dict(settings)
    epochs, side, n_kept = given.pop("epochs"), kept.side.removesuffix("s"), kept.features.shape[0]
    ids = eye_array(n_kept, dtype=np.float32, format="csr")
    trained_with: Any = {f"{side}_features": _side_by_side([ids, kept.features])}
    model = LightFM(no_components=given.pop("n_factors"), loss="warp", random_state=42, **given)
    model.fit(csr_matrix(kept.purchases).tocoo(), **trained_with, epochs=epochs, num_threads=1)
    alone = _side_by_side([csr_array((features.shape[0], n_kept)), features])
    users = model.get_user_representations(alone if side == "user" else None)[1]
    bias, items = model.get_item_representations(alone if side == "item" else None)
    return np.column_stack([users, np.ones(len(users), np.float32)]), np.column_stack([items, bias])


def with_constant(features: csr_array) -> csr_array:
    """And a feature that every row has: what they all have in common."""
    return csr_array(hstack([features, csr_array(np.ones((features.shape[0], 1), np.float32))]))


def ones(rows: Int64Array, columns: Int64Array, shape: tuple[int, int]) -> csr_array:
    """1 at every place that is named, however often."""
    matrix = csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def lightfm_settings(trials: Sequence[tuple[int, int, float, float, int]], penalty: str) -> list[Settings]:
    """Of factors, epochs, learning rate, strength of the `penalty` (item_alpha or user_alpha) and tries a pair."""
    return [
        {"n_factors": k, "epochs": epochs, "learning_rate": rate, penalty: strength, "max_sampled": sampled}
        for k, epochs, rate, strength, sampled in trials
    ]


def _side_by_side(parts: Sequence[csr_array]) -> csr_matrix:
    """Features as LightFM wants them: with 32-bit indices."""
    whole = csr_matrix(hstack(parts), dtype=np.float32)
    whole.indices, whole.indptr = whole.indices.astype(np.int32), whole.indptr.astype(np.int32)
    return whole
