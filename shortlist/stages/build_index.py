"""BuildIndex: latent items and the campaign's rules in; the k-NN index over items that may be listed, measured, out."""

import logging
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np

from shortlist.candidates import with_popularity
from shortlist.contracts.arrays import Catalogue, Float32Array, Int32Array, UserShard, npy_array, npy_bytes
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import StageRequest
from shortlist.index import build_index as build
from shortlist.ports import Clock, ObjectStore
from shortlist.rules import allowed_items
from shortlist.stages.artifacts import output_of
from shortlist.stages.pin import pinned
from shortlist.stages.resume import Work, read_campaign, read_manifest, run_once
from shortlist.topx import Seen, positions

SAMPLE_USERS = 1_000
"""Recall is measured on so many users, or on all where they are fewer."""
SAMPLE_SHARDS = 10
"""They come from at most so many shards, evenly spaced."""

logger = logging.getLogger(__name__)


def build_index(request: StageRequest, *, store: ObjectStore, clock: Clock) -> tuple[Manifest, bool]:
    """Leave `index/` in the run; the manifest's summary is its IndexMetrics.

    Raises:
        ContractError: faiss does not know the campaign's factory string.
    """
    run = pinned(request.run, store=store)
    campaign = read_campaign(run.run_id, store=store)
    keys = RunKeys(run.run_id)
    prepared = read_manifest(run.run_id, "Prepare", store=store)
    repackaged = read_manifest(run.run_id, "Repackage", store=store)
    shards = sampled_shards([key for key in sorted(repackaged.outputs) if key.startswith(keys.user_shards)])
    inputs = {
        "items": output_of(repackaged, keys.latent("items.npy")).sha256,
        "users": [output_of(repackaged, key).sha256 for key in shards],
        "catalogue": output_of(prepared, keys.dataset("items.npz")).sha256,
        "rules": msgspec.to_builtins(campaign.rules),
        "index": msgspec.to_builtins(campaign.index),
        "users_per_shard": campaign.shards.users,
        "x": campaign.x,
        "as_of": run.as_of,
    }

    def work() -> Work:
        catalogue = Catalogue.from_bytes(store.read(keys.dataset("items.npz")))
        as_of_s = int(datetime.fromisoformat(run.as_of).timestamp())
        item_rows = np.flatnonzero(allowed_items(catalogue, campaign.rules, as_of_s)).astype(np.int32)
        items = npy_array(store.read(keys.latent("items.npy")))
        queries, seen = _sample([UserShard.from_bytes(store.read(key)) for key in shards], item_rows, len(items))
        queries = with_popularity(queries, campaign.rules.popularity)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "items.faiss"
            metrics = build(
                path,
                items[item_rows],
                queries,
                seen,
                campaign.index,
                x=campaign.x,
                users_per_search=campaign.shards.users,
            )
            outputs = {
                keys.index("items.faiss"): store.upload(path, keys.index("items.faiss")),
                keys.index("item_rows.npy"): store.write(keys.index("item_rows.npy"), npy_bytes(item_rows)),
            }
        if metrics.fell_back:
            logger.warning(
                "index %s misses recall %s at %s: exact search serves this run",
                campaign.index.factory,
                campaign.index.min_recall,
                campaign.x,
            )
        return Work(outputs, msgspec.to_builtins(metrics) | {"left_out": len(items) - len(item_rows)})

    return run_once("BuildIndex", run, inputs, work, store=store, clock=clock)


def sampled_shards(keys: Sequence[str]) -> list[str]:
    """At most SAMPLE_SHARDS of the shards, evenly spaced."""
    places = np.unique(np.linspace(0, len(keys) - 1, min(len(keys), SAMPLE_SHARDS)).round().astype(int))
    return [keys[place] for place in places.tolist()]


def _sample(shards: Sequence[UserShard], item_rows: Int32Array, n_items: int) -> tuple[Float32Array, Seen]:
    """Evenly spaced users of the shards, with what they have seen of the items in the index."""
    latent = np.concatenate([shard.latent for shard in shards])
    counts = np.concatenate([np.diff(shard.indptr) for shard in shards])
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    bought = np.concatenate([shard.item_rows for shard in shards])
    everybody, _ = Seen.among(indptr, bought, positions(item_rows, n_items))
    users = np.unique(np.linspace(0, len(latent) - 1, min(len(latent), SAMPLE_USERS)).round().astype(np.int64))
    return latent[users], everybody.take(users)
