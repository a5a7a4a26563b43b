"""Repackage: the model's scores survive being cut into latent rows and shards, byte for byte on every run."""

import numpy as np
import pytest
from msgspec.structs import replace

from shortlist.config import Shards, Table
from shortlist.contracts.arrays import Popular, UserShard, npy_array, npy_bytes
from shortlist.contracts.keys import RunKeys
from shortlist.dataset.dataset import FeatureMatrix
from shortlist.errors import ContractError
from shortlist.fm.model import FactorModel
from shortlist.latent import item_latent, user_latent
from shortlist.stages.repackage import repackage
from tests.fakes import FixedClock
from tests.trained_run import (
    AGES,
    CAMPAIGN,
    FEATURES_ONLY_USER,
    N_FACTORS,
    N_ITEMS,
    N_USERS,
    NEW_USER,
    RUN,
    request,
    rows_of,
    trained_run,
    user_id,
    write,
)

KEYS = RunKeys(RUN.run_id)


@pytest.fixture
def store():
    return trained_run()


def shards_of(store):
    return [UserShard.from_bytes(store.read(entry.key)) for entry in store.list(KEYS.user_shards)]


def test_shards_hold_every_user_once_in_order(store):
    manifest, skipped = repackage(request(), store=store, clock=FixedClock())

    shards = shards_of(store)
    assert not skipped
    assert [len(shard.latent) for shard in shards] == [30, 30, 10]
    assert [shard.first_row for shard in shards] == [0, 30, 60]
    assert [name for shard in shards for name in shard.user_ids.to_list()] == [user_id(row) for row in range(N_USERS)]
    assert manifest.summary == {
        "users": N_USERS,
        "items": N_ITEMS,
        "dims": N_FACTORS + 1,
        "shards": 3,
        "segments": len(AGES),
    }


def test_latent_rows_are_those_of_the_whole_model(store, tmp_path):
    repackage(request(), store=store, clock=FixedClock())

    model = model_of(store, tmp_path)
    user_features = features_of(store, "user_features")
    whole = user_latent(model, rows_of(user_features))
    np.testing.assert_array_equal(np.concatenate([shard.latent for shard in shards_of(store)]), whole)
    np.testing.assert_array_equal(
        npy_array(store.read(KEYS.latent("items.npy"))),
        item_latent(model, rows_of(features_of(store, "item_features"))),
    )


def model_of(store, folder):
    for entry in store.list(KEYS.model("fm/")):
        store.download(entry.key, folder / entry.key.rpartition("/")[2])
    return FactorModel.load(folder)


def features_of(store, folder):
    return FeatureMatrix.from_files(lambda name: store.read(KEYS.dataset(f"{folder}/{name}")))


def test_the_history_is_cut_with_its_users(store):
    repackage(request(), store=store, clock=FixedClock())

    shards = shards_of(store)
    for name in ("item_rows", "repeat", "weight", "last_seen", "days"):
        whole = npy_array(store.read(KEYS.model(f"history/{name}.npy")))
        np.testing.assert_array_equal(np.concatenate([getattr(shard, name) for shard in shards]), whole)
    counts = np.diff(npy_array(store.read(KEYS.model("history/indptr.npy"))))
    np.testing.assert_array_equal(np.concatenate([np.diff(shard.indptr) for shard in shards]), counts)
    assert all(shard.indptr[0] == 0 for shard in shards)


def test_priors_tell_users_with_features_from_those_without(store):
    repackage(request(), store=store, clock=FixedClock())

    first = shards_of(store)[0]
    assert first.prior[FEATURES_ONLY_USER, :-1].any()
    assert not first.prior[NEW_USER, :-1].any()


def test_segments_are_the_values_of_the_first_categorical_feature(store):
    repackage(request(), store=store, clock=FixedClock())

    first = shards_of(store)[0]
    assert Popular.from_bytes(store.read(KEYS.latent("popular.npz"))).names.to_list() == list(AGES)
    assert first.segment[:5].tolist() == [0, 1, 0, -1, 0]


def test_without_a_categorical_feature_there_are_no_segments():
    store = trained_run(replace(CAMPAIGN, input=replace(CAMPAIGN.input, users=Table())))

    manifest, _ = repackage(request(), store=store, clock=FixedClock())

    assert manifest.summary["segments"] == 0
    assert all((shard.segment == -1).all() for shard in shards_of(store))


def test_the_same_model_makes_the_same_bytes(store):
    repackage(request(), store=store, clock=FixedClock())
    first = {entry.key: store.read(entry.key) for entry in store.list(KEYS.latent(""))}
    again = trained_run()

    repackage(request(), store=again, clock=FixedClock())

    assert {entry.key: again.read(entry.key) for entry in again.list(KEYS.latent(""))} == first
    assert len(first) == 7


def test_a_second_execution_changes_nothing(store):
    repackage(request(), store=store, clock=FixedClock())
    writes = dict(store.writes)

    _, skipped = repackage(request(), store=store, clock=FixedClock())

    assert skipped
    assert store.writes == writes


def test_shards_of_an_earlier_cut_are_removed(store):
    repackage(request(), store=store, clock=FixedClock())
    write(store, KEYS.campaign, replace(CAMPAIGN, shards=Shards(users=50)))

    _, skipped = repackage(request(), store=store, clock=FixedClock())

    assert not skipped
    assert [len(shard.latent) for shard in shards_of(store)] == [50, 20]


def test_a_model_of_other_users_is_refused(store):
    short = npy_array(store.read(KEYS.model("history/indptr.npy")))[:-1]
    store.write(KEYS.model("history/indptr.npy"), npy_bytes(short))

    with pytest.raises(ContractError, match="70 users and 120 items; the model has 70 and 120, its history 69 users"):
        repackage(request(), store=store, clock=FixedClock())


@pytest.mark.parametrize("side", ["users", "items"])
def test_a_model_that_diverged_is_refused(store, tmp_path, side):
    model = model_of(store, tmp_path)
    getattr(model, side).factors[7, 0] = np.nan
    model.save(tmp_path)
    for path in tmp_path.iterdir():
        store.upload(path, KEYS.model(f"fm/{path.name}"))

    with pytest.raises(ContractError, match="not finite"):
        repackage(request(), store=store, clock=FixedClock())
    assert not store.exists(KEYS.manifest("Repackage"))
