"""Cells of every type a file may have: times, numbers, truths and texts, and what is missing or unreadable."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.dataset import cells

MONDAY = int(datetime(2026, 1, 5, 6, tzinfo=UTC).timestamp())
ZONES = st.timezones() | st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))


@pytest.mark.parametrize("zones", [st.none(), ZONES, ZONES | st.none()], ids=["without zone", "with zone", "mixed"])
@given(data=st.data())
def test_any_moment_is_read_from_its_iso_form(zones, data):
    moments = data.draw(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(9990, 1, 1), timezones=zones)))  # noqa: DTZ001
    array = pa.array([moment.isoformat() for moment in moments], pa.string())

    seconds, bad = cells.moments(array)

    assert not bad.any()
    for second, moment in zip(seconds.to_pylist(), moments, strict=True):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        assert second == (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["2026-01-05T06:00:00Z", "2026-01-05 07:00:00.750+01:00", "2026-01-05T06:00", str(MONDAY)]),
        pa.array([f"{MONDAY}.25", f" {MONDAY} ", f"{MONDAY / 1e9}e9", "2026-01-05T06:00:00"]),
        pa.array([MONDAY]),
        pa.array([MONDAY + 0.75]),
        pa.array([Decimal(MONDAY)]),
        pa.array([datetime(2026, 1, 5, 6)], pa.timestamp("ns")),  # noqa: DTZ001
        pa.array([datetime(2026, 1, 5, 6, tzinfo=UTC)], pa.timestamp("ms", "Asia/Tokyo")),
        pa.array(["2026-01-05T06:00:00Z"]).dictionary_encode(),
        pa.array(["2026-01-05T06:00:00Z"], pa.large_string()),
    ],
    ids=str,
)
def test_one_moment_in_many_forms(array):
    seconds, bad = cells.moments(array)

    assert seconds.to_pylist() == [MONDAY] * len(array)
    assert not bad.any()


def test_a_date_is_its_first_second_in_utc():
    from_date, _ = cells.moments(pa.array([date(2026, 1, 5)]))
    from_text, _ = cells.moments(pa.array(["2026-01-05"]))

    assert from_date.to_pylist() == from_text.to_pylist() == [MONDAY - 6 * 3600]


@pytest.mark.parametrize(
    "cell",
    ["05.01.2026", "2026-13-01", "2026-02-30", "20260105", "yesterday", "1767592800000", "17", "nan", "inf", "2026"],
)
def test_what_is_no_moment_is_unreadable(cell):
    seconds, bad = cells.moments(pa.array([cell, str(MONDAY)]))

    assert bad.tolist() == [True, False]
    assert seconds.to_pylist() == [None, MONDAY]


@pytest.mark.parametrize("number", [MONDAY * 1000, 20260105, -5, 365.0])
def test_a_number_that_is_no_epoch_second_is_unreadable(number):
    seconds, bad = cells.moments(pa.array([number, None, math.nan], pa.float64()))

    assert bad.tolist() == [True, False, False]
    assert seconds.to_pylist() == [None, None, None]


def test_missing_cells_are_null_and_not_bad():
    for kind in ("text", "number", "moment", "truth"):
        array, bad = cells.read(kind, pa.array(["", None, "  "], pa.string()))

        assert array.to_pylist() == [None, None, None]
        assert not bad.any()


@given(st.lists(st.floats(allow_infinity=False)))
def test_any_number_is_read_from_its_text(values):
    numbers, bad = cells.numbers(pa.array([repr(value) for value in values], pa.string()))

    assert not bad.any()
    np.testing.assert_array_equal(numbers.to_numpy(zero_copy_only=False), np.array(values, float))


@pytest.mark.parametrize(
    ("array", "values", "bad"),
    [
        (pa.array(["3.50", "NaN", "n/a", "NULL"]), [3.5, "nan", None, None], [False] * 4),
        (pa.array(["3,50", "1_000", "inf", "12 EUR"]), [None] * 4, [True] * 4),
        (pa.array([1, None]), [1.0, None], [False] * 2),
        (pa.array([Decimal("3.50")]), [3.5], [False]),
        (pa.array([math.inf, 2.0]), ["inf", 2.0], [True, False]),
    ],
    ids=str,
)
def test_numbers(array, values, bad):
    read, unreadable = cells.numbers(array)

    assert [str(v) if v is not None and not math.isfinite(v) else v for v in read.to_pylist()] == values
    assert unreadable.tolist() == bad


def test_truths():
    yes, bad = cells.truths(pa.array(["true", "YES", "1", "t", "No", "0.0", "", "perhaps"]))
    from_integers, _ = cells.truths(pa.array([1, 0, None]))

    assert yes.to_pylist() == [True, True, True, True, False, False, None, None]
    assert bad.tolist() == [False] * 7 + [True]
    assert from_integers.to_pylist() == cells.truths(from_integers)[0].to_pylist() == [True, False, None]


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (pa.array([17850, -1, None], pa.int64()), ["17850", "-1", None]),
        (pa.array([17850.0, 3.5, float("nan"), None, 2.0**60]), ["17850", "3.5", None, None, "1.152921504606847e+18"]),
        (pa.array([17850.0], pa.float32()), ["17850"]),
        (pa.array(["17850.0", " x ", ""]), ["17850.0", " x ", None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([b"caf\xc3\xa9"]), ["café"]),
        (pa.array([True]), ["true"]),
        (pa.array([date(2026, 1, 5)]), ["2026-01-05"]),
    ],
    ids=str,
)
def test_texts(array, texts):
    assert cells.texts(array).to_pylist() == texts


def test_a_type_that_makes_no_sense_is_an_error_of_arrow():
    for kind, array in (("number", pa.array([[1]])), ("text", pa.array([{"a": 1}])), ("moment", pa.array([[1]]))):
        with pytest.raises(pa.ArrowException):
            cells.read(kind, array)


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))), st.integers(0, 3))
def test_a_string_table_holds_what_the_array_holds(texts, skipped):
    array = pa.array(texts, pa.string())[skipped:]

    assert cells.string_table(array).to_list() == [text or "" for text in texts[skipped:]]
