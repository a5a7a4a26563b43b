"""Files come in, a zip goes out: the same bytes for the same files, wherever and whenever it is made."""

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

LEVEL: Final = 1
"""Of deflate. Measured on numpy and faiss, 134 MiB: level 1 leaves 46 MiB in 1.4 s, level 6 leaves 41 MiB in 4.5 s."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive; `name` is its path in there."""

    name: str
    content: bytes
    executable: bool = False


def entries_of(folder: Path) -> Iterator[Entry]:
    """Every file below the folder, in the order of their names; each is read when its turn comes."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        executable = bool(path.stat().st_mode & 0o100)
        yield Entry(path.relative_to(folder).as_posix(), path.read_bytes(), executable)


def write_archive(archive: Path | IO[bytes], entries: Iterable[Entry]) -> None:
    """Zip the entries, without their times and owners."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as files:
        for entry in entries:
            about = zipfile.ZipInfo(entry.name)  # 1 January 1980, the first day that a zip knows
            about.compress_type = zipfile.ZIP_DEFLATED
            about.external_attr = (0o100755 if entry.executable else 0o100644) << 16
            files.writestr(about, entry.content, compresslevel=LEVEL)


def unzipped_bytes(archive: Path | IO[bytes]) -> int:
    """The size of the archive's files, in bytes.

    Raises:
        zipfile.BadZipFile: it is no archive.
    """
    with zipfile.ZipFile(archive) as files:
        return sum(entry.file_size for entry in files.infolist())
