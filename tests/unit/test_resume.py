"""A stage runs once per inputs, and its manifest is the proof."""

import pytest

from shortlist.contracts.keys import RunKeys, shard_of, user_shard_of
from shortlist.contracts.payloads import Run, StageRequest, decode
from shortlist.contracts.stages import FORCE_FROM, RESUMABLE_STAGES, is_forced, snake
from shortlist.errors import ContractError, MissingObjectError
from shortlist.stages.resume import Work, read_manifest, run_once
from tests.fakes import FixedClock, MemoryStore


def run(force_from: str = "") -> Run:
    return Run(run_id="run-1", campaign="weekly", as_of="2026-01-05T06:00:00Z", force_from=force_from)


class Counted:
    """Work that counts how often it was done."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.times = 0

    def __call__(self) -> Work:
        self.times += 1
        return Work({"runs/run-1/x": self.store.write("runs/run-1/x", b"x")}, {"users": 3})


def once(work: Counted, inputs: object = 1, force_from: str = "") -> bool:
    _, skipped = run_once("Train", run(force_from), {"a": inputs}, work, store=work.store, clock=FixedClock())
    return skipped


def test_work_with_the_same_inputs_is_done_once() -> None:
    work = Counted(MemoryStore())

    assert [once(work), once(work)] == [False, True]
    assert work.times == 1


def test_other_inputs_are_other_work() -> None:
    work = Counted(MemoryStore())

    assert [once(work, 1), once(work, 2)] == [False, False]


@pytest.mark.parametrize(("force_from", "skipped"), [("Prepare", False), ("Train", False), ("Repackage", True)])
def test_forcing_a_stage_forces_it_and_what_follows(force_from: str, skipped: bool) -> None:
    work = Counted(MemoryStore())
    once(work)

    assert once(work, force_from=force_from) is skipped


def test_work_that_fails_leaves_no_manifest() -> None:
    store = MemoryStore()

    def broken() -> Work:
        store.write("runs/run-1/half", b"")
        raise ContractError("no")

    with pytest.raises(ContractError):
        run_once("Train", run(), {}, broken, store=store, clock=FixedClock())

    with pytest.raises(MissingObjectError):
        read_manifest("run-1", "Train", store=store)


def test_a_manifest_tells_outputs_and_summary() -> None:
    work = Counted(MemoryStore())
    once(work)

    manifest = read_manifest("run-1", "Train", store=work.store)

    assert list(manifest.outputs) == ["runs/run-1/x"]
    assert manifest.summary == {"users": 3}
    assert manifest.peak_rss_mib > 1


def test_mails_are_never_forced() -> None:
    assert not any(is_forced("SendEmails", word) for word in FORCE_FROM)


def test_forcing_recommend_is_forcing_rank_and_what_follows() -> None:
    forced = [stage for stage in RESUMABLE_STAGES if is_forced(stage, "Recommend")]

    assert forced == ["Rank", "WriteTopX", "Publish", "Report"]


@pytest.mark.parametrize(
    ("word", "name"), [("BuildIndex", "build_index"), ("WriteTopX", "write_top_x"), ("Train", "train")]
)
def test_a_stage_word_has_one_module_name(word: str, name: str) -> None:
    assert snake(word) == name


def test_a_shard_is_known_by_its_key() -> None:
    keys = RunKeys("run-1")

    assert shard_of(keys.user_shard("00003")) == "00003"
    assert shard_of(keys.topx("00003")) == "00003"
    assert user_shard_of(shard_of(keys.recipient_shard("00003", 7))) == "00003"


def test_a_key_that_is_no_shard_is_refused() -> None:
    with pytest.raises(ContractError, match="not the key of a shard"):
        shard_of("runs/run-1/latent/items.npy")


@pytest.mark.parametrize("event", [{}, {"run": {"run_id": "a"}}, {"run": {"run_id": 1, "campaign": "c", "as_of": ""}}])
def test_a_payload_of_another_shape_is_refused_with_its_path(event: dict[str, object]) -> None:
    with pytest.raises(ContractError, match="does not fit StageRequest"):
        decode(event, StageRequest)
