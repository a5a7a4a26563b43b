"""docs/data-contracts.md names every setting with its default, every S3 key, every attribute, and no setting more."""

import inspect
import json
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from shortlist import export
from shortlist.config import Campaign, Config
from shortlist.contracts import arrays, attribution, inputs, keys, lists, manifests, payloads, records, summaries

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "data-contracts.md").read_text()
INPUT_COLUMNS = {
    table: inputs.REQUIRED_COLUMNS[table] + inputs.OPTIONAL_COLUMNS[table] for table in inputs.REQUIRED_COLUMNS
}
SETTING_ROW = re.compile(r"^\| `([a-z_.]+)` \| (required|`(?:[^`\\]|\\.)*`) \|", re.MULTILINE)


class Placeholder(str):
    """`<name>` in a key, whatever the key's format asks for."""

    def __format__(self, spec: str) -> str:
        return str(self)


def section(title: str) -> str:
    """From a heading to the next one of the same rank or a higher one."""
    rank = len(title.split()[0])
    found = re.search(rf"^{re.escape(title)}$(.*?)(?=^#{{1,{rank}}} |\Z)", DOC, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading {title!r}"
    return found[1]


def flow(value: object) -> str:
    """A default as a YAML file would have it."""
    if isinstance(value, str):
        return value.replace("|", r"\|") or '""'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return json.dumps(value)


def settings_of(shape: type[Config], prefix: str = "") -> dict[str, str]:
    """Path of each setting -> its default as the document shows it."""
    found: dict[str, str] = {}
    for field in msgspec.structs.fields(shape):
        path = prefix + field.name
        block = next(
            (t for t in (field.type, *get_args(field.type)) if inspect.isclass(t) and issubclass(t, Config)), None
        )
        default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
        if block is None or default is None:
            found[path] = "required" if default is msgspec.NODEFAULT else f"`{flow(default)}`"
        if block is not None:
            found |= settings_of(block, f"{path}.")
    return found


def run_keys() -> list[str]:
    """Every key of a run, with `<argument>` for what varies."""
    run = keys.RunKeys("<run_id>")
    found = []
    for name, member in inspect.getmembers(keys.RunKeys):
        if name.startswith("_") or name == "run_id":
            continue
        if not callable(member):
            found.append(getattr(run, name))
            continue
        parameters = [p for p in inspect.signature(member).parameters.values() if p.name != "self"]
        found.append(getattr(run, name)(*(Placeholder(f"<{p.name}>") for p in parameters)))
        needed = [p for p in parameters if p.default is inspect.Parameter.empty]
        found.append(getattr(run, name)(*(Placeholder(f"<{p.name}>") for p in needed)))
    return sorted(set(found))


def test_every_setting_stands_there_with_its_default_and_no_other():
    documented = dict(SETTING_ROW.findall(section("## Campaign file")))

    assert documented == settings_of(Campaign)


@pytest.mark.parametrize("key", run_keys())
def test_every_key_of_a_run_is_there(key):
    assert key in section("## Objects in the bucket")


def test_every_key_in_the_document_exists():
    documented = set(re.findall(r"^\| `(runs/[^`]*)`", section("## Objects in the bucket"), re.MULTILINE))

    assert documented <= set(run_keys())


@pytest.mark.parametrize("table", INPUT_COLUMNS)
def test_every_input_column_is_there_and_no_other(table):
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| (required)? ?\|", section(f"### {table}"), re.MULTILINE)
    documented = {name: bool(required) for cell, required in rows for name in re.findall(r"`([a-z_]+)`", cell)}

    assert documented == {name: name in inputs.REQUIRED_COLUMNS[table] for name in INPUT_COLUMNS[table]}


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("### `recommendations`", (*records.StoredLists.__struct_fields__, *records.StoredItem.__struct_fields__)),
        ("### `runs`", (*records.RunRecord.__struct_fields__, *records.CurrentRun.__struct_fields__)),
        ("### `runs`", (*get_args(records.RunStatus), records.CURRENT)),
        ("### `deliveries`", (*records.Delivery.__struct_fields__, *get_args(records.DeliveryState))),
        ("### `suppressions`", records.SUPPRESSIONS_KEY),
        ("### `responses`", (*records.Response.__struct_fields__, *get_args(records.ResponseKind))),
        ("### Arrays", arrays.RESPONSE_CODES),
        ("## Tables in DynamoDB", (records.EXPIRES_AT,)),
        ("### JSON", inputs.PinnedRun.__struct_fields__),
        ("### JSON", inputs.RejectedRow.__struct_fields__),
        ("### JSON", (*attribution.Attribution.__struct_fields__, *attribution.Arm.__struct_fields__)),
        ("### JSON", (*attribution.ItemFigures.__struct_fields__, *attribution.Lift.__struct_fields__)),
        ("### JSON", (*lists.Recipient.__struct_fields__, *lists.UserLists.__struct_fields__)),
        ("### JSON", (*lists.ListedItem.__struct_fields__, *lists.Reason.__struct_fields__)),
        ("### Exports", export.COLUMNS),
        ("### JSON", (*get_args(lists.ReasonKind), *records.Failure.__struct_fields__)),
        ("### JSON", (*summaries.PrepareSummary.__struct_fields__, *summaries.RejectReason.__struct_fields__)),
        ("## Objects in the bucket", (*manifests.Manifest.__struct_fields__, *manifests.Output.__struct_fields__)),
        ("## Campaign file", lists.LIST_KINDS),
        ("### Arrays", (*arrays.CATALOGUE_STRINGS, *arrays.CATALOGUE_NUMBERS)),
        ("### Arrays", (*arrays.UserShard.__slots__, *arrays.Popular.__slots__)),
        ("## Starting a run", (*payloads.Run.__struct_fields__, *payloads.ShardRequest.__struct_fields__)),
        ("## Starting a run", payloads.FailureRequest.__struct_fields__),
    ],
)
def test_every_field_is_there(heading, names):
    text = section(heading)

    assert [name for name in names if f"`{name}`" not in text and f'"{name}"' not in text] == []


def test_every_field_that_starts_a_run_is_there():
    definition = (ROOT / "statemachine" / "pipeline.asl.json").read_text()
    read_by_init = set(re.findall(r"\$states\.input\.([a-z_]+)", json.dumps(json.loads(definition)["States"]["Init"])))
    documented = set(re.findall(r"^\| `([a-z_]+)` \|", section("## Starting a run"), re.MULTILINE))

    assert read_by_init == documented
