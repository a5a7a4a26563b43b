"""Train: measured without the held-out weeks, resumed after a reclaim, or taken over from another run."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import yaml
from scipy.sparse import csr_array

from shortlist.contracts.arrays import npy_array
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.metrics import HoldoutMetrics
from shortlist.contracts.payloads import Run, StageRequest
from shortlist.contracts.records import CurrentRun, Response
from shortlist.dataset.dataset import Dataset
from shortlist.errors import ContractError
from shortlist.recommender import MORE_EPOCHS, Recommender, latent
from shortlist.recommender import Shop as Sizes
from shortlist.stages.prepare import prepare
from shortlist.stages.train import train
from tests.fakes import FixedClock, MemoryResponses, MemoryRunsTable, MemoryStore
from tests.shop import END, Shop, make_shop, shuffled

CAMPAIGN = {
    "name": "shop",
    "x": 6,
    "lists": ["everything", "new_for_you"],
    "input": {"items": {"features": {"aisle": "categorical"}}},
    "model": {"n_factors": 8, "epochs": 3, "spectral_factors": 128},
}


@pytest.fixture(scope="module")
def shop() -> Shop:
    return make_shop()


def prepared(
    shop: Shop,
    run_id: str,
    store: MemoryStore,
    responses: MemoryResponses | None = None,
    click_weight: float = 0.0,
    campaign: dict[str, Any] = CAMPAIGN,
    **changes: Any,
) -> StageRequest:
    """A run whose Prepare is done."""
    campaign = campaign | {"feedback": {"click_weight": click_weight}}
    for table in ("interactions", "items", "users"):
        store.write(f"input/{table}/{table}.csv", getattr(shop, table))
    store.write("campaigns/shop.yaml", yaml.safe_dump(campaign).encode())
    request = StageRequest(run=Run(run_id=run_id, campaign="shop", as_of=END.isoformat(), **changes))
    prepare(request, store=store, clock=FixedClock(), shipped_campaigns=Path("nowhere"), responses=responses)
    return request


def metrics(run_id: str, store: MemoryStore) -> HoldoutMetrics:
    return msgspec.json.decode(store.read(RunKeys(run_id).holdout_metrics), type=HoldoutMetrics)


def model_of(run_id: str, store: MemoryStore) -> dict[str, bytes]:
    prefix = RunKeys(run_id).model("")
    return {key.removeprefix(prefix): body for key, body in store.objects.items() if key.startswith(prefix)}


class ReclaimedError(Exception):
    """The machine went away."""


class StoreOfReclaimedJob(MemoryStore):
    """Raises on the n-th upload from when `armed`."""

    left = 0

    def upload(self, path: Path, key: str) -> Any:
        if self.left:
            self.left -= 1
            if not self.left:
                raise ReclaimedError
        return super().upload(path, key)


def test_the_model_beats_both_baselines_where_there_is_something_to_learn(shop: Shop) -> None:
    store = MemoryStore()

    train(prepared(shop, "r1", store), store=store, clock=FixedClock(), runs=MemoryRunsTable())

    everything = metrics("r1", store).kinds["everything"]
    assert everything.model.recall > everything.baselines["buy_it_again"].recall
    assert everything.model.recall > everything.baselines["popularity"].recall


def test_shuffled_purchases_do_not_beat_popularity(shop: Shop) -> None:
    store = MemoryStore()

    train(prepared(shuffled(shop), "r1", store), store=store, clock=FixedClock(), runs=MemoryRunsTable())

    everything = metrics("r1", store).kinds["everything"]
    assert everything.model.recall < everything.baselines["popularity"].recall


@pytest.mark.parametrize("uploads", [1, 20, 40, 57, 90])
def test_a_reclaimed_job_goes_on_to_the_same_bytes(shop: Shop, uploads: int) -> None:
    # GIVEN a run that nobody disturbed
    undisturbed = MemoryStore()
    train(prepared(shop, "r1", undisturbed), store=undisturbed, clock=FixedClock(), runs=MemoryRunsTable())

    # WHEN the machine goes away in the middle, and the job starts again
    store = StoreOfReclaimedJob()
    request = prepared(shop, "r1", store)
    store.left = uploads
    with pytest.raises(ReclaimedError):
        train(request, store=store, clock=FixedClock(), runs=MemoryRunsTable())
    train(request, store=store, clock=FixedClock(), runs=MemoryRunsTable())

    # THEN the model is the same to the byte, and no checkpoint is left
    assert model_of("r1", store) == model_of("r1", undisturbed)
    assert not list(store.list(RunKeys("r1").checkpoint))


def test_a_job_reclaimed_in_the_second_fit_does_not_measure_again(shop: Shop) -> None:
    store = StoreOfReclaimedJob()
    request = prepared(shop, "r1", store)
    heard: list[tuple[str, dict[str, Any]]] = []
    store.left = 1_000
    events: list[str] = []

    def progress(event: str, figures: dict[str, Any]) -> None:
        events.append(event)
        heard.append((event, figures))
        if event == "epoch_done" and figures["purpose"] == "everything":
            store.left = 1

    with pytest.raises(ReclaimedError):
        train(request, store=store, clock=FixedClock(), runs=MemoryRunsTable(), progress=progress)
    store.left = 0
    events.clear()
    train(
        request,
        store=store,
        clock=FixedClock(),
        runs=MemoryRunsTable(),
        progress=lambda event, figures: events.append(event),
    )

    assert events[0] == "measurement_resumed"
    assert "measured" not in events


@pytest.mark.parametrize("measured_knows_enough", [True, False])
def test_the_published_fit_goes_on_from_the_measured_model_or_has_the_epochs_that_were_found(
    shop: Shop, measured_knows_enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shortlist.stages.train.goes_on", lambda n_known, n_events: measured_knows_enough)
    store = MemoryStore()
    heard: list[dict[str, Any]] = []
    model = {"model": CAMPAIGN["model"] | {"epochs": 12, "patience": 1, "repeat_horizon_days": 14.0}}
    request = prepared(shop, "r1", store, campaign=CAMPAIGN | model)

    train(
        request,
        store=store,
        clock=FixedClock(),
        runs=MemoryRunsTable(),
        progress=lambda event, figures: heard.append(figures) if event == "epoch_done" else None,
    )

    epochs = metrics("r1", store).epochs
    recalls = [one.recall or 0.0 for one in epochs if (one.purpose, one.fit) == ("measurement", "look_back_1")]
    final = [one.epoch for one in epochs if (one.purpose, one.fit) == ("everything", "final")]
    best = recalls.index(max(recalls)) + 1
    assert final == list(range(1, 1 + (MORE_EPOCHS if measured_knows_enough else best)))
    assert len(recalls) < 12
    assert [(one["purpose"], one["fit"], one["epoch"], one.get("recall")) for one in heard] == [
        (one.purpose, one.fit, one.epoch, one.recall) for one in epochs
    ]


def test_a_model_can_be_taken_over(shop: Shop) -> None:
    # GIVEN a published run
    store, runs = MemoryStore(), MemoryRunsTable()
    train(prepared(shop, "r1", store), store=store, clock=FixedClock(), runs=runs)
    runs.move_current(CurrentRun(campaign="shop", run_id="r1", published_at=""))

    # WHEN another run asks for its model
    manifest, _ = train(prepared(shop, "r2", store, reuse_model="latest"), store=store, clock=FixedClock(), runs=runs)

    # THEN it has the same rows and figures without training
    assert manifest.summary["model_run"] == "r1"
    ours, theirs = (npy_array(store.read(RunKeys(r).model("fm/user_factors.npy"))) for r in ("r2", "r1"))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert metrics("r2", store) == metrics("r1", store)


def test_purchases_age_as_the_model_that_is_taken_over_knows_them_not_as_the_campaign_says(shop: Shop) -> None:
    store, runs = MemoryStore(), MemoryRunsTable()
    train(prepared(shop, "r1", store), store=store, clock=FixedClock(), runs=runs)
    other = CAMPAIGN | {"model": CAMPAIGN["model"] | {"half_life_days": 2.0, "item_half_life_days": 1.0}}

    train(
        prepared(shop, "r2", store, campaign=other, reuse_model="r1"),
        store=store,
        clock=FixedClock(),
        runs=runs,
    )

    ours, theirs = model_of("r2", store), model_of("r1", store)
    for name in ("aging.json", "history/weight.npy"):
        assert ours[name] == theirs[name]
    repeat = (npy_array(models["history/repeat.npy"]) for models in (ours, theirs))
    np.testing.assert_allclose(*repeat, atol=1e-4)


def test_a_model_that_does_not_say_how_its_purchases_age_is_not_taken_over(shop: Shop) -> None:
    store = MemoryStore()
    train(prepared(shop, "r1", store), store=store, clock=FixedClock(), runs=MemoryRunsTable())
    del store.objects[RunKeys("r1").model("aging.json")]

    with pytest.raises(ContractError, match=r"an earlier version trained it\. Cure: train one"):
        train(prepared(shop, "r2", store, reuse_model="r1"), store=store, clock=FixedClock(), runs=MemoryRunsTable())


def test_a_run_that_is_resumed_keeps_the_model_that_was_the_latest_at_first(shop: Shop) -> None:
    # GIVEN a run that took over the latest model, and another run that was published meanwhile
    store, runs = MemoryStore(), MemoryRunsTable()
    train(prepared(shop, "r1", store), store=store, clock=FixedClock(), runs=runs)
    runs.move_current(CurrentRun(campaign="shop", run_id="r1", published_at=""))
    resumed = prepared(shop, "r2", store, reuse_model="latest")
    train(resumed, store=store, clock=FixedClock(), runs=runs)
    runs.move_current(CurrentRun(campaign="shop", run_id="r3", published_at="", previous_run_id="r1"))

    # WHEN it is resumed, and when all of it is made again after it was published itself
    manifest, skipped = train(resumed, store=store, clock=FixedClock(), runs=runs)
    runs.move_current(CurrentRun(campaign="shop", run_id="r2", published_at="", previous_run_id="r3"))
    forced = msgspec.structs.replace(resumed, run=msgspec.structs.replace(resumed.run, force_from="Train"))
    again, _ = train(forced, store=store, clock=FixedClock(), runs=runs)

    # THEN it has the same model
    assert skipped
    assert manifest.summary["model_run"] == again.summary["model_run"] == "r1"


def test_new_users_and_items_find_a_place_in_a_model_taken_over(shop: Shop) -> None:
    store, runs = MemoryStore(), MemoryRunsTable()
    train(prepared(shop, "r1", store), store=store, clock=FixedClock(), runs=runs)
    grown = make_shop(n_users=93, n_items=124)

    train(prepared(grown, "r2", store, reuse_model="r1"), store=store, clock=FixedClock(), runs=runs)

    users, items = (npy_array(store.read(RunKeys("r2").model(f"fm/{side}_factors.npy"))) for side in ("user", "item"))
    before = npy_array(store.read(RunKeys("r1").model("fm/user_factors.npy")))
    assert (len(users), len(items)) == (93, 124)
    # What is beside the machine stays, and a new user has none of it.
    np.testing.assert_array_equal(users[: len(before), 8:], before[:, 8:])
    assert before.shape[1] > 8
    assert not users[len(before) :, 8:].any()


def test_latest_without_a_published_run_is_refused(shop: Shop) -> None:
    store = MemoryStore()
    request = prepared(shop, "r1", store, reuse_model="latest")

    with pytest.raises(ContractError, match="no published run"):
        train(request, store=store, clock=FixedClock(), runs=MemoryRunsTable())


def scores(run_id: str, store: MemoryStore) -> np.ndarray:
    """a_u · a_i of everybody and everything."""
    dataset = Dataset.from_files(lambda name: store.read(RunKeys(run_id).dataset(name)))
    with tempfile.TemporaryDirectory() as folder:
        for name, body in model_of(run_id, store).items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
        model = Recommender.load(Path(folder)).model
    features = dataset.item_features
    shape = (len(dataset.item_ids), len(features.names))
    matrix = csr_array((features.data, features.indices, features.indptr), shape=shape)
    users, items = latent(model, Sizes(len(dataset.user_ids), len(dataset.item_ids), None, matrix))
    return users @ items.T


def test_clicks_teach_the_factors_and_are_nobodys_purchases(shop: Shop) -> None:
    store, clicked = MemoryStore(), MemoryResponses()
    for user in ("user-000", "user-001"):
        clicked.note(
            Response(
                user_id=user, item_id="item-119", kind="clicked", campaign="shop", run_id="r0", times=(END.isoformat(),)
            )
        )
    for run_id, responses, weight in (("none", None, 1.0), ("off", clicked, 0.0), ("on", clicked, 1.0)):
        request = prepared(shop, run_id, store, responses, weight)
        train(request, store=store, clock=FixedClock(), runs=MemoryRunsTable())

    models = {run_id: model_of(run_id, store) for run_id in ("none", "off", "on")}
    history = [name for name in models["none"] if name.startswith("history/indptr") or "item_rows" in name]
    without, with_clicks = scores("none", store), scores("on", store)
    assert models["none"] == models["off"] != models["on"]
    assert all(models["on"][name] == models["none"][name] for name in history)
    assert (with_clicks[:2, 119] > without[:2, 119] + 0.03).all()
    assert metrics("on", store).kinds == metrics("none", store).kinds  # clicked after the split: not measured with
