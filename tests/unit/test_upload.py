"""A shop's own files: checked before anything is uploaded, then under a prefix of their own."""

import pytest
import yaml

from shortlist.commands.upload import files_of, read_campaign, upload
from shortlist.errors import ContractError
from tests.fakes import MemoryStore

NO_TABLES = {"interactions": None, "items": None, "users": None}


@pytest.fixture
def tables(tmp_path):
    found = {}
    for name in NO_TABLES:
        found[name] = tmp_path / f"{name}.csv.gz"
        found[name].write_bytes(name.encode())
    return found


def campaign_file(folder, text):
    path = folder / "picks.yaml"
    path.write_text(text)
    return path


def test_without_a_campaign_file_our_own_column_names_are_expected_and_nobody_is_mailed(tables):
    campaign, raw = read_campaign(None, tables)

    assert (campaign.name, campaign.mail, campaign.input.prefix) == ("own", None, "input/own/")
    assert yaml.safe_load(raw) == {"name": "own", "input": {"prefix": "input/own/"}}


def test_without_a_users_table_the_users_are_those_who_bought(tables):
    campaign, _ = read_campaign(None, tables | {"users": None})

    assert campaign.input.users_from == "interactions"


def test_a_campaign_gets_a_prefix_of_its_own_and_keeps_its_settings(tables, tmp_path):
    path = campaign_file(tmp_path, "name: picks\nx: 7\ninput: {positive_from: 4}\n")

    campaign, raw = read_campaign(path, tables)

    assert (campaign.x, campaign.input.positive_from, campaign.input.prefix) == (7, 4, "input/picks/")
    assert yaml.safe_load(raw)["input"] == {"prefix": "input/picks/", "positive_from": 4}


def test_a_prefix_in_the_campaign_file_is_kept(tables, tmp_path):
    path = campaign_file(tmp_path, "name: picks\ninput: {prefix: drop/}\n")

    assert read_campaign(path, tables)[0].input.prefix == "drop/"


@pytest.mark.parametrize(
    ("text", "given", "sentence"),
    [
        ("name: picks\n", {"items": None}, "no items table is given"),
        ("name: picks\ninput: {items_from: interactions}\n", {}, "takes the items from the interactions"),
        ("name: picks\ninput: {users_from: interactions}\n", {}, "takes the users from the interactions"),
        ("name: other\n", {}, "name: other"),
        ("name: picks\nlist: [everything]\n", {}, "list"),
        ("name: [", {}, "not YAML"),
        ("name: picks\nmail: {sender: a@shop.example, subject: '{{ first_nam }}'}\n", {}, "mail.subject.*first_name"),
        (
            "name: picks\nmail: {sender: a@shop.example, experiment: {name: t, subject: '{{ items[99] }}'}}\n",
            {},
            "mail.subject",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_uploaded(tables, tmp_path, text, given, sentence):
    path = campaign_file(tmp_path, text)

    with pytest.raises(ContractError, match=sentence):
        read_campaign(path, tables | given)


def test_new_tables_replace_those_of_the_last_time_and_touch_no_other_campaign(tables):
    store = MemoryStore()
    store.write("input/own/items/last-year.csv", b"old")
    store.write("input/own/users/users.csv", b"old")
    store.write("input/other/items/items.csv", b"theirs")
    campaign, raw = read_campaign(None, tables | {"users": None})

    size = upload(campaign, raw, tables | {"users": None}, store=store)

    assert size == len(b"interactions" + b"items")
    assert sorted(store.objects) == [
        "campaigns/own.yaml",
        "input/other/items/items.csv",
        "input/own/interactions/interactions.csv.gz",
        "input/own/items/items.csv.gz",
    ]


def test_a_folder_stands_for_the_files_in_it(tmp_path):
    for name in ("b.parquet", "a.parquet", ".hidden", "_SUCCESS"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "sub").mkdir()

    assert [path.name for path in files_of(tmp_path)] == ["a.parquet", "b.parquet"]


def test_an_empty_folder_is_a_mistake(tmp_path):
    with pytest.raises(ContractError, match="holds no file"):
        files_of(tmp_path)
