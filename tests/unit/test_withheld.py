"""What stays off a user's lists, and which offers are open: from the shop's tables and earlier mailings to rows."""

from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
import yaml

from shortlist.contracts.arrays import Catalogue, StringTable, Withheld
from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.payloads import Run, StageRequest
from shortlist.contracts.records import Response, RunRecord
from shortlist.errors import DatasetError
from shortlist.stages.prepare import prepare
from tests.fakes import FixedClock, MemoryResponses, MemoryRunsTable, MemoryStore

KEYS = RunKeys("r9")
RUN = Run(run_id="r9", campaign="test", as_of="2026-01-05T06:00:00Z")
INTERACTIONS = "user_id,item_id,timestamp\nada,milk,2026-01-01\nben,rye,2026-01-02\ncleo,rye,2026-01-02\n"
ITEMS = """item_id,title,category,brand,margin
milk,Milk,dairy,Alm,0.5
cheese,Cheese,dairy,,
rye,Rye,bread,Alm,-1
"""


class Shop:
    """A bucket with a campaign and tables, what customers answered, and earlier runs."""

    def __init__(self, rules=None, max_rejected_share=0.0, **tables):
        self.store, self.runs, self.responses = MemoryStore(), MemoryRunsTable(), MemoryResponses()
        campaign = {
            "name": "test",
            "rules": rules or {},
            "mail": {"sender": "a@example.com"},
            "input": {"max_rejected_share": max_rejected_share},
        }
        self.store.write("campaigns/test.yaml", yaml.safe_dump(campaign).encode())
        for name, body in {"interactions": INTERACTIONS, "items": ITEMS, **tables}.items():
            self.store.write(f"input/{name}/a.csv", body.encode())

    def prepare(self):
        manifest, self.skipped = prepare(
            StageRequest(run=RUN),
            store=self.store,
            clock=FixedClock(),
            shipped_campaigns=Path("nowhere"),
            runs=self.runs,
            responses=self.responses,
        )
        return manifest

    def withheld(self):
        """user -> items that stay off the user's lists."""
        self.prepare()
        users, items = (StringTable.from_bytes(self.store.read(KEYS.dataset(f"{n}_ids.npz"))) for n in ("user", "item"))
        pairs = Withheld.from_bytes(self.store.read(KEYS.dataset("withheld.npz")))
        ends = pairs.indptr.tolist()
        return {
            users[row]: [items[item] for item in pairs.item_rows[start:stop]]
            for row, (start, stop) in enumerate(pairwise(ends))
            if stop > start
        }

    def mailed(self, run_id, started_at, **shown):
        """An earlier run of the campaign, and what it showed to whom."""
        self.runs.put(
            RunRecord(campaign="test", run_id=run_id, status="completed", started_at=started_at, as_of=started_at)
        )
        pinned = PinnedRun(campaign="test", as_of=started_at, started_at=started_at)
        self.store.write(RunKeys(run_id).run, msgspec.json.encode(pinned))
        lines = [{"user_id": user, "outcome": "sent", "items": items} for user, items in shown.items()]
        lines.append({"user_id": "cleo", "outcome": "suppressed", "detail": "bounced"})
        self.store.write(RunKeys(run_id).outcomes("00000-000"), msgspec.json.Encoder().encode_lines(lines))


def test_without_blocks_and_answers_nothing_is_withheld():
    assert Shop().withheld() == {}


def test_a_block_names_an_item_a_category_or_a_brand_each_by_itself():
    blocks = "user_id,item_id,category,brand\nada,,dairy,\nben,cheese,,Alm\nben,cheese,,\nzoe,milk,,\ncleo,soap,toys,\n"

    assert Shop(blocks=blocks).withheld() == {"ada": ["cheese", "milk"], "ben": ["cheese", "milk", "rye"]}


def test_a_block_of_nothing_is_refused_with_its_line():
    with pytest.raises(DatasetError, match=r"comes without an item, a category or a brand.*line 3"):
        Shop(blocks="user_id,item_id\nada,milk\nben,\n").prepare()


def test_an_answer_of_no_interest_keeps_the_item_away():
    shop = Shop()
    for kind, item in (("not_interested", "cheese"), ("clicked", "milk")):
        shop.responses.note(
            Response(
                user_id="ada",
                item_id=item,
                kind=kind,
                campaign="films",
                run_id="r0",
                times=("2026-01-02T00:00:00.000+00:00",),
            )
        )

    assert shop.withheld() == {"ada": ["cheese"]}


def test_what_the_last_mailings_showed_rests():
    shop = Shop({"rest_mailed_runs": 2})
    shop.mailed("r5", "2026-01-01T00:00:00Z", ada=["rye"])
    shop.mailed("r6", "2026-01-02T00:00:00Z", ada=["milk"], ben=["cheese", "gone"])
    shop.mailed("r7", "2026-01-03T00:00:00+00:00", ada=["milk", "cheese"])
    shop.mailed("later", "2026-01-06T00:00:00Z", ben=["rye"])
    shop.runs.put(
        RunRecord(campaign="test", run_id="r8", status="held_back", started_at="2026-01-04T00:00:00Z", as_of="")
    )

    assert shop.withheld() == {"ada": ["cheese", "milk"], "ben": ["cheese"]}


def test_nothing_rests_where_no_rule_says_so():
    shop = Shop()
    shop.mailed("r7", "2026-01-03T00:00:00Z", ada=["milk"])

    assert shop.withheld() == {}


def test_the_run_is_prepared_anew_when_an_earlier_mailing_has_shown_more():
    shop = Shop({"rest_mailed_runs": 1})
    shop.mailed("r7", "2026-01-03T00:00:00Z", ada=["milk"])
    shop.prepare()
    shop.mailed("r7", "2026-01-03T00:00:00Z", ada=["milk", "rye"])

    assert shop.withheld() == {"ada": ["milk", "rye"]}
    assert not shop.skipped


@pytest.mark.parametrize(
    ("windows", "counts"),
    [
        pytest.param(["2026-01-01,2026-01-06"], ("2026-01-01", "2026-01-06"), id="open"),
        pytest.param([",2026-01-06"], ("1970-01-01", "2026-01-06"), id="open since ever"),
        pytest.param(["2026-01-01,"], ("2026-01-01", None), id="without an end"),
        pytest.param(["2026-01-01,2026-01-05T06:00:00Z"], (None, None), id="just over"),
        pytest.param(["2026-01-05T06:00:00Z,2026-01-06"], ("2026-01-05T06:00:00", "2026-01-06"), id="just begun"),
        pytest.param(["2026-01-09,2026-01-19", "2026-01-07,2026-01-08"], ("2026-01-07", "2026-01-08"), id="the next"),
        pytest.param(
            ["2026-01-01,2026-01-09", "2026-01-02,2026-01-06", "2026-01-06,2026-02-01"],
            ("2026-01-01", "2026-01-09"),
            id="the open one that ends last",
        ),
        pytest.param(["2026-01-01,2026-01-09", "2026-01-03,"], ("2026-01-03", None), id="no end is the last end"),
    ],
)
def test_of_several_offers_one_counts(windows, counts):
    lines = [f"{item},{window}" for window in windows for item in ("milk", "soap")]
    shop = Shop(offers="\n".join(["item_id,offer_from,offer_until", *lines, ""]))

    shop.prepare()

    catalogue = Catalogue.from_bytes(shop.store.read(KEYS.dataset("items.npz")))
    assert catalogue.title.to_list() == ["Cheese", "Milk", "Rye"]
    assert [catalogue.offer_from[1], catalogue.offer_until[1]] == [seconds(moment) for moment in counts]
    assert catalogue.offer_from[[0, 2]].tolist() == [-1, -1]


def seconds(moment):
    return -1 if moment is None else int(np.datetime64(moment, "s").astype(np.int64))


def test_an_offer_that_ends_before_it_begins_is_refused():
    with pytest.raises(DatasetError, match=r"offer_until.*is not after its beginning"):
        Shop(offers="item_id,offer_from,offer_until\nmilk,2026-01-02,2026-01-02\n").prepare()


def test_brand_and_margin_are_in_the_catalogue():
    shop = Shop()

    shop.prepare()

    catalogue = Catalogue.from_bytes(shop.store.read(KEYS.dataset("items.npz")))
    assert catalogue.brand.to_list() == ["", "Alm", "Alm"]
    np.testing.assert_array_equal(catalogue.margin, [np.nan, 0.5, -1.0])
