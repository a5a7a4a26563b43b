"""Training state after every epoch in, the newest complete one out. Two folders in turn: one is always whole."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ContractError
from shortlist.fm.storage import Settings, load_folder, save_folder

KIND: Final = "training-state"
DRAW: Final = "draw"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Saved:
    """A fit as it stood after an epoch.

    Attributes:
        epoch: 1 is the first.
        arrays: of the state, by name.
        metrics: of validation so far, one an epoch.
        draws: kept up to this epoch, the oldest first.
    """

    epoch: int
    arrays: Arrays
    metrics: list[float]
    draws: Sequence[Arrays]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder for the training state of one fit. A state of other data or settings is not taken up.

    Attributes:
        folder: of this fit alone.
        fingerprint: of data and settings (`fingerprint`).
    """

    folder: Path
    fingerprint: str

    def save_draw(self, number: int, arrays: Arrays) -> None:
        """Written once, before the first state that counts it; 0 is the first."""
        save_folder(self._draw(number), DRAW, arrays, {"fingerprint": self.fingerprint})

    def save(self, epoch: int, arrays: Arrays, metrics: list[float], n_draws: int = 0) -> None:
        about: Settings = {"epoch": epoch, "fingerprint": self.fingerprint, "n_draws": n_draws}
        named = {**arrays, "metrics": np.array(metrics, np.float64)}
        save_folder(self.folder / str(epoch % 2), KIND, named, about)

    def newest(self) -> Saved | None:
        """The fit after the last epoch that was written completely, its draws included; None to start."""
        found = [one for name in ("0", "1") if (one := self._saved(self.folder / name))]
        return max(found, key=lambda one: one.epoch, default=None)

    def _draw(self, number: int) -> Path:
        return self.folder / "draws" / str(number)

    def _saved(self, folder: Path) -> Saved | None:
        try:
            arrays, about = self._own(folder, KIND)
            draws = [self._own(self._draw(number), DRAW)[0] for number in range(about.get("n_draws", 0))]
        except ContractError:
            return None
        return Saved(about["epoch"], arrays, arrays.pop("metrics").tolist(), draws)

    def _own(self, folder: Path, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        arrays, about = load_folder(folder, kind)
        if about["fingerprint"] != self.fingerprint:
            raise ContractError(f"{folder} is of other data or settings. Train from the first epoch.")
        return arrays, about


def fingerprint(settings: Settings, arrays: Iterable[NDArray[Any]]) -> str:
    """A checksum of settings and data."""
    digest = hashlib.sha256(repr(sorted(settings.items())).encode())
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
