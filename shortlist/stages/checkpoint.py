"""A folder of a running job in, the same files in the run's `checkpoint/` out: what a reclaimed job goes on from."""

from collections.abc import Set
from pathlib import Path

from shortlist.contracts.keys import RunKeys
from shortlist.ports import ObjectStore


class CheckpointFolder:
    """Files of a job below `path`, mirrored into the bucket."""

    def __init__(self, path: Path, run_id: str, *, store: ObjectStore, vouching: Set[str]) -> None:
        """`vouching`: names of files that say of others that they are complete, and so go after all of them."""
        self.path = path
        self._prefix = RunKeys(run_id).checkpoint
        self._store = store
        self._order = {"manifest.json": 1} | dict.fromkeys(vouching, 2)
        self._pushed: dict[Path, int] = {}

    def fetch(self) -> None:
        """Bring back what an earlier attempt left; who reads it checks that it is theirs."""
        for entry in self._store.list(self._prefix):
            self._store.download(entry.key, self.path / entry.key.removeprefix(self._prefix))

    def push(self) -> None:
        """Leave what changed in the bucket."""
        for path in sorted(files_below(self.path), key=lambda path: (self._order.get(path.name, 0), path)):
            changed = path.stat().st_mtime_ns
            if self._pushed.get(path) != changed:
                self._store.upload(path, self._prefix + path.relative_to(self.path).as_posix())
                self._pushed[path] = changed

    def drop(self) -> None:
        """Take it out of the bucket: the job is done."""
        self._store.delete([entry.key for entry in self._store.list(self._prefix)])


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
