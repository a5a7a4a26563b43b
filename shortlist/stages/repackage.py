"""Repackage: the model and the dataset in; the item latent matrix and the users' in shards out (numpy only)."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from shortlist.cold_start import count_buyers, segments
from shortlist.config import Campaign
from shortlist.contracts.arrays import (
    Float32Array,
    Int32Array,
    Int64Array,
    NewItems,
    Popular,
    StringTable,
    UserShard,
    Withheld,
    npy_array,
    npy_bytes,
    shard_bounds,
)
from shortlist.contracts.keys import RunKeys, shard_name
from shortlist.contracts.manifests import Manifest, Output
from shortlist.contracts.payloads import StageRequest
from shortlist.dataset.dataset import FeatureMatrix
from shortlist.errors import ContractError
from shortlist.fm.model import FactorModel, Side
from shortlist.fm.sparse import SparseRows
from shortlist.latent import item_latent, user_latent, user_prior
from shortlist.ports import Clock, ObjectStore
from shortlist.stages.resume import Work, read_campaign, read_manifest, run_once

SOLVER_SETTINGS = ("n_factors", "unobserved_weight", "regularization", "regularization_exponent")
"""What a reason needs to know of how the model was trained (shortlist.fm.fold_in)."""


def repackage(request: StageRequest, *, store: ObjectStore, clock: Clock) -> tuple[Manifest, bool]:
    """Leave `latent/` in the run.

    Raises:
        ContractError: the model does not fit the dataset, or is not finite.
    """
    run = request.run
    campaign = read_campaign(run.run_id, store=store)
    inputs = {
        "dataset": read_manifest(run.run_id, "Prepare", store=store).digest(),
        "model": read_manifest(run.run_id, "Train", store=store).digest(),
        "users_per_shard": campaign.shards.users,
        "segment": _segment_column(campaign),
    }

    def work() -> Work:
        keys = RunKeys(run.run_id)
        source = _load(keys, campaign, store)
        outputs: dict[str, Output] = {}
        for key, body in _objects(keys, source, campaign.shards.users):
            outputs[key] = store.write(key, body)
        stale = [entry.key for entry in store.list(keys.user_shards) if entry.key not in outputs]
        store.delete(stale)
        n_users, n_items = len(source.user_ids), len(source.model.items)
        return Work(
            outputs,
            {
                "users": n_users,
                "items": n_items,
                "dims": source.model.n_factors + 1,
                "shards": len(shard_bounds(n_users, campaign.shards.users)),
                "segments": len(source.popular.names),
            },
        )

    return run_once("Repackage", run, inputs, work, store=store, clock=clock)


@dataclass(frozen=True, slots=True)
class _Source:
    """What the shards are cut from; rows of users over the whole run."""

    model: FactorModel
    user_ids: StringTable
    user_features: SparseRows | None
    item_features: SparseRows | None
    indptr: Int64Array
    item_rows: Int32Array
    repeat: Float32Array
    weight: Float32Array
    last_seen: Int64Array
    days: Int32Array
    segment: Int32Array
    popular: Popular
    new_items: NewItems
    withheld: Withheld

    def shard(self, start: int, stop: int) -> UserShard:
        """Users from row `start` up to `stop`."""
        pairs = slice(self.indptr[start], self.indptr[stop])
        users = self.model.users
        cut = Side(users.factors[start:stop], users.weights[start:stop], users.feature_factors, users.feature_weights)
        model = replace(self.model, users=cut)
        features = self.user_features.rows(start, stop) if self.user_features else None
        latent = user_latent(model, features)
        _check_finite(latent, f"the latent rows of users {start} to {stop - 1}")
        return UserShard(
            first_row=start,
            user_ids=self.user_ids.slice(start, stop),
            latent=latent,
            indptr=self.indptr[start : stop + 1] - self.indptr[start],
            item_rows=self.item_rows[pairs],
            repeat=self.repeat[pairs],
            weight=self.weight[pairs],
            last_seen=self.last_seen[pairs],
            days=self.days[pairs],
            segment=self.segment[start:stop],
            prior=np.zeros_like(latent) if features is None else user_prior(model, features),
            withheld_indptr=self.withheld.indptr[start : stop + 1] - self.withheld.indptr[start],
            withheld_rows=self.withheld.item_rows[self.withheld.indptr[start] : self.withheld.indptr[stop]],
        )


def _objects(keys: RunKeys, source: _Source, users_per_shard: int) -> Iterator[tuple[str, bytes]]:
    """Key and bytes of every object of `latent/`."""
    items = item_latent(source.model, source.item_features)
    _check_finite(items, "the item latent matrix")
    yield keys.latent("items.npy"), npy_bytes(items)
    yield keys.latent("popular.npz"), source.popular.to_bytes()
    yield keys.latent("new_items.npz"), source.new_items.to_bytes()
    solver = {name: source.model.settings[name] for name in SOLVER_SETTINGS}
    yield keys.latent("solver.json"), msgspec.json.encode(solver, order="sorted")
    for number, (start, stop) in enumerate(shard_bounds(len(source.user_ids), users_per_shard)):
        yield keys.user_shard(shard_name(number)), source.shard(start, stop).to_bytes()


def _load(keys: RunKeys, campaign: Campaign, store: ObjectStore) -> _Source:
    model = _load_model(keys, store)
    user_ids = StringTable.from_bytes(store.read(keys.dataset("user_ids.npz")))
    user_features = FeatureMatrix.from_files(lambda name: store.read(keys.dataset(f"user_features/{name}")))
    item_features = FeatureMatrix.from_files(lambda name: store.read(keys.dataset(f"item_features/{name}")))
    history = {
        name: npy_array(store.read(keys.model(f"history/{name}.npy")))
        for name in ("indptr", "item_rows", "repeat", "weight", "last_seen", "days")
    }
    n_users, n_items = len(user_ids), len(item_features.indptr) - 1
    found = (len(model.users), len(model.items), len(history["indptr"]) - 1)
    if found != (n_users, n_items, n_users):
        raise ContractError(
            f"run {keys.run_id}: the dataset has {n_users} users and {n_items} items; the model has {found[0]} and "
            f"{found[1]}, its history {found[2]} users. Re-run the run from Train."
        )
    segment, names = segments(
        user_features.indptr, user_features.indices, user_features.names, _segment_column(campaign)
    )
    return _Source(
        model=model,
        user_ids=user_ids,
        user_features=_rows(user_features, model.users),
        item_features=_rows(item_features, model.items),
        segment=segment,
        new_items=_new_items(model.items, item_features, history["item_rows"]),
        withheld=Withheld.from_bytes(store.read(keys.dataset("withheld.npz"))),
        popular=count_buyers(history["indptr"], history["item_rows"], n_items, segment, names),
        **history,
    )


def _load_model(keys: RunKeys, store: ObjectStore) -> FactorModel:
    with tempfile.TemporaryDirectory() as folder:
        prefix = keys.model("fm/")
        for entry in store.list(prefix):
            store.download(entry.key, Path(folder) / entry.key.removeprefix(prefix))
        return FactorModel.load(Path(folder))


def _rows(features: FeatureMatrix, side: Side) -> SparseRows | None:
    """The features of a side that was trained with them."""
    if not len(side.feature_factors):
        return None
    return SparseRows(features.indptr, features.indices, features.data, len(features.names))


def _new_items(side: Side, features: FeatureMatrix, bought: Int32Array) -> NewItems:
    """Of all items those in nobody's past that have features which the model knows."""
    counts = np.diff(features.indptr) if len(side.feature_factors) else np.zeros(len(side), np.int64)
    rows = np.flatnonzero((counts > 0) & (np.bincount(bought, minlength=len(side)) == 0)).astype(np.int32)
    indptr = np.concatenate([[0], np.cumsum(counts[rows])]).astype(np.int64)
    entries = np.arange(indptr[-1]) + np.repeat(features.indptr[rows] - indptr[:-1], counts[rows])
    own = (features.indices[entries], features.data[entries])
    return NewItems(rows, indptr, *own, side.feature_factors, side.feature_weights, features.names)


def _segment_column(campaign: Campaign) -> str | None:
    """The first categorical user feature that the campaign declares."""
    features = campaign.input.users.features
    return next((column for column, kind in features.items() if kind == "categorical"), None)


def _check_finite(rows: Float32Array, what: str) -> None:
    if not np.isfinite(rows).all():
        raise ContractError(f"{what} has values that are not finite: training diverged. Raise model.regularization.")
