"""Bad rows of an input table: noted by number while the table is read, written with line and text afterwards."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

import msgspec
import numpy as np

from shortlist.contracts.arrays import BoolArray, Int32Array, Int64Array
from shortlist.contracts.inputs import RejectedRow
from shortlist.contracts.summaries import RejectReason
from shortlist.dataset.source import MALFORMED, SourceFile
from shortlist.errors import DatasetError


@dataclass(frozen=True, slots=True)
class _Fault:
    column: str
    reason: str


_MALFORMED: Final = _Fault("", "row has another number of fields than the header")


@dataclass(slots=True)
class Rejects:
    """The bad rows of one table; 16 bytes each, whatever the row holds.

    Attributes:
        table: `interactions`, `items` or `users`.
        rows: rows read so far, good and bad.
        rejected: the bad ones among them.
        from_files: whether the table has files of its own, whose malformed rows are listed with it.
    """

    table: str
    from_files: bool = True
    rows: int = 0
    rejected: int = 0
    _faults: dict[_Fault, int] = field(default_factory=dict)
    _files: list[Int32Array] = field(default_factory=list)
    _ordinals: list[Int64Array] = field(default_factory=list)
    _codes: list[Int32Array] = field(default_factory=list)

    def add(self, files: Int32Array, ordinals: Int64Array, column: str, reason: str) -> None:
        """Note rows by file number and ordinal."""
        code = self._faults.setdefault(_Fault(column, reason), len(self._faults))
        self._files.append(files)
        self._ordinals.append(ordinals)
        self._codes.append(np.full(len(files), code, np.int32))
        self.rejected += len(files)

    def write(self, sources: Sequence[SourceFile], out: BinaryIO) -> tuple[RejectReason, ...]:
        """Write a RejectedRow a line in the order of the files; answers with the reasons, most rows first."""
        encoder = msgspec.json.Encoder()
        count: dict[tuple[str, str], int] = {}
        example: dict[tuple[str, str], str] = {}
        for row in self._located(sources):
            key = row.column, row.reason
            count[key] = count.get(key, 0) + 1
            example.setdefault(key, f"{row.file} line {row.line}")
            out.write(encoder.encode(row))
            out.write(b"\n")
        return tuple(
            RejectReason(
                table=self.table, reason=f"{column} {reason}".strip(), rows=rows, example=example[column, reason]
            )
            for (column, reason), rows in sorted(count.items(), key=lambda entry: (-entry[1], entry[0]))
        )

    def check_share(self, worst: Sequence[RejectReason], max_share: float, key: str) -> None:
        """Refuse a table with too many bad rows.

        Args:
            worst: what `write` answered.
            max_share: of bad rows among all.
            key: where the bad rows are kept.

        Raises:
            DatasetError: names the worst reason and where it first stands.
        """
        if self.rejected <= max_share * self.rows:
            return
        raise DatasetError(
            f"{self.rejected:,} of {self.rows:,} rows of {self.table} were rejected, more than "
            f"{max_share:.2%} (`input.max_rejected_share`). Most often ({worst[0].rows:,}): {worst[0].reason}, "
            f"first in {worst[0].example}. Cure: correct the rows listed in {key}."
        )

    def _located(self, sources: Sequence[SourceFile]) -> Iterator[RejectedRow]:
        files = _joined(self._files, np.int32)
        ordinals = _joined(self._ordinals, np.int64)
        codes = _joined(self._codes, np.int32)
        faults = list(self._faults)
        for number, source in enumerate(sources):
            mine = files == number
            malformed = self.from_files and source.malformed > 0
            if not mine.any() and not malformed:
                continue
            order = np.argsort(ordinals[mine])
            code = map(int, codes[mine][order])
            for row in source.locate(ordinals[mine][order]):
                if row.ordinal != MALFORMED:
                    fault = faults[next(code)]
                elif malformed:
                    fault = _MALFORMED
                else:
                    continue
                yield RejectedRow(
                    file=source.name, line=row.line, column=fault.column, reason=fault.reason, row=row.text
                )


class RowCheck:
    """The rows of one batch, each refused at most once, for the first fault found.

    Attributes:
        ok: bool (n,), rows without a fault so far, and not left out.
        left_out: rows that are sound but not wanted.
    """

    def __init__(self, rejects: Rejects, files: Int32Array, ordinals: Int64Array) -> None:
        self.ok: BoolArray = np.ones(len(files), bool)
        self.left_out = 0
        self._rejects = rejects
        self._files = files
        self._ordinals = ordinals

    def refuse(self, bad: BoolArray, column: str, reason: str) -> None:
        """Set these rows aside; `column` is the shop's name for it."""
        bad = bad & self.ok
        if bad.any():
            self._rejects.add(self._files[bad], self._ordinals[bad], column, reason)
            self.ok &= ~bad

    def leave_out(self, rows: BoolArray) -> None:
        """Drop these rows without a complaint."""
        rows = rows & self.ok
        self.left_out += int(np.count_nonzero(rows))
        self.ok &= ~rows


def _joined(parts: list, kind: type) -> np.ndarray:  # type: ignore[type-arg]
    return np.concatenate([np.empty(0, kind), *parts])
