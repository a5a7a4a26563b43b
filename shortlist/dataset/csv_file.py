"""A CSV file in (plain or gzip, any usual delimiter, any encoding); batches of text columns and single lines out.

Arrow reads the rows. The csv module, much slower, goes over the same file again only to say on which line a bad row
stands. Both split rows alike; tests/unit/test_dataset_csv_file.py holds them together.
"""

import codecs
import csv
import gzip
import io
import itertools
import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO, cast

import pyarrow as pa
import pyarrow.csv

from shortlist.contracts.arrays import Int64Array
from shortlist.dataset.encoding import find_undecodable, likely_encoding
from shortlist.dataset.source import MALFORMED, SourceRow
from shortlist.errors import ContractError, DatasetError

if TYPE_CHECKING:
    import _csv

DELIMITERS: Final = (",", ";", "\t", "|")
MAX_ROW_BYTES: Final = 1 << 24
"""Arrow reads blocks of this size, and a row must fit in one."""

_HEAD_CHARACTERS: Final = 1 << 20
_REPLACED: Final = "\ufffd"
"""What undecodable bytes become where a text is read for its lines only."""
_GZIP_MAGIC: Final = b"\x1f\x8b"


class CsvFile:
    """A CSV file with a header line.

    Args:
        path: where it lies.
        name: how the shop knows it, for messages.
        encoding: a Python codec name.
        setting: path of the encoding in the campaign file, for messages.
        wanted: column names that are looked for; they decide between delimiters.

    Raises:
        DatasetError: the file is empty or damaged.
        ContractError: there is no such encoding.
    """

    def __init__(self, path: Path, name: str, *, encoding: str, setting: str, wanted: Collection[str]) -> None:
        self.name = name
        self.malformed = 0
        self._path = path
        self._setting = setting
        try:
            self._encoding = codecs.lookup(encoding).name
        except LookupError as error:
            raise ContractError(
                f"{setting}: there is no encoding {encoding!r}. Cure: utf-8, windows-1252, …"
            ) from error
        self._delimiter, self._header, self._has_rows = self._read_header(wanted)
        self.columns = tuple(column.strip() for column in self._header)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        if not self._has_rows:
            return
        names = [self._header[self._position(column)] for column in columns]
        with _Stream(self._binary(), check_utf8=self._is_utf8) as stream:
            try:
                for batch in self._batches(stream, names):
                    yield batch.rename_columns(list(columns))
            except UnicodeError as error:
                raise self._undecodable() from error
            except (pa.ArrowException, EOFError, OSError, zlib.error) as error:
                if "straddling" in str(error):
                    raise self._endless_row() from error
                raise self._damaged(error) from error
        if stream.quotes % 2:
            self._refuse_open_quote()

    def _batches(self, stream: "_Stream", names: list[str]) -> pyarrow.csv.CSVStreamingReader:
        return pyarrow.csv.open_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(
                use_threads=False, block_size=MAX_ROW_BYTES, encoding="utf8" if self._is_utf8 else self._encoding
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=self._delimiter, newlines_in_values=True, invalid_row_handler=self._skip
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=names,
                column_types=dict.fromkeys(names, pa.string()),
                check_utf8=False,
                strings_can_be_null=False,
            ),
        )

    def locate(self, ordinals: Int64Array) -> Iterator[SourceRow]:
        wanted = map(int, ordinals)
        sought, ordinal = next(wanted, None), 0
        for line, fields, text in self._records():
            if len(fields) != len(self._header):
                yield SourceRow(MALFORMED, line, text)
                continue
            if ordinal == sought:
                yield SourceRow(ordinal, line, text)
                sought = next(wanted, None)
            ordinal += 1

    def _read_header(self, wanted: Collection[str]) -> tuple[str, list[str], bool]:
        """Delimiter, header fields, and whether anything follows."""
        try:
            with self._text() as text:
                head = text.read(_HEAD_CHARACTERS)
        except UnicodeError as error:
            raise self._undecodable() from error
        except (EOFError, OSError, zlib.error) as error:
            raise self._damaged(error) from error
        if not head.strip():
            raise DatasetError(f"{self.name} is empty. Cure: export it again, or delete it.")

        def records(delimiter: str) -> list[list[str]]:
            rows = _reader(io.StringIO(head, newline=""), delimiter)
            return list(itertools.islice((row for row in rows if row), 2))

        def fit(delimiter: str) -> tuple[int, int]:
            found = [field.strip() for field in records(delimiter)[0]]
            return len(set(wanted) & set(found)), len(found)

        delimiter = max(DELIMITERS, key=fit)
        header, *following = records(delimiter)
        if any(_REPLACED in field for field in header):
            raise self._undecodable()
        return delimiter, header, bool(following)

    def _records(self) -> Iterator[tuple[int, list[str], str]]:
        """Line, fields and characters of every record after the header; blank lines are none."""
        consumed: list[str] = []
        with self._text() as text:
            reader = _reader(_recorded(text, consumed), self._delimiter)
            line, header_passed = 1, False
            while True:
                try:
                    fields = next(reader, None)
                except csv.Error as error:  # a field over the limit
                    raise self._open_quote(line) from error
                if fields is None:
                    return
                if fields and header_passed:
                    yield line, fields, "".join(consumed).rstrip("\r\n")
                header_passed = header_passed or bool(fields)
                line = reader.line_num + 1
                consumed.clear()

    def _skip(self, row: pyarrow.csv.InvalidRow) -> str:
        self.malformed += 1
        return "skip"

    def _position(self, column: str) -> int:
        if self.columns.count(column) > 1:
            raise DatasetError(f"{self.name} has two columns {column!r}. Cure: rename or remove one of them.")
        return self.columns.index(column)

    @property
    def _is_utf8(self) -> bool:
        return self._encoding in ("utf-8", "utf-8-sig")

    def _binary(self) -> BinaryIO:
        with self._path.open("rb") as file:
            zipped = file.read(2) == _GZIP_MAGIC
        return cast(BinaryIO, gzip.open(self._path, "rb") if zipped else self._path.open("rb"))

    def _text(self) -> TextIO:
        encoding = "utf-8-sig" if self._is_utf8 else self._encoding
        return io.TextIOWrapper(self._binary(), encoding=encoding, errors="replace", newline="")

    def _damaged(self, error: Exception) -> DatasetError:
        return DatasetError(f"{self.name} cannot be read as CSV: {error}. Cure: export it again.")

    def _undecodable(self) -> DatasetError:
        with self._binary() as file:
            start = file.read(2)
            file.seek(0)
            found = find_undecodable(file, self._encoding)
        where = f"line {found.line}: byte 0x{found.byte:02X} (offset {found.offset:,})" if found else "the file"
        cure = likely_encoding(start) if self._is_utf8 else "utf-8"
        return DatasetError(
            f"{self.name}, {where} is not {self._encoding}. "
            f"Cure: set `{self._setting}` to the file's encoding, {cure} perhaps."
        )

    def _refuse_open_quote(self) -> None:
        """An odd number of quotes may be a text like 7" or a quote without an end, which swallows the rest.

        Raises:
            DatasetError: the last record ends inside quotes.
        """
        last: tuple[int, str] | None = None
        for line, _, text in self._records():
            last = line, text
        if last is None or "\n" not in last[1]:
            return
        try:
            list(_reader(io.StringIO(last[1], newline=""), self._delimiter, strict=True))
        except csv.Error as error:
            raise self._open_quote(last[0]) from error

    def _endless_row(self) -> DatasetError:
        """A row longer than a block: in practice a quote that is never closed."""
        for line, _, text in self._records():
            if len(text.encode()) >= MAX_ROW_BYTES:
                return self._open_quote(line)
        return DatasetError(f"{self.name} has a row of over {MAX_ROW_BYTES:,} bytes. Cure: export it again.")

    def _open_quote(self, line: int) -> DatasetError:
        return DatasetError(f"{self.name}, line {line}: a quote is opened and never closed. Cure: export it again.")


class _Stream(io.RawIOBase):
    """A binary file that counts the quotes passing through, and checks all of it for UTF-8, where Arrow would not."""

    def __init__(self, file: BinaryIO, *, check_utf8: bool) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")() if check_utf8 else None
        self.quotes = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self.quotes += chunk.count(b'"')
        if self._decoder is not None:
            self._decoder.decode(chunk, final=not chunk)
        return chunk

    def close(self) -> None:
        self._file.close()
        super().close()


def _reader(lines: Iterable[str], delimiter: str, *, strict: bool = False) -> "_csv.Reader":
    csv.field_size_limit(MAX_ROW_BYTES)
    return csv.reader(lines, delimiter=delimiter, strict=strict)


def _recorded(lines: TextIO, consumed: list[str]) -> Iterator[str]:
    for line in lines:
        consumed.append(line)
        yield line
