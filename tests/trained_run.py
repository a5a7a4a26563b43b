"""What Prepare and Train leave of a small shop, made up: the input of Repackage and of every stage after it."""

import tempfile
from functools import lru_cache
from pathlib import Path

import msgspec
import numpy as np

from shortlist.config import Campaign, Input, Rules, Shards, Table
from shortlist.contracts.arrays import StringTable, Withheld, npy_bytes
from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest, Output
from shortlist.contracts.payloads import Run, ShardRequest, StageRequest
from shortlist.dataset.dataset import Dataset, FeatureMatrix, Interactions
from shortlist.fm.fold_in import RowSolver
from shortlist.fm.model import FactorModel, Side
from shortlist.fm.sparse import SparseRows
from shortlist.latent import item_latent
from shortlist.stages.build_index import build_index
from shortlist.stages.rank import rank
from shortlist.stages.repackage import repackage
from tests.catalogues import catalogue
from tests.fakes import FixedClock, MemoryStore

N_USERS, N_ITEMS, N_FACTORS, X = 70, 120, 6, 8
NEW_USER, FEATURES_ONLY_USER, GREEDY_USER = 3, 4, 5
"""One of whom nothing is known, one with an age alone, one who has bought all items but two."""
AGES = ("19-24", "65+")
CATEGORIES = ("Dairy", "Bread", "Fruit", "")
RUN = Run(run_id="weekly-2026-01-05", campaign="weekly", as_of="2026-01-05T09:00:00+01:00")
AS_OF = "2026-01-05T06:00:00Z"
"""As the first execution pinned it: earlier than the execution that speaks."""
STARTED_AT = "2026-01-09T06:00:00Z"
"""Of that execution: it took an earlier moment as now."""
CAMPAIGN = Campaign(
    name="weekly",
    lists=("everything", "new_for_you", "buy_again"),
    x=X,
    input=Input(users=Table(features={"spend": "numeric", "age": "categorical"})),
    shards=Shards(users=30),
)
SETTINGS = {
    "n_factors": N_FACTORS,
    "unobserved_weight": 0.1,
    "regularization": 0.1,
    "regularization_exponent": 0.5,
    "seed": 1,
}


def user_id(row: int) -> str:
    return f"user {row:03d}, é"


def item_id(row: int) -> str:
    return f"item-{row:03d}"


def trained_run(
    campaign: Campaign = CAMPAIGN,
    *,
    n_users: int = N_USERS,
    model_run: str = RUN.run_id,
    withheld: Withheld | None = None,
) -> MemoryStore:
    """A bucket in which Prepare and Train have finished RUN."""
    store = MemoryStore()
    keys = RunKeys(RUN.run_id)
    write(store, keys.run, PinnedRun(campaign=RUN.campaign, as_of=AS_OF, started_at=STARTED_AT))
    write(store, keys.campaign, campaign)
    rng = np.random.default_rng(5)
    bought = [purchases(rng, row) for row in range(n_users)]
    dataset = made_up_dataset(bought)
    nothing = Withheld(np.zeros(n_users + 1, np.int64), np.empty(0, np.int32))
    files = {"withheld.npz": (withheld or nothing).to_bytes(), **dict(dataset.files())}
    put(
        store,
        "Prepare",
        {keys.dataset(name): body for name, body in files.items()},
        {"users": n_users, "items": N_ITEMS},
    )
    model = made_up_model(rng, n_users)
    put(store, "Train", model_files(keys, model, bought, dataset, rng), {"model_run": model_run})
    return store


def requests(store: MemoryStore) -> list[ShardRequest]:
    """What the Recommend map hands to its children."""
    return [ShardRequest(run=RUN, key=entry.key) for entry in store.list(RunKeys(RUN.run_id).user_shards)]


def request() -> StageRequest:
    return StageRequest(run=RUN)


def purchases(rng: np.random.Generator, row: int) -> np.ndarray:
    """Item rows that a user has bought, ascending."""
    if row in (NEW_USER, FEATURES_ONLY_USER):
        return np.empty(0, np.int32)
    count = N_ITEMS - 2 if row == GREEDY_USER else int(rng.integers(1, 25))
    return np.sort(rng.choice(N_ITEMS, count, replace=False)).astype(np.int32)


def made_up_dataset(bought: list[np.ndarray]) -> Dataset:
    """Users have an age but NEW_USER; items have a category; the last item is sold out."""
    n_users = len(bought)
    user_row = np.repeat(np.arange(n_users), [len(items) for items in bought]).astype(np.int32)
    with_age = np.array([row != NEW_USER for row in range(n_users)])
    age = np.arange(n_users) % 2
    category = np.arange(N_ITEMS) % len(CATEGORIES)
    in_category = category < len(CATEGORIES) - 1
    in_stock = np.ones(N_ITEMS, np.bool_)
    in_stock[-1] = False
    return Dataset(
        user_ids=StringTable.of(user_id(row) for row in range(n_users)),
        item_ids=StringTable.of(item_id(row) for row in range(N_ITEMS)),
        interactions=Interactions(
            user_row=user_row,
            item_row=np.concatenate(bought),
            timestamp=np.full(len(user_row), 1_767_000_000, np.int64),
            weight=np.ones(len(user_row), np.float32),
            held_out=np.zeros(len(user_row), np.bool_),
        ),
        catalogue=catalogue(
            [f"Product {row}" for row in range(N_ITEMS)],
            url=[f"https://shop.example.com/{row}" for row in range(N_ITEMS)],
            currency=["EUR"] * N_ITEMS,
            category=[CATEGORIES[number] for number in category],
            brand=[f"Brand {row % 7}" for row in range(N_ITEMS)],
            price=np.where(np.arange(N_ITEMS) == 0, np.nan, 1 + np.arange(N_ITEMS) / 4),
            margin=np.arange(N_ITEMS) % 11,
            in_stock=in_stock,
        ),
        user_features=one_hot(age, with_age, [f"age={value}" for value in AGES]),
        item_features=one_hot(category, in_category, [f"category={value}" for value in CATEGORIES[:-1]]),
    )


def one_hot(value: np.ndarray, there: np.ndarray, names: list[str]) -> FeatureMatrix:
    indptr = np.concatenate([[0], np.cumsum(there)]).astype(np.int64)
    return FeatureMatrix(indptr, value[there].astype(np.int32), np.ones(indptr[-1], np.float32), StringTable.of(names))


def made_up_model(rng: np.random.Generator, n_users: int) -> FactorModel:
    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.4, shape).astype(np.float32)

    return FactorModel(
        bias=0.1,
        users=Side(normal(n_users, N_FACTORS), normal(n_users), normal(len(AGES), N_FACTORS), normal(len(AGES))),
        items=Side(normal(N_ITEMS, N_FACTORS), normal(N_ITEMS) / 4, normal(3, N_FACTORS) / 4, normal(3) / 4),
        settings=SETTINGS,
    )


def model_files(
    keys: RunKeys, model: FactorModel, bought: list[np.ndarray], dataset: Dataset, rng: np.random.Generator
) -> dict[str, bytes]:
    """Users get the rows that training would end with, so that their scores can be taken apart."""
    counts = [len(items) for items in bought]
    pairs = sum(counts)
    history = {
        "indptr": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "item_rows": np.concatenate(bought).astype(np.int32),
        "repeat": rng.uniform(0, 3, pairs).astype(np.float32),
        "weight": rng.uniform(0.5, 2, pairs).astype(np.float32),
        "last_seen": np.full(pairs, 1_767_000_000, np.int64),
        "days": rng.integers(1, 9, pairs).astype(np.int32),
    }
    features = dataset.item_features
    items = item_latent(model, rows_of(features))
    solver = RowSolver.for_users(items, SETTINGS)
    for row in range(len(bought)):
        own = slice(history["indptr"][row], history["indptr"][row + 1])
        prior = prior_of(model, dataset.user_features, row)
        model.users.factors[row] = solver.solve(history["item_rows"][own], history["weight"][own], prior) - prior
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder))
        files = {keys.model(f"fm/{path.name}"): path.read_bytes() for path in sorted(Path(folder).iterdir())}
    return files | {keys.model(f"history/{name}.npy"): npy_bytes(array) for name, array in history.items()}


def prior_of(model: FactorModel, features: FeatureMatrix, row: int) -> np.ndarray:
    own = features.indices[features.indptr[row] : features.indptr[row + 1]]
    return model.users.feature_factors[own].sum(axis=0)


def rows_of(features: FeatureMatrix) -> SparseRows:
    return SparseRows(features.indptr, features.indices, features.data, len(features.names))


def put(store: MemoryStore, stage: str, files: dict[str, bytes], summary: dict[str, object]) -> None:
    """The outputs of a stage and its manifest."""
    outputs: dict[str, Output] = {key: store.write(key, body) for key, body in files.items()}
    manifest = Manifest(stage=stage, inputs="", outputs=outputs, summary=summary, seconds=1.0, peak_rss_mib=100.0)
    write(store, RunKeys(RUN.run_id).manifest(stage), manifest)


def write(store: MemoryStore, key: str, value: object) -> None:
    store.write(key, msgspec.json.encode(value))


def with_rules(**rules: object) -> Campaign:
    return msgspec.structs.replace(CAMPAIGN, rules=msgspec.convert(rules, Rules))


def indexed_run(campaign: Campaign = CAMPAIGN, *, n_users: int = N_USERS, model_run: str = RUN.run_id) -> MemoryStore:
    """As trained_run, with Repackage and BuildIndex done."""
    return holding(_indexed(msgspec.json.encode(campaign), n_users, model_run))


def ranked_run(campaign: Campaign = CAMPAIGN, *, n_users: int = N_USERS, model_run: str = RUN.run_id) -> MemoryStore:
    """As indexed_run, with every shard ranked."""
    return holding(_ranked(msgspec.json.encode(campaign), n_users, model_run))


def holding(objects: dict[str, bytes]) -> MemoryStore:
    """A bucket of its own with these objects in it."""
    store = MemoryStore()
    store.objects = dict(objects)
    return store


@lru_cache
def _indexed(campaign: bytes, n_users: int, model_run: str) -> dict[str, bytes]:
    store = trained_run(msgspec.json.decode(campaign, type=Campaign), n_users=n_users, model_run=model_run)
    repackage(request(), store=store, clock=FixedClock())
    build_index(request(), store=store, clock=FixedClock())
    return store.objects


@lru_cache
def _ranked(campaign: bytes, n_users: int, model_run: str) -> dict[str, bytes]:
    store = holding(_indexed(campaign, n_users, model_run))
    for shard in requests(store):
        rank(shard, store=store, clock=FixedClock())
    return store.objects
