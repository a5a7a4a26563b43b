"""Training state after every epoch in, the newest complete one out. Two folders in turn: one is always whole."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ContractError
from shortlist.fm.als import State
from shortlist.fm.softmax import SoftmaxState
from shortlist.fm.storage import Settings, load_folder, save_folder

KIND: Final = "training-state"

S = TypeVar("S", State, SoftmaxState)


@dataclass(frozen=True, slots=True)
class Checkpoint(Generic[S]):
    """A folder for the training state of one fit. A state of other data or settings is not taken up.

    Attributes:
        folder: of this fit alone.
        fingerprint: of data and settings (`fingerprint`).
        state: class of the state: arrays, and `epoch`.
    """

    folder: Path
    fingerprint: str
    state: type[S]

    def save(self, state: S, metrics: list[float]) -> None:
        arrays: dict[str, NDArray[Any]] = {name: getattr(state, name) for name in self._arrays()}
        arrays["metrics"] = np.array(metrics, np.float64)
        about: Settings = {"epoch": state.epoch, "fingerprint": self.fingerprint}
        save_folder(self.folder / str(state.epoch % 2), KIND, arrays, about)

    def newest(self) -> tuple[S, list[float]] | None:
        """The state of the last epoch that was written completely, and the validation metrics so far; None to start."""
        found = [one for name in ("0", "1") if (one := self._read(self.folder / name))]
        return max(found, key=lambda one: one[0].epoch, default=None)

    def _arrays(self) -> list[str]:
        return [field.name for field in fields(self.state) if field.name != "epoch"]

    def _read(self, folder: Path) -> tuple[S, list[float]] | None:
        try:
            arrays, about = load_folder(folder, KIND)
        except ContractError:
            return None
        if about["fingerprint"] != self.fingerprint:
            return None
        state = {name: arrays[name] for name in self._arrays()}
        return self.state(**state, epoch=about["epoch"]), arrays["metrics"].tolist()


def fingerprint(settings: Settings, arrays: Iterable[NDArray[Any]]) -> str:
    """A checksum of settings and data."""
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
