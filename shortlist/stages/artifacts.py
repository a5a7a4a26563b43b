"""What earlier stages left, on the local disk: a key and its recorded checksum in, the path of a copy out.

Copies are kept for as long as the process lives, so that a warm Lambda that ranks one shard after another fetches the
items once.
"""

import hashlib
import tempfile
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from shortlist.contracts.manifests import Manifest, Output
from shortlist.errors import ContractError, MissingObjectError
from shortlist.ports import ObjectStore


def output_of(manifest: Manifest, key: str) -> Output:
    """What a stage recorded of one of its outputs.

    Raises:
        MissingObjectError: the stage has no such output.
    """
    if key not in manifest.outputs:
        raise MissingObjectError(f"{manifest.stage} has left no {key} in this run. Re-run the run from that stage.")
    return manifest.outputs[key]


def fetch(key: str, manifest: Manifest, *, store: ObjectStore) -> Path:
    """A local copy of an output of a stage, fetched once in the life of the process.

    Raises:
        MissingObjectError: the stage has no such output.
        ContractError: the object is not the one that the stage recorded.
    """
    sha256 = output_of(manifest, key).sha256
    path = folder() / sha256
    if not path.exists():
        fresh = path.with_suffix(".fetching")
        store.download(key, fresh)
        with fresh.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise ContractError(f"{key} is not what {manifest.stage} wrote. Re-run the run from {manifest.stage}.")
        fresh.replace(path)
    return path


def forget_all_but(paths: Collection[Path]) -> None:
    """Remove the other copies: a Lambda's disk holds one run's items, not two."""
    for path in folder().iterdir():
        if path not in paths:
            path.unlink()


def folder() -> Path:
    """Where this process keeps its copies; gone when it ends."""
    return Path(_folder().name)


@lru_cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="shortlist-")
