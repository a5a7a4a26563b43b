"""A function's archive comes in, the folder with its files goes out; and an archive that only points at a folder.

`deploy` publishes pointers: an asset's folder is what its zip would hold, and a dozen functions would otherwise be
zipped, sent, kept in memory and unpacked, a gigabyte each time. An archive of another client (`cdk deploy`) is real.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path

MAX_UNPACKED_BYTES = 250 * 1024 * 1024  # https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_POINTER = ".embedded-aws-folder"


def pointer_to(folder: Path) -> bytes:
    """An archive that stands for the folder's files; the same bytes each time."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        files.writestr(zipfile.ZipInfo(_POINTER), str(folder.resolve()))
    return packed.getvalue()


def unpacked(archive: bytes, cache: Path) -> Path:
    """The folder with the archive's files; made once for each content, under `cache`."""
    pointed = _pointed(archive)
    if pointed is not None:
        return pointed
    code = cache / hashlib.sha256(archive).hexdigest()
    if not code.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=cache))
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            files.extractall(fresh)
        try:
            fresh.rename(code)
        except OSError:  # another thread was faster
            shutil.rmtree(fresh)
    return code


def unpacked_bytes(archive: bytes) -> int:
    """The size of the archive's files, in bytes."""
    pointed = _pointed(archive)
    if pointed is not None:
        return _folder_bytes(pointed)
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        return sum(entry.file_size for entry in files.infolist())


def _pointed(archive: bytes) -> Path | None:
    if len(archive) > 4096 or _POINTER.encode() not in archive:
        return None
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        return Path(files.read(_POINTER).decode()) if files.namelist() == [_POINTER] else None


@lru_cache(maxsize=256)
def _folder_bytes(folder: Path) -> int:
    return sum((Path(at) / name).lstat().st_size for at, _, names in os.walk(folder) for name in names)
