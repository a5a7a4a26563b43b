"""The frame of a job: exit codes, and the note that says why it failed."""

import json

import msgspec
import pytest

from jobs.frame import run_job
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import RankJobRequest, StageRequest
from shortlist.errors import ContractError, DatasetError, OutOfTimeError, TransientError
from tests.fakes import MemoryStore

PAYLOAD = json.dumps(
    {"run": {"run_id": "run-1", "campaign": "test", "as_of": "2026-01-05T06:00:00Z", "execution": "execution-1"}}
)
NOTE = RunKeys("run-1").failure("Prepare")
MANIFEST = Manifest(stage="Prepare", inputs="", outputs={}, summary={"users": 3}, seconds=1.0, peak_rss_mib=2.0)


@pytest.fixture(autouse=True)
def _every_level(caplog):
    caplog.set_level("INFO", "Prepare")


def test_a_job_that_succeeds_logs_its_summary_and_removes_an_old_note(caplog):
    # GIVEN a job that failed before
    store = MemoryStore()
    store.write(NOTE, b"{}")

    # WHEN it succeeds
    def call(request, progress):
        progress("input_read", {"seconds": 0.5})
        return [(MANIFEST, False)]

    code = run_job("Prepare", ["prepare", PAYLOAD], call, shape=StageRequest, store=lambda: store)

    # THEN the note is gone, and every event has its figures
    assert code == 0
    assert not store.exists(NOTE)
    read, done = caplog.records
    assert (read.message, read.seconds) == ("input_read", 0.5)
    assert (done.message, done.users, done.skipped) == ("stage_done", 3, False)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DatasetError("a.csv, line 3: why. Cure: what."), 65),
        (ContractError("why"), 65),
        (TransientError("busy"), 75),
        (OutOfTimeError("late"), 75),
        (ValueError("a defect"), 1),
    ],
)
def test_a_job_that_fails_says_why_in_the_run(caplog, error, code):
    store = MemoryStore()

    def call(request, progress):
        raise error

    assert run_job("Prepare", ["prepare", PAYLOAD], call, shape=StageRequest, store=lambda: store) == code
    assert json.loads(store.read(NOTE)) == {
        "error": type(error).__name__,
        "message": str(error),
        "execution": "execution-1",
    }
    (line,) = caplog.records
    assert (line.message, line.levelname, line.exc_info[1]) == ("job_failed", "ERROR", error)


def test_a_store_that_is_not_there_does_not_hide_the_first_failure(caplog):
    def no_store():
        raise ContractError("SHORTLIST_BUCKET is not set")

    def call(request, progress):
        raise TransientError("busy")

    code = run_job("Prepare", ["prepare", PAYLOAD], call, shape=StageRequest, store=no_store)

    assert code == 75
    assert [line.message for line in caplog.records] == ["job_failed", "note_not_written"]


@pytest.mark.parametrize("arguments", [[], ["prepare"], ["prepare", "{"], ["prepare", '{"run": {}}']])
def test_a_payload_that_is_none_is_refused(caplog, arguments):
    def call(request, progress):
        raise AssertionError("must not be called")

    assert run_job("Prepare", arguments, call, shape=StageRequest, store=MemoryStore) == 65
    assert isinstance(caplog.records[0].exc_info[1], ContractError)


def test_a_child_of_an_array_tells_of_every_shard_and_leaves_a_note_of_its_own(caplog, capsys):
    # GIVEN two children of one array, of which one has a note of an earlier attempt
    store, keys = MemoryStore(), RunKeys("run-1")
    payload = json.dumps({**json.loads(PAYLOAD), "children": 2})
    for child in ("0", "1"):
        store.write(keys.failure("Rank", child), b"{}")
    ranked = [
        (msgspec.structs.replace(MANIFEST, stage="Rank", shard="00001", seconds=4.0), False),
        (msgspec.structs.replace(MANIFEST, stage="Rank", shard="00003"), True),
    ]
    caplog.set_level("INFO", "Rank")

    # WHEN the other one works on two shards
    code = run_job(
        "Rank", ["rank", payload], lambda *_: iter(ranked), shape=RankJobRequest, store=lambda: store, child="1"
    )

    # THEN each is told of, what was made is measured, and only its own note is gone
    assert code == 0
    assert [(line.shard, line.skipped) for line in caplog.records] == [("00001", False), ("00003", True)]
    (measured,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in line]
    assert measured["RankSeconds"] == [4.0]
    assert [entry.key for entry in store.list(keys.failures("Rank"))] == [keys.failure("Rank", "0")]
