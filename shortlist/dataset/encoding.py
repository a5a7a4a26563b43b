"""A file's bytes and the encoding it should have in; the first place that does not fit out."""

import codecs
from typing import BinaryIO, Final, NamedTuple

_CHUNK: Final = 1 << 20
_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Undecodable(NamedTuple):
    """A byte that the encoding does not have here: line from 1, offset from 0."""

    line: int
    offset: int
    byte: int


def find_undecodable(file: BinaryIO, encoding: str) -> Undecodable | None:
    """The first byte of a file that cannot be decoded; None where there is none, or no single one is to blame."""
    decoder = codecs.getincrementaldecoder(encoding)()
    lines = offset = 0
    while True:
        chunk = file.read(_CHUNK)
        try:
            decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            held_back = len(error.object) - len(chunk)
            line = lines + error.object[: error.start].count(b"\n") + 1
            return Undecodable(line, offset - held_back + error.start, error.object[error.start])
        except UnicodeError:  # UTF-16 without its mark
            return None
        if not chunk:
            return None
        lines += chunk.count(b"\n")
        offset += len(chunk)


def likely_encoding(start: bytes) -> str:
    """What a file that is not UTF-8 most often is, by its first bytes: Excel writes one or the other."""
    return "utf-16" if start[:2] in _UTF16_MARKS else "windows-1252"
