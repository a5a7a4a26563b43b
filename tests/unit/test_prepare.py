"""Prepare on small shops: what is left in the run, and the defined answer to every kind of bad input."""

import gzip
import io
import json
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import Run, StageRequest
from shortlist.contracts.records import Response
from shortlist.contracts.summaries import PrepareSummary
from shortlist.dataset.dataset import Dataset
from shortlist.errors import ContractError, DatasetError
from shortlist.stages.prepare import prepare
from tests.fakes import FixedClock, MemoryResponses, MemoryRunsTable, MemoryStore

KEYS = RunKeys("run-1")
RUN = Run(run_id="run-1", campaign="test", as_of="2026-01-05T06:00:00.250Z")

INTERACTIONS = """user_id,item_id,timestamp
ada,milk,2026-01-01
ben,bread,2026-01-02T10:00:00Z
ada,bread,1767312000
ada,milk,2025-11-01
"""
ITEMS = """item_id,title,price,currency,category,available_until,in_stock,aisle
milk,Whole milk,1.20,EUR,dairy,2026-12-31,true,cold
bread,Rye bread,,EUR,bakery,,,dry
salt,Sea salt,0.80,EUR,spices,,no,dry
"""
USERS = """user_id,email,first_name,subscribed
ada,ada@example.com,Ada,yes
ben,,Ben,yes
cleo,cleo@example.com,Cleo,no
dan,dan@,Dan,yes
"""


class Shop:
    """A bucket with a campaign and input files, and Prepare to run on it."""

    def __init__(self, campaign: dict | None = None, **tables: object) -> None:
        self.store = MemoryStore()
        self.runs = MemoryRunsTable()
        self.responses = MemoryResponses()
        self.events: list[str] = []
        self.configure(campaign or {})
        for table, content in tables.items():
            self.put(table, content)

    def configure(self, campaign: dict) -> None:
        mail = {"sender": "picks@example.com"}
        self.store.write("campaigns/test.yaml", yaml.safe_dump({"name": "test", "mail": mail} | campaign).encode())

    def put(self, table: str, content: object, name: str = "a.csv") -> None:
        raw = content if isinstance(content, bytes) else str(content).encode()
        self.store.write(f"input/{table}/{name}", raw)

    def prepare(self, run: Run = RUN) -> Manifest:
        manifest, self.skipped = prepare(
            StageRequest(run=run),
            store=self.store,
            clock=FixedClock(),
            shipped_campaigns=Path("nowhere"),
            runs=self.runs,
            responses=self.responses,
            progress=lambda event, figures: self.events.append(event),
        )
        return manifest

    @property
    def dataset(self) -> Dataset:
        return Dataset.from_files(lambda name: self.store.read(KEYS.dataset(name)))

    def rejected(self, table: str = "interactions") -> list[dict]:
        return [json.loads(line) for line in self.store.read(KEYS.rejected(table)).splitlines()]

    def refusal(self) -> str:
        """What Prepare says when it refuses the input; nothing of a dataset may be left."""
        with pytest.raises(DatasetError) as caught:
            self.prepare()
        assert not self.store.exists(KEYS.manifest("Prepare"))
        assert not list(self.store.list(KEYS.dataset("")))
        assert "Cure: " in str(caught.value)
        return str(caught.value)


def with_rows(*rows: str, good: int = 0) -> str:
    """Interactions with these rows after `good` sound ones."""
    return "user_id,item_id,timestamp,value\n" + "ada,milk,2026-01-01,1\n" * good + "\n".join(rows) + "\n"


def parquet(**columns: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


TOLERANT = {"input": {"max_rejected_share": 1.0}}


def test_three_tables_become_the_dataset_of_the_run():
    shop = Shop({"input": {"items": {"features": {"aisle": "categorical"}}}}, interactions=INTERACTIONS, items=ITEMS)
    shop.put("users", USERS)

    manifest = shop.prepare()

    dataset = shop.dataset
    assert dataset.user_ids.to_list() == ["ada", "ben", "cleo", "dan"]
    assert dataset.item_ids.to_list() == ["bread", "milk", "salt"]
    assert dataset.interactions.user_row.tolist() == [0, 0, 0, 1]
    assert dataset.interactions.item_row.tolist() == [1, 1, 0, 0]
    assert dataset.interactions.timestamp.tolist() == [1761955200, 1767225600, 1767312000, 1767348000]
    assert dataset.interactions.weight.tolist() == [1, 1, 1, 1]
    assert dataset.interactions.held_out.tolist() == [False, True, True, True]
    assert dataset.catalogue.title.to_list() == ["Rye bread", "Whole milk", "Sea salt"]
    np.testing.assert_array_equal(dataset.catalogue.price, [np.nan, 1.2, 0.8])
    assert dataset.catalogue.available_until.tolist() == [-1, 1798675200, -1]
    assert dataset.catalogue.in_stock.tolist() == [True, True, False]
    assert dataset.item_features.names.to_list() == ["aisle=dry"]
    assert dataset.item_features.indptr.tolist() == [0, 1, 1, 2]
    recipients = [json.loads(line) for line in shop.store.read(KEYS.recipient_shard("00000", 0)).splitlines()]
    assert recipients == [
        {
            "user_id": "ada",
            "user_row": 0,
            "email": "ada@example.com",
            "first_name": "Ada",
            "locale": "",
            "time_zone": "",
        }
    ]
    summary = manifest.summary
    assert (summary["users"], summary["items"], summary["interactions"], summary["rejected"]) == (4, 3, 4, 0)
    assert (summary["mailable"], summary["no_address"], summary["invalid_address"], summary["unsubscribed"]) == (1,) * 4
    assert summary["split"] == "last 24 days, after 2025-12-09T10:00:00Z"  # two fifths of two months
    assert "input_read" in shop.events


def test_the_dtypes_are_those_of_the_contract():
    shop = Shop(interactions=INTERACTIONS)

    shop.prepare()

    interactions, catalogue, features = shop.dataset.interactions, shop.dataset.catalogue, shop.dataset.item_features
    assert [getattr(interactions, name).dtype.name for name in interactions.__slots__] == [
        "int32", "int32", "int64", "float32", "bool"
    ]  # fmt: skip
    assert (catalogue.price.dtype, catalogue.available_from.dtype, catalogue.in_stock.dtype) == ("f8", "i8", "?")
    assert (features.indptr.dtype, features.indices.dtype, features.data.dtype) == ("i8", "i4", "f4")


def test_the_same_input_gives_the_same_bytes_whatever_the_format():
    columns = {"user_id": ["ada", "ben"], "item_id": ["2", "1"], "timestamp": ["2026-01-01", "2026-01-02"]}
    rows = list(zip(*columns.values(), strict=True))
    contents = [
        "user_id,item_id,timestamp\n" + "".join(",".join(row) + "\n" for row in rows),
        "timestamp;item_id;user_id\r\n" + "".join(";".join(reversed(row)) + "\r\n" for row in rows),
        gzip.compress(("user_id\titem_id\ttimestamp\n" + "".join("\t".join(row) + "\n" for row in rows)).encode()),
        parquet(**columns),
        parquet(**columns | {"item_id": [2, 1], "timestamp": np.array(columns["timestamp"], "datetime64[ns]")}),
        parquet(**columns | {"item_id": [2.0, 1.0], "timestamp": [1767225600, 1767312000]}),
    ]

    files = []
    for content in contents:
        shop = Shop(interactions=content)
        shop.prepare()
        files.append({k: v for k, v in shop.store.objects.items() if k.startswith(KEYS.dataset(""))})

    assert all(other == files[0] for other in files[1:])


def test_several_files_of_different_dialects_are_one_table():
    shop = Shop()
    shop.put("interactions", "user_id,item_id,timestamp\nada,milk,2026-01-01\n", "1.csv")
    shop.put("interactions", "item_id;timestamp;user_id\nbread;2026-01-02;ada\n", "2.csv")
    shop.put("interactions", parquet(user_id=["ada"], item_id=["salt"], timestamp=["2026-01-03"]), "3.parquet")
    shop.put("interactions", b"", "_SUCCESS")
    shop.put("interactions", b"", "")

    shop.prepare()

    dataset = shop.dataset
    assert [dataset.item_ids[int(row)] for row in dataset.interactions.item_row] == ["milk", "bread", "salt"]


def test_columns_are_found_under_the_shops_names():
    columns = {"user_id": "Kunde", "item_id": "Artikel", "timestamp": "Datum"}
    shop = Shop({"input": {"interactions": {"columns": columns, "encoding": "windows-1252"}}})
    shop.put("interactions", "Kunde;Artikel;Datum\nJürgen;Käse;2026-01-01\n".encode("windows-1252"))

    shop.prepare()

    assert shop.dataset.user_ids.to_list() == ["Jürgen"]
    assert shop.dataset.item_ids.to_list() == ["Käse"]


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("ada,milk,soon,1", "timestamp", "is not a time (ISO 8601, or epoch seconds after 1973)"),
        ("ada,milk,,1", "timestamp", "is empty"),
        ("ada,milk,2026-01-05T06:00:01Z,1", "timestamp", "lies in the future, after the run's as_of"),
        ("ada,milk,1767225600000,1", "timestamp", "is not a time (ISO 8601, or epoch seconds after 1973)"),
        (",milk,2026-01-01,1", "user_id", "is empty"),
        ("ada,,2026-01-01,1", "item_id", "is empty"),
        (f"{'x' * 2048},milk,2026-01-01,1", "user_id", "is longer than 1,024 bytes"),
        ("ada,milk,2026-01-01,-1", "value", "is negative"),
        ("ada,milk,2026-01-01,NaN", "value", "is NaN"),
        ('ada,milk,2026-01-01,"1,5"', "value", "is not a number (decimal point, no thousands separators)"),
        ("ada,milk,2026-01-01,1e13", "value", "is over 1,000,000,000,000"),
        ("ada,milk,2026-01-01", "", "row has another number of fields than the header"),
        ("ada;milk;2026-01-01;1", "", "row has another number of fields than the header"),
    ],
)
def test_a_bad_row_is_set_aside_with_file_line_and_reason(row, column, reason):
    shop = Shop(TOLERANT, interactions=with_rows('"two\nlines",milk,2026-01-01,1', row, "ben,salt,2026-01-01,"))

    manifest = shop.prepare()

    assert shop.rejected() == [
        {"file": "input/interactions/a.csv", "line": 4, "column": column, "reason": reason, "row": row}
    ]
    assert shop.dataset.user_ids.to_list() == ["ben", "two\nlines"]
    assert manifest.summary["reject_reasons"] == [
        {
            "table": "interactions",
            "reason": f"{column} {reason}".strip(),
            "rows": 1,
            "example": "input/interactions/a.csv line 4",
        }
    ]


def test_bad_rows_of_parquet_are_kept_as_json_with_their_number():
    shop = Shop(TOLERANT)
    shop.put(
        "interactions",
        parquet(user_id=[1, None, 3], item_id=["a", "b", "c"], timestamp=["2026-01-01"] * 3, note=["x", "é", None]),
    )

    shop.prepare()

    (row,) = shop.rejected()
    assert (row["line"], row["column"], row["reason"]) == (2, "user_id", "is empty")
    assert json.loads(row["row"]) == {"user_id": None, "item_id": "b", "timestamp": "2026-01-01", "note": "é"}


def test_too_many_bad_rows_refuse_the_run_and_name_the_worst_reason():
    rows = ["ada,milk,soon,1", "ada,milk,later,1", "ada,milk,2026-01-01,-1"]
    shop = Shop(interactions=with_rows(*rows, good=200))

    message = shop.refusal()

    assert message == (
        "3 of 203 rows of interactions were rejected, more than 1.00% (`input.max_rejected_share`). Most often (2): "
        "timestamp is not a time (ISO 8601, or epoch seconds after 1973), first in input/interactions/a.csv line 202. "
        "Cure: correct the rows listed in runs/run-1/rejected/interactions.jsonl."
    )
    assert [row["line"] for row in shop.rejected()] == [202, 203, 204]


def test_bad_rows_are_kept_in_the_order_of_the_file_whatever_their_fault():
    rows = ["ada,milk,2026-01-01,-1", "ada,milk,soon,1", ",milk,2026-01-01,1", "ada,milk,2026-01-01,-2"]
    shop = Shop(TOLERANT, interactions=with_rows(*rows, good=1))

    shop.prepare()

    assert [(row["line"], row["column"], row["row"]) for row in shop.rejected()] == [
        (3, "value", rows[0]),
        (4, "timestamp", rows[1]),
        (5, "user_id", rows[2]),
        (6, "value", rows[3]),
    ]


def test_a_few_bad_rows_are_no_reason_to_refuse():
    shop = Shop(interactions=with_rows("ada,milk,soon,1", good=200))

    assert shop.prepare().summary["rejected"] == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("user,item_id,timestamp\n", "a.csv has no column 'user_id'; it has user, item_id", id="column"),
        pytest.param("", "input/interactions/a.csv is empty", id="empty file"),
        pytest.param("user_id,item_id,timestamp\n", "no interaction is left to learn from", id="header alone"),
        pytest.param(b"user_id,item_id,timestamp\n\xff,a,2026\n", "a.csv, line 2: byte 0xFF", id="encoding"),
        pytest.param(b"PK\x03\x04xxxx", "is a ZIP archive or an Excel workbook", id="Excel"),
        pytest.param(b"\xd0\xcf\x11\xe0xxxx", "is a ZIP archive or an Excel workbook", id="Excel of old"),
        pytest.param("ada,milk,2026-01-01\n", "put the names of the columns into its first line", id="no header"),
        pytest.param(b"PAR1xxxx", "input/interactions/a.csv cannot be read as Parquet", id="damaged Parquet"),
        pytest.param(
            parquet(user_id=["a"], item_id=["b"], timestamp=[[1]]),
            "'timestamp' has the type list",
            id="a list for a time",
        ),
    ],
)
def test_an_interactions_file_that_cannot_be_used_is_named(content, message):
    shop = Shop(interactions=content)

    assert message in shop.refusal()


def test_without_interactions_there_is_nothing_to_do():
    assert "input/interactions/ holds no file" in Shop(items=ITEMS).refusal()


def test_interactions_that_are_no_signal_leave_nothing_to_learn():
    shop = Shop({"input": {"positive_from": 4}}, interactions=with_rows("ada,milk,2026-01-01,3"))

    assert "left out as no signal: 0 by user_id, 0 by event_type, 1 by value" in shop.refusal()


def test_events_are_weighted_by_type_and_value_and_others_ignored():
    settings = {"event_weights": {"purchase": 2.0, "view": 0.5, "rating": 1.0}, "value_weight": "linear"}
    rows = [
        "a,1,2026-01-01,,", "a,2,2026-01-01,view,4", "a,3,2026-01-01,click,1", "a,4,2026-01-01,purchase,0",
        "a,5,2026-01-01,,3",
    ]  # fmt: skip
    shop = Shop({"input": settings})
    shop.put("interactions", "user_id,item_id,timestamp,event_type,value\n" + "\n".join(rows) + "\n")

    manifest = shop.prepare()

    assert shop.dataset.item_ids.to_list() == ["1", "2", "5"]
    assert shop.dataset.interactions.weight.tolist() == [2.0, 2.0, 6.0]
    assert manifest.summary["ignored"] == {"user_id": 0, "event_type": 1, "value": 1}


def test_ratings_below_the_mark_are_ignored_and_rows_without_a_rating_count():
    shop = Shop({"input": {"positive_from": 4}})
    shop.put("interactions", with_rows("a,1,2026-01-01,5", "a,2,2026-01-01,3.5", "a,3,2026-01-01,"))

    shop.prepare()

    assert shop.dataset.item_ids.to_list() == ["1", "3"]


def test_interactions_are_sorted_by_user_time_and_item_with_their_weights():
    rows = ["b,1,2026-01-02,3", "a,2,2026-01-02,5", "a,1,2026-01-02,7", "a,2,2026-01-01,9"]
    shop = Shop({"input": {"value_weight": "linear"}}, interactions=with_rows(*rows))

    shop.prepare()

    interactions = shop.dataset.interactions
    assert interactions.user_row.tolist() == [0, 0, 0, 1]
    assert interactions.item_row.tolist() == [1, 0, 1, 0]
    assert interactions.weight.tolist() == [9, 7, 5, 3]


def test_ids_survive_whatever_they_are():
    ids = ["Ünïcödé 🛒", "with,comma", "two\nlines", ' "quoted"', "x" * 1024]
    shop = Shop(interactions=parquet(user_id=ids, item_id=ids[::-1], timestamp=["2026-01-01"] * 5))

    shop.prepare()

    expected = sorted(ids, key=str.encode)
    assert shop.dataset.user_ids.to_list() == shop.dataset.item_ids.to_list() == expected


def test_a_purchase_that_comes_twice_was_made_twice():
    shop = Shop(interactions=with_rows("ada,milk,2026-01-01,1", "ada,milk,2026-01-01,1"))

    shop.prepare()

    assert len(shop.dataset.interactions) == 2


def test_unknown_ids_are_kept_and_counted():
    shop = Shop(
        interactions=INTERACTIONS, items="item_id,title\nmilk,Milk\n", users="user_id,email\nada,a@example.com\n"
    )

    summary = shop.prepare().summary

    assert (summary["unknown_items"], summary["unknown_users"], summary["untitled_items"]) == (1, 1, 1)
    assert shop.dataset.catalogue.title.to_list() == ["", "Milk"]


def test_of_an_id_that_comes_again_the_last_line_counts():
    shop = Shop(interactions=INTERACTIONS, items="item_id,title\nmilk,Old\nsalt,Salt\n")
    shop.put("items", "item_id,title\nmilk,New\nmilk,Newest\n", "b.csv")

    summary = shop.prepare().summary

    assert shop.dataset.catalogue.title.to_list() == ["", "Newest", "Salt"]
    assert (summary["superseded_items"], summary["rejected"]) == (2, 0)


@pytest.mark.parametrize(
    ("cell", "column", "reason"),
    [
        ("milk,Milk,-1,,", "price", "is negative"),
        ("milk,Milk,cheap,,", "price", "is not a number (decimal point, no thousands separators)"),
        ("milk,Milk,1,tomorrow,", "available_from", "is not a time (ISO 8601, or epoch seconds after 1973)"),
        ("milk,Milk,1,,perhaps", "in_stock", "is not true or false"),
    ],
)
def test_a_bad_item_row_is_set_aside_and_its_item_has_no_title(cell, column, reason):
    shop = Shop(TOLERANT, interactions=INTERACTIONS)
    shop.put("items", f"item_id,title,price,available_from,in_stock\n{cell}\nsalt,Salt,NaN,2026-01-01,\n")

    shop.prepare()

    assert [(row["column"], row["reason"], row["line"]) for row in shop.rejected("items")] == [(column, reason, 2)]
    assert shop.dataset.catalogue.title.to_list() == ["", "", "Salt"]


def test_nobody_with_an_address_is_no_failure():
    shop = Shop(interactions=INTERACTIONS, users="user_id,email\nada,\nben,nonsense\n")

    summary = shop.prepare().summary

    assert (summary["mailable"], summary["no_address"], summary["invalid_address"]) == (0, 1, 1)
    assert list(shop.store.list(KEYS.recipient_shards)) == []


def test_a_campaign_without_mail_has_no_recipients():
    shop = Shop({"mail": None}, interactions=INTERACTIONS, users=USERS)

    assert shop.prepare().summary["mailable"] == 1
    assert list(shop.store.list(KEYS.recipient_shards)) == []


def test_one_user_and_one_item_are_a_dataset():
    shop = Shop({"x": 200}, interactions="user_id,item_id,timestamp\nada,milk,2026-01-01\n")

    summary = shop.prepare().summary

    assert (summary["users"], summary["items"], summary["held_out"]) == (1, 1, 0)


def test_missing_tables_can_be_made_of_the_newest_interaction_lines():
    # GIVEN a shop that sends invoice lines only, and one of them with a price that is none
    settings = {
        "items_from": "interactions",
        "items": {"columns": {"title": "Description", "price": "UnitPrice"}},
        "users_from": "interactions",
        "users": {"columns": {"email": "Mail"}, "features": {"Country": "categorical"}},
        "max_rejected_share": 1.0,
    }
    shop = Shop({"input": settings})
    shop.put(
        "interactions",
        "user_id,item_id,timestamp,Description,UnitPrice,Country,Mail\n"
        "ada,1,2026-01-02,Newest lamp,2.5,FR,ada@example.com\n"
        "ben,1,2026-01-01,Old lamp,2.0,FR,\n"
        "ben,2,2026-01-01,Vase,cheap,FR,\n"
        "cleo,1\n"
        "cleo,3,2026-01-01,Cup,,DE,\n",
    )

    # WHEN it is prepared
    summary = shop.prepare().summary

    # THEN items and users are known by their newest sound line
    assert shop.dataset.user_ids.to_list() == ["ada", "ben", "cleo"]
    assert shop.dataset.item_ids.to_list() == ["1", "2", "3"]
    assert shop.dataset.catalogue.title.to_list() == ["Newest lamp", "", "Cup"]
    assert shop.dataset.catalogue.price.tolist()[0] == 2.5
    assert shop.dataset.user_features.names.to_list() == ["Country=FR"]
    assert (summary["mailable"], summary["unknown_items"], summary["rejected"]) == (1, 1, 2)
    assert [(row["line"], row["column"]) for row in shop.rejected("items")] == [(4, "UnitPrice")]
    assert [(row["line"], row["column"]) for row in shop.rejected()] == [(5, "")]


def test_guests_are_nobody_and_what_they_alone_bought_is_not_in_the_shop():
    # GIVEN tills that write purchases without an account under 0, or under nothing
    made = {"items_from": "interactions", "items": {"columns": {"title": "Name"}}, "users_from": "interactions"}
    shop = Shop({"input": made | {"guest_ids": ["0", ""]}})
    shop.put(
        "interactions",
        "user_id,item_id,timestamp,Name\n"
        "ada,1,2026-01-01,Lamp\n"
        "0,1,2026-01-02,lamp damaged\n"
        "0,2,2026-01-02,wrong barcode\n"
        ",1,2026-01-02,lamp?\n",
    )

    # WHEN it is prepared
    summary = shop.prepare().summary

    # THEN their lines are no faults, and neither users nor items nor titles come from them
    assert (shop.dataset.user_ids.to_list(), shop.dataset.item_ids.to_list()) == (["ada"], ["1"])
    assert shop.dataset.catalogue.title.to_list() == ["Lamp"]
    assert (summary["rejected"], summary["ignored"]["user_id"]) == (0, 3)


def test_a_declared_feature_that_the_file_lacks_is_named():
    shop = Shop({"input": {"items": {"features": {"aisle": "categorical"}}}}, interactions=INTERACTIONS)
    shop.put("items", "item_id,title\nmilk,Milk\n")

    assert "input/items/a.csv has no column 'aisle'" in shop.refusal()


def test_an_optional_column_that_is_mapped_must_be_there():
    shop = Shop({"input": {"items": {"columns": {"price": "Preis"}}}}, interactions=INTERACTIONS, items=ITEMS)

    assert "input/items/a.csv has no column 'Preis'" in shop.refusal()


def test_a_mapping_of_a_column_that_does_not_exist_is_the_campaigns_fault():
    shop = Shop({"input": {"items": {"columns": {"titel": "name"}}}}, interactions=INTERACTIONS, items=ITEMS)

    with pytest.raises(ContractError, match=r"input\.items\.columns` maps 'titel'"):
        shop.prepare()


def test_preparing_again_does_nothing_while_nothing_changed():
    shop = Shop(interactions=INTERACTIONS, users=USERS)
    first = shop.prepare()

    later = Run(run_id="run-1", campaign="test", as_of="2026-02-01T00:00:00Z")
    second = shop.prepare(later)

    assert shop.skipped
    assert second == first


def test_preparing_again_after_a_change_leaves_no_trace_of_before():
    # GIVEN a run whose users were mailable, and a users file that has gone since
    shop = Shop(interactions=INTERACTIONS, users=USERS)
    shop.prepare()
    shop.store.delete(["input/users/a.csv"])

    # WHEN it is prepared again
    manifest = shop.prepare()

    # THEN neither recipients nor rejected users of before are left
    assert not shop.skipped
    assert manifest.summary["mailable"] == 0
    assert list(shop.store.list(KEYS.recipient_shards)) == []
    assert not shop.store.exists(KEYS.rejected("users"))


def test_responses_to_earlier_messages_are_fixed_by_the_first_execution():
    shop = Shop(interactions=INTERACTIONS, items=ITEMS, users=USERS)
    no_more_milk = Response(
        user_id="ada",
        item_id="milk",
        kind="not_interested",
        campaign="films",
        run_id="r0",
        times=("2026-01-02T00:00:00.000+00:00",),
    )
    shop.responses.note(no_more_milk)
    shop.prepare()
    shop.responses.note(msgspec.structs.replace(no_more_milk, item_id="salt"))

    manifest = shop.prepare()

    said = shop.dataset.responses
    assert shop.skipped
    assert manifest.summary["responses"] == 1
    assert [(int(u), int(i), int(k)) for u, i, k in zip(said.user_row, said.item_row, said.kind, strict=True)] == [
        (0, 1, 0)
    ]


def test_the_run_is_noted_as_running_and_keeps_what_was_reported():
    # GIVEN a run that failed after it had been reported once
    shop = Shop(interactions=INTERACTIONS)
    shop.prepare()
    first = shop.runs.get("test", "run-1")
    shop.runs.put(msgspec.structs.replace(first, status="failed", report="{}", message="why", finished_at="then"))

    # WHEN it is started again
    shop.prepare()

    # THEN it is running, and its report still stands
    assert (first.status, first.as_of) == ("running", "2026-01-05T06:00:00Z")
    assert shop.runs.get("test", "run-1") == msgspec.structs.replace(first, report="{}")


def test_the_first_execution_fixes_what_now_is_and_when_the_run_started():
    shop = Shop(interactions=INTERACTIONS)

    shop.prepare(msgspec.structs.replace(RUN, started_at="2026-02-01T07:00:00.5+01:00"))
    shop.prepare(Run(run_id="run-1", campaign="test", as_of="2027-01-01", started_at="2027-01-01T00:00:00Z"))

    assert json.loads(shop.store.read(KEYS.run)) == {
        "campaign": "test",
        "as_of": "2026-01-05T06:00:00Z",
        "started_at": "2026-02-01T06:00:00Z",
    }


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (Run(run_id="run-1", campaign="other", as_of="2026-01-05"), "belongs to the campaign test, not other"),
        (Run(run_id="a/b", campaign="test", as_of="2026-01-05"), "run_id 'a/b'"),
        (Run(run_id="run-2", campaign="Test", as_of="2026-01-05"), "campaign 'Test'"),
        (Run(run_id="run-2", campaign="test", as_of="now"), "as_of 'now' is not ISO 8601"),
        (Run(run_id="run-2", campaign="absent", as_of="2026-01-05"), "there is no campaign 'absent'"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(run, message):
    shop = Shop(interactions=INTERACTIONS)
    shop.prepare()

    with pytest.raises(ContractError) as caught:
        shop.prepare(run)

    assert message in str(caught.value)


def test_the_summary_is_what_the_report_reads():
    shop = Shop(interactions=INTERACTIONS)

    summary = shop.prepare().summary

    assert set(PrepareSummary.__struct_fields__) <= set(summary)
