"""A folder of a running job in, the same files in the run's `checkpoint/` out: what a reclaimed job goes on from."""

from collections.abc import Iterator, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from shortlist.contracts.keys import RunKeys
from shortlist.ports import ObjectStore


class CheckpointFolder:
    """Files of a job below `path`, mirrored into the bucket beside the job's work. Made by `checkpoint_folder`."""

    def __init__(
        self, path: Path, run_id: str, *, store: ObjectStore, vouching: Set[str], uploader: ThreadPoolExecutor
    ) -> None:
        self.path = path
        self._prefix = RunKeys(run_id).checkpoint
        self._store = store
        self._order = {"manifest.json": 1} | dict.fromkeys(vouching, 2)
        self._pushed: dict[Path, int] = {}
        self._uploader = uploader
        self._under_way: Future[None] | None = None

    def fetch(self) -> None:
        """Bring back what an earlier attempt left; who reads it checks that it is theirs."""
        for entry in self._store.list(self._prefix):
            self._store.download(entry.key, self.path / entry.key.removeprefix(self._prefix))
        self._pushed = self._written()

    def push(self) -> None:
        """Start to leave in the bucket what changed, once all that was started before is there.

        Until then these files may be replaced by whole ones, but not be written to: a state that is written after
        every epoch has two places in turn.

        Raises:
            Exception: what the push before this one ended with.
        """
        self.settle()
        written = self._written()
        changed = [path for path, when in written.items() if self._pushed.get(path) != when]
        self._pushed = written
        self._under_way = self._uploader.submit(self._upload, changed)

    def settle(self) -> None:
        """Wait until everything pushed is in the bucket. Raises what the last push ended with."""
        if self._under_way is not None:
            self._under_way.result()

    def drop(self) -> None:
        """Take it out of the bucket: the job is done."""
        self.settle()
        self._store.delete([entry.key for entry in self._store.list(self._prefix)])

    def _written(self) -> dict[Path, int]:
        """When each file was written, ns."""
        return {path: path.stat().st_mtime_ns for path in files_below(self.path)}

    def _upload(self, changed: list[Path]) -> None:
        for path in sorted(changed, key=lambda path: (self._order.get(path.name, 0), path)):
            self._store.upload(path, self._prefix + path.relative_to(self.path).as_posix())


@contextmanager
def checkpoint_folder(path: Path, run_id: str, *, store: ObjectStore, vouching: Set[str]) -> Iterator[CheckpointFolder]:
    """What is under way when the job ends goes to its end.

    Args:
        vouching: names of files that say of others that they are complete, and so go after all of them.
    """
    with ThreadPoolExecutor(1, "checkpoint") as uploader:
        yield CheckpointFolder(path, run_id, store=store, vouching=vouching, uploader=uploader)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
