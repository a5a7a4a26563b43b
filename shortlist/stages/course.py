"""Epochs of a job's fits in, the file that remembers them across reclaims out."""

from pathlib import Path

import msgspec

from shortlist.contracts.metrics import EpochFigures
from shortlist.fm.progress import EpochReport


class _Notes(msgspec.Struct, frozen=True):
    fingerprint: str
    epochs: tuple[EpochFigures, ...] = ()


class CourseNotes:
    """How the epochs of all fits went, in the order in which they ran first. A file of another job is not taken up."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint

    @property
    def epochs(self) -> tuple[EpochFigures, ...]:
        if not self._path.exists():
            return ()
        notes = msgspec.json.decode(self._path.read_bytes(), type=_Notes)
        return notes.epochs if notes.fingerprint == self._fingerprint else ()

    def note(self, purpose: str, fit: str, report: EpochReport) -> dict[str, str | int | float]:
        """Write an epoch down, and say what was written; one that is run a second time after a reclaim counts once."""
        done = EpochFigures(purpose=purpose, fit=fit, epoch=report.epoch, loss=report.loss, recall=report.metric)
        before = {(one.purpose, one.fit, one.epoch): one for one in self.epochs}
        epochs = tuple((before | {(purpose, fit, report.epoch): done}).values())
        whole = self._path.with_suffix(".new")  # the file may be on its way to the bucket
        whole.write_bytes(msgspec.json.encode(_Notes(self._fingerprint, epochs)))
        whole.replace(self._path)
        return {name: value for name, value in msgspec.structs.asdict(done).items() if value is not None}
