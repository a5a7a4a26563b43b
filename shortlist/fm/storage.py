"""Arrays and settings in, a folder of .npy files under a manifest with checksums out; and back, byte for byte."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from shortlist.contracts.arrays import npy_array, npy_bytes
from shortlist.errors import ContractError

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1

Settings = Mapping[str, float | int | str | bool | None]


def save_folder(folder: Path, kind: str, arrays: Mapping[str, NDArray[Any]], settings: Settings) -> None:
    """Write every array and, last, the manifest. A folder without a manifest is not a model."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    checksums = {}
    for name, array in sorted(arrays.items()):
        raw = npy_bytes(array)
        (folder / f"{name}.npy").write_bytes(raw)
        checksums[f"{name}.npy"] = hashlib.sha256(raw).hexdigest()
    manifest = {"format": FORMAT, "kind": kind, "settings": dict(settings), "sha256": checksums}
    temporary = folder / f"{MANIFEST}.new"
    temporary.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    temporary.replace(folder / MANIFEST)


def load_folder(folder: Path, kind: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays by name, and the settings.

    Raises:
        ContractError: no manifest, another kind or format, a file missing or not the one that was written.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise ContractError(f"{folder} holds no complete {kind}: {error}. Train again.") from error
    if manifest.get("kind") != kind or manifest.get("format") != FORMAT:
        raise ContractError(
            f"{folder} holds {manifest.get('kind')!r} in format {manifest.get('format')!r}, "
            f"expected {kind!r} in format {FORMAT}. Train again with this version."
        )
    arrays = {}
    for file, checksum in manifest["sha256"].items():
        try:
            raw = (folder / file).read_bytes()
        except OSError as error:
            raise ContractError(f"{folder / file} cannot be read: {error}. Fetch the folder again.") from error
        if hashlib.sha256(raw).hexdigest() != checksum:
            raise ContractError(f"{folder / file} is not the file that was written. Fetch the folder again.")
        arrays[file.removesuffix(".npy")] = npy_array(raw)
    return arrays, manifest["settings"]
