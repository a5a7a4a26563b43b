"""The checkpoint goes to the bucket beside the work: whole, in order, and not silently nowhere."""

import threading
from pathlib import Path
from typing import Any

import pytest

from shortlist.stages.checkpoint import checkpoint_folder
from tests.fakes import MemoryStore

PREFIX = "runs/r1/checkpoint/"


class SlowStore(MemoryStore):
    """Uploads wait until `open` is set; their keys are in `sent`."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.sent: list[str] = []

    def upload(self, path: Path, key: str) -> Any:
        assert self.open.wait(10)
        self.sent.append(key.removeprefix(PREFIX))
        return super().upload(path, key)


def written(folder: Path, name: str, body: bytes) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(body)


def test_the_job_goes_on_while_the_bucket_is_slow_and_what_it_writes_meanwhile_goes_with_the_next_push(
    tmp_path: Path,
) -> None:
    store = SlowStore()
    with checkpoint_folder(tmp_path, "r1", store=store, vouching={"measured.json"}) as checkpoint:
        # GIVEN a push that the bucket has not taken yet
        for name in ("measured.json", "fit/0/manifest.json", "fit/0/rows.npy"):
            written(tmp_path, name, b"first")
        checkpoint.push()
        assert store.sent == []

        # WHEN the job writes its next state in the other place
        written(tmp_path, "fit/1/rows.npy", b"half of it")
        store.open.set()
        checkpoint.settle()

        # THEN the first push has nothing of it, and who vouches for others comes after them
        assert store.sent == ["fit/0/rows.npy", "fit/0/manifest.json", "measured.json"]

        # AND the next push has it, and nothing twice
        written(tmp_path, "fit/1/rows.npy", b"all of it")
        checkpoint.push()
        checkpoint.settle()
        assert store.sent[3:] == ["fit/1/rows.npy"]
        assert store.objects[f"{PREFIX}fit/1/rows.npy"] == b"all of it"


def test_a_push_waits_for_the_one_before(tmp_path: Path) -> None:
    store = SlowStore()
    with checkpoint_folder(tmp_path, "r1", store=store, vouching=set()) as checkpoint:
        written(tmp_path, "fit/0/rows.npy", b"first")
        checkpoint.push()
        written(tmp_path, "fit/1/rows.npy", b"second")
        second = threading.Thread(target=checkpoint.push)
        second.start()
        second.join(0.2)
        assert second.is_alive()

        store.open.set()
        second.join(10)
        checkpoint.settle()

    assert store.sent == ["fit/0/rows.npy", "fit/1/rows.npy"]


def test_what_came_from_the_bucket_is_not_sent_back(tmp_path: Path) -> None:
    store = SlowStore()
    store.objects[f"{PREFIX}fit/0/rows.npy"] = b"of the attempt before"
    with checkpoint_folder(tmp_path, "r1", store=store, vouching=set()) as checkpoint:
        checkpoint.fetch()
        written(tmp_path, "fit/1/rows.npy", b"new")
        store.open.set()
        checkpoint.push()

    assert store.sent == ["fit/1/rows.npy"]


@pytest.mark.parametrize("then", ["push", "drop"])
def test_a_failed_upload_ends_the_job_at_its_next_step(tmp_path: Path, then: str) -> None:
    class RefusingStore(MemoryStore):
        def upload(self, path: Path, key: str) -> Any:
            raise PermissionError(key)

    with checkpoint_folder(tmp_path, "r1", store=RefusingStore(), vouching=set()) as checkpoint:
        written(tmp_path, "course.json", b"{}")
        checkpoint.push()
        with pytest.raises(PermissionError):
            getattr(checkpoint, then)()
