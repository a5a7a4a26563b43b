"""Cells as the shop wrote them in; Arrow arrays of one type, and which cells were unreadable, out. Null is missing.

Every reader takes an array of whatever type the file had and works on the distinct values, so that a column costs what
its vocabulary costs. Empty text is missing.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shortlist.contracts.arrays import BoolArray, StringTable

CellKind = Literal["text", "number", "moment", "truth"]

EARLIEST_EPOCH: Final = 100_000_000
"""1973. Smaller numbers are no epoch seconds but days, weeks or YYYYMMDD."""
LATEST_EPOCH: Final = 253_402_300_799
"""The end of the year 9999. Larger numbers are milliseconds."""

_MISSING_NUMBERS: Final = {"", "na", "n/a", "null", "none"}
_TRUTHS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT_INTEGERS: Final = 2.0**53
_MICROS: Final = 1_000_000

T = TypeVar("T", float, int, bool)


class Unreadable(Exception):  # noqa: N818 -- a value of the parsers below, never leaves this module
    """The text is not of the wanted kind."""


def read(kind: CellKind, array: pa.Array) -> tuple[pa.Array, BoolArray]:
    """The cells as `kind`, and which of them cannot be read so.

    Returns:
        text: string, without blanks around it; number: float64, NaN where the cell says so; moment: int64, epoch
        seconds; truth: bool.

    Raises:
        pa.ArrowException: the array's type has nothing to do with `kind`, such as a list for a number.
    """
    if kind == "text":
        return texts(pc.utf8_trim_whitespace(texts(array))), np.zeros(len(array), bool)
    return {"number": numbers, "moment": moments, "truth": truths}[kind](array)


def texts(array: pa.Array) -> pa.Array:
    """Text of every cell; whole numbers without a decimal point, whatever their type."""
    array = _plain(array)
    if pa.types.is_floating(array.type):
        array = _float_texts(array)
    elif not pa.types.is_string(array.type):
        array = array.cast(pa.string())
    return pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)


def numbers(array: pa.Array) -> tuple[pa.Array, BoolArray]:
    """float64; a decimal point, no thousands separators."""
    array = _plain(array)
    if pa.types.is_string(array.type):
        return _by_distinct(array, _number, pa.float64())
    array = array.cast(pa.float64())
    return array, _filled(pc.is_inf(array))


def moments(array: pa.Array) -> tuple[pa.Array, BoolArray]:
    """Epoch seconds (int64) from ISO 8601, epoch seconds or timestamps; UTC where they have no zone."""
    array = _plain(array)
    if pa.types.is_string(array.type):
        parsed = _uniform_moments(array)
        return _by_distinct(array, _moment, pa.int64()) if parsed is None else (parsed, np.zeros(len(array), bool))
    if pa.types.is_timestamp(array.type) or pa.types.is_date(array.type):
        return _epoch_seconds(array), np.zeros(len(array), bool)
    seconds = array.cast(pa.float64())
    seconds = pc.if_else(pc.is_nan(seconds), pa.scalar(None, pa.float64()), seconds)
    sound = pc.and_(pc.greater_equal(seconds, EARLIEST_EPOCH), pc.less_equal(seconds, LATEST_EPOCH))
    bad = _filled(pc.invert(sound))
    return pc.if_else(sound, pc.floor(seconds), pa.scalar(None, pa.float64())).cast(pa.int64()), bad


def truths(array: pa.Array) -> tuple[pa.Array, BoolArray]:
    """bool from true/false, yes/no, t/f, y/n, 1/0 in any case."""
    array = _plain(array)
    if pa.types.is_boolean(array.type):
        return array, np.zeros(len(array), bool)
    return _by_distinct(texts(array), _truth, pa.bool_())


def label_lists(array: pa.Array, separator: str) -> pa.Array:
    """list<string> of a multi-valued cell: a list as it is, text split at `separator`."""
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        return array.cast(pa.list_(pa.string()))
    return pc.split_pattern(texts(array), separator)


def string_table(array: pa.Array) -> StringTable:
    """A string array as a StringTable; null is empty."""
    filled = pc.fill_null(array.cast(pa.large_string()), "")
    if not len(filled):
        return StringTable.of(())
    _, offsets, utf8 = filled.buffers()
    ends = np.frombuffer(offsets, np.int64)[filled.offset : filled.offset + len(filled) + 1]
    raw = np.frombuffer(utf8, np.uint8)[ends[0] : ends[-1]] if utf8 is not None else np.empty(0, np.uint8)
    return StringTable(ends - ends[0], raw)


def _plain(array: pa.Array) -> pa.Array:
    """Without dictionary encoding and 64-bit offsets."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    return array


def _float_texts(array: pa.Array) -> pa.Array:
    values = array.cast(pa.float64())
    array = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    whole = pc.and_(pc.equal(array, pc.floor(array)), pc.less_equal(pc.abs(array), _EXACT_INTEGERS))
    integers = pc.if_else(whole, array, 0.0).cast(pa.int64()).cast(pa.string())
    return pc.if_else(whole, integers, array.cast(pa.string()))


def _by_distinct(array: pa.Array, parse: Callable[[str], T | None], kind: pa.DataType) -> tuple[pa.Array, BoolArray]:
    """Parse each distinct text once; `parse` gives None for a missing cell and raises Unreadable."""
    encoded = array.dictionary_encode()
    values: list[T | None] = []
    bad: list[bool] = []
    for text in encoded.dictionary.to_pylist():
        try:
            values.append(parse(text.strip()))
            bad.append(False)
        except Unreadable:
            values.append(None)
            bad.append(True)
    indices = encoded.indices
    unreadable = pa.array(bad, pa.bool_()).take(indices)
    return pa.array(values, kind).take(indices), _filled(unreadable)


def _uniform_moments(array: pa.Array) -> pa.Array | None:
    """Epoch seconds where all cells are ISO 8601 and all or none have a zone; None where they differ.

    Arrow does ten times as many a second as `_moment`, but of a column that has one odd cell it says that only.
    """
    present = texts(array)
    for zone in (None, "UTC"):
        try:
            return _epoch_seconds(present.cast(pa.timestamp("us", zone)))
        except pa.ArrowInvalid:
            continue
    return None


def _epoch_seconds(array: pa.Array) -> pa.Array:
    """Of timestamps or dates; fractions are cut off downwards."""
    zone = array.type.tz if pa.types.is_timestamp(array.type) else None
    micros = array.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())
    floored = np.floor_divide(pc.fill_null(micros, 0).to_numpy(), _MICROS)
    return pa.array(floored, mask=micros.is_null().to_numpy(zero_copy_only=False))


def _number(text: str) -> float | None:
    if text.lower() in _MISSING_NUMBERS:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise Unreadable from error
    if math.isinf(value) or "_" in text:
        raise Unreadable
    return value


def _moment(text: str) -> int | None:
    """Extended ISO 8601 (`2026-01-05`, `2026-01-05T06:00:00+01:00`) or a number of seconds."""
    if not text:
        return None
    if text[4:5] != "-":
        seconds = _number(text)
        if seconds is None or not EARLIEST_EPOCH <= seconds <= LATEST_EPOCH:
            raise Unreadable
        return math.floor(seconds)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unreadable from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    passed = moment - _EPOCH
    return passed.days * 86_400 + passed.seconds


def _truth(text: str) -> bool | None:
    if not text:
        return None
    if text.lower() not in _TRUTHS:
        raise Unreadable
    return _TRUTHS[text.lower()]


def _filled(mask: pa.Array) -> BoolArray:
    """A mask as numpy; what is null is not marked."""
    filled: BoolArray = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return filled
