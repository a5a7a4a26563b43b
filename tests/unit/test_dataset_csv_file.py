"""CSV files of every usual kind: what is read, on which line it stands, what is said of one that cannot be read."""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shortlist.dataset.csv_file import MAX_ROW_BYTES, CsvFile
from shortlist.errors import ContractError, DatasetError

# What the csv module writes it can also read; lone surrogates have no UTF-8, and NUL is no text.
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
ROWS = st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=12)


def open_csv(folder: Path, raw: bytes, encoding: str = "utf-8") -> CsvFile:
    path = folder / "0"
    path.write_bytes(raw)
    return CsvFile(
        path, "shop/a.csv", encoding=encoding, setting="input.items.encoding", wanted={"item_id", "title", "price"}
    )


def rows_of(file: CsvFile, columns: tuple[str, ...] = ("item_id", "title")) -> list[tuple[str, ...]]:
    return [tuple(row.values()) for batch in file.batches(columns) for row in batch.to_pylist()]


def written(header: tuple[str, ...], rows: list[tuple[str, ...]], delimiter: str, end: str) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=ROWS, end=st.sampled_from(["\n", "\r\n"]), zipped=st.booleans(), marked=st.booleans())
def test_any_text_survives_with_its_line(tmp_path, delimiter, rows, end, zipped, marked):
    # GIVEN a file as the csv module writes it, plain or gzip, with a byte order mark or without
    text = written(("item_id", "title", "price"), rows, delimiter, end)
    raw = text.encode("utf-8-sig" if marked else "utf-8")

    # WHEN it is read, and every row is looked up afterwards
    file = open_csv(tmp_path, gzip.compress(raw, 1) if zipped else raw)
    read = rows_of(file, ("item_id", "title", "price"))
    located = list(file.locate(np.arange(len(rows))))

    # THEN rows are the same, and each stands where the text has it
    assert file.columns == ("item_id", "title", "price")
    assert read == rows
    assert file.malformed == 0
    assert [row.ordinal for row in located] == list(range(len(rows)))
    lines = io.StringIO(text, newline="").readlines()
    for row, cells in zip(located, rows, strict=True):
        assert "".join(lines[row.line - 1 :]).startswith(row.text)
        assert next(csv.reader(io.StringIO(row.text, newline=""), delimiter=delimiter)) == list(cells)


def test_a_row_with_another_number_of_fields_is_left_out_and_found_again(tmp_path):
    raw = b'item_id,title\n1,"two\nlines"\n2\n\n3,three\n4,four,more\n"5,x\n6,y"\n7,seven\n'

    file = open_csv(tmp_path, raw)
    read = rows_of(file)
    located = list(file.locate(np.array([1, 2])))

    assert read == [("1", "two\nlines"), ("3", "three"), ("7", "seven")]
    assert file.malformed == 3
    assert [(row.ordinal, row.line, row.text) for row in located] == [
        (-1, 4, "2"),
        (1, 6, "3,three"),
        (-1, 7, "4,four,more"),
        (-1, 8, '"5,x\n6,y"'),
        (2, 10, "7,seven"),
    ]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b'item_id,title\n1,5" screen\n2,"y"z\n', [("1", '5" screen'), ("2", "yz")], id="stray quotes"),
        pytest.param(b"item_id,title\r1,a\r2,b\r", [("1", "a"), ("2", "b")], id="carriage returns"),
        pytest.param(b"\n\nitem_id,title\n1,a", [("1", "a")], id="blank lines first, no end of line last"),
        pytest.param(b" item_id , title \n1,a\n", [("1", "a")], id="blanks around column names"),
        pytest.param(b"item_id,title\n", [], id="header alone"),
        pytest.param(b"item_id,title", [], id="header without end of line"),
        pytest.param(b"a,b,c,d;item_id;title\nx;1,5;a\n", [("1,5", "a")], id="commas in a header cut by semicolons"),
    ],
)
def test_unusual_files_are_read(tmp_path, raw, expected):
    file = open_csv(tmp_path, raw)

    assert rows_of(file) == expected


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-16", "shift_jis"])
def test_other_encodings_are_read_where_they_are_set(tmp_path, encoding):
    title = "テスト" if encoding == "shift_jis" else "Crème brûlée"

    file = open_csv(tmp_path, f"item_id,title\n1,{title}\n".encode(encoding), encoding)

    assert rows_of(file) == [("1", title)]
    assert next(iter(file.locate(np.array([0])))).text == f"1,{title}"


@pytest.mark.parametrize(
    ("raw", "encoding", "message"),
    [
        pytest.param(
            b'item_id,title\n1,"a\nb"\n2,caf\xe9\n',
            "utf-8",
            "shop/a.csv, line 4: byte 0xE9 (offset 27) is not utf-8. Cure: set `input.items.encoding` to the file's "
            "encoding, windows-1252 perhaps.",
            id="Latin text taken for UTF-8",
        ),
        pytest.param(
            "item_id,title\n1,é\n".encode("utf-16"), "utf-8", "line 1: byte 0xFF (offset 0)…utf-16 perhaps", id="UTF-16"
        ),
        pytest.param(b"item_id,title\n1,a\n2\xff\n", "utf-8", "line 3: byte 0xFF", id="in a malformed row"),
        pytest.param(b"item_id,title\n1,\xc3\xa9\n", "ascii", "line 2: byte 0xC3…utf-8 perhaps", id="not ASCII"),
        pytest.param(b"item_id,title\n1,a\n", "utf-16", "the file is not utf-16…utf-8 perhaps", id="no UTF-16 at all"),
        pytest.param(b"item_id,title\n1,\xc3", "utf-8", "line 2: byte 0xC3", id="cut in a character"),
    ],
)
def test_a_wrong_encoding_is_named_with_line_byte_and_cure(tmp_path, raw, encoding, message):
    with pytest.raises(DatasetError) as caught:
        rows_of(open_csv(tmp_path, raw, encoding))

    for part in message.split("…"):
        assert part in str(caught.value)


def test_an_encoding_that_does_not_exist_is_the_campaigns_fault(tmp_path):
    with pytest.raises(ContractError, match=r"input\.items\.encoding: there is no encoding 'utf-9'"):
        open_csv(tmp_path, b"item_id,title\n", "utf-9")


def test_a_wrong_byte_is_found_behind_the_first_block(tmp_path):
    filler = b"1,abcdefghijklmnopqrstuvwxyz\n" * (MAX_ROW_BYTES // 29 + 10)

    with pytest.raises(DatasetError) as caught:
        rows_of(open_csv(tmp_path, b"item_id,title\n" + filler + b"2,caf\xe9\n"))

    assert f"line {filler.count(b'1,') + 2}: byte 0xE9 (offset {14 + len(filler) + 5:,})" in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b'item_id,title\n1,a\n2,"never closed\n3,c\n4,d\n', id="to the end of the file"),
        pytest.param(b'item_id,title\n1,a\n2,"' + b"3,c\n" * (MAX_ROW_BYTES // 4 + 1), id="longer than a block"),
        pytest.param(b'item_id,title,x\n1,a,y\n2,b,"never\n3,c,y\n', id="in a column that is not read"),
    ],
)
def test_a_quote_that_never_ends_is_refused_with_its_line(tmp_path, raw):
    with pytest.raises(DatasetError, match="line 3: a quote is opened and never closed"):
        rows_of(open_csv(tmp_path, raw))


def test_an_odd_number_of_quotes_alone_is_no_fault(tmp_path):
    file = open_csv(tmp_path, b'item_id,title\n1,7" single\n2,"two\nlines"\n')

    assert rows_of(file) == [("1", '7" single'), ("2", "two\nlines")]


@pytest.mark.parametrize("raw", [b"", b"\n \n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_refused_by_name(tmp_path, raw):
    with pytest.raises(DatasetError, match=r"shop/a\.csv is empty\. Cure"):
        open_csv(tmp_path, raw)


def test_a_gzip_file_that_was_cut_off_is_refused_by_name(tmp_path):
    body = "item_id,title\n" + "".join(f"{n},{hash(n) % 9973}\n" for n in range(300_000))
    raw = gzip.compress(body.encode())

    with pytest.raises(DatasetError, match=r"shop/a\.csv cannot be read as CSV"):
        rows_of(open_csv(tmp_path, raw[: len(raw) // 2]))


def test_a_column_that_comes_twice_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="two columns 'title'"):
        rows_of(open_csv(tmp_path, b"item_id,title,title\n1,a,b\n"))
