"""An archive of a function or a layer comes in, the folder with its files goes out; made once for each content.

Processes share a cache and runs find what earlier ones left. Who uses it holds a lock together with the others; who
finds itself alone first removes what has not been used for longest.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Final

KEPT_BYTES: Final = 512 * 2**20
"""A deployment of the stack needs some 280 MiB, most of it four layers; after a change of the sources 20 more."""

_UNFINISHED: Final = "unfinished-"


class CodeCache:
    """The unpacked archives below a folder; a context manager, or `open()` and `close()`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = -1

    def open(self) -> CodeCache:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self._folder.with_name(f"{self._folder.name}.lock"), os.O_CREAT | os.O_RDWR)
        with contextlib.suppress(BlockingIOError):  # another process uses it and may start what is in it
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._prune()
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        return self

    def close(self) -> None:
        os.close(self._lock)

    def __enter__(self) -> CodeCache:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def unpacked(self, archive: bytes, sha256: str) -> Path:
        """The folder with the archive's files.

        Args:
            sha256: of the archive, hex.

        Raises:
            zipfile.BadZipFile: it is no archive.
        """
        code = self._folder / sha256
        if code.is_dir():
            os.utime(code)
            return code
        fresh = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._folder))
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            for entry in files.infolist():
                path = files.extract(entry, fresh)
                if not entry.is_dir() and entry.external_attr >> 16 & 0o100:
                    Path(path).chmod(0o755)
        try:
            fresh.rename(code)
        except OSError:  # another thread or process was faster
            shutil.rmtree(fresh)
        return code

    def _prune(self) -> None:
        for folder in self._folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(folder, ignore_errors=True)
        newest_first = sorted(self._folder.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        held = 0
        for folder in newest_first:
            held += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            if held > KEPT_BYTES:
                shutil.rmtree(folder, ignore_errors=True)
