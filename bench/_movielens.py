"""Files in MovieLens' three formats in, ids as rows, ratings and feature matrices out.

    movielens-csv   userId,movieId,rating[,timestamp] under a header; items: id,…,genres; users: id, then any columns
    movielens-tab   user, item, rating[, timestamp] by tabs; items: u.item with | and flags; users: u.user with |
    movielens-dat   user::item::rating[::timestamp]; items: id::title::genres; users: id::gender::age::occupation::zip

A genre is a feature, and so is every value of another column ("M", "artist"); all columns of a file are one group each.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Int64Array
from shortlist.errors import DatasetError

Format = Literal["movielens-csv", "movielens-tab", "movielens-dat"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
FLAGS_FROM: Final = 5  # in u.item, the column of the first genre's flag
USER_COLUMNS: Final[dict[Format, tuple[tuple[str, int], ...]]] = {
    "movielens-tab": (("age", 1), ("gender", 2), ("occupation", 3)),
    "movielens-dat": (("gender", 1), ("age", 2), ("occupation", 3)),
}
AGE_STEP: Final = 10
"""Years of age that are one feature."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """Ids as the file has them, a line each."""

    user_ids: list[str]
    item_ids: list[str]
    values: Float32Array


@dataclass(frozen=True, slots=True)
class Features:
    """CSR (n_ids, f), and the group of each feature."""

    rows: csr_array
    groups: Int64Array


def read_ratings(path: Path, form: Format) -> Ratings:
    """Raises DatasetError with file, line and cure."""
    users, items, values = [], [], []
    for number, cells in _lines(path, form, {"movielens-tab": "\t"}.get(form, "::")):
        if len(cells) < 3:
            found = f"{len(cells)} columns, expected user, item and rating"
            raise DatasetError(f"{path}, line {number}: {found}. Cure: choose the file's own --format; this is {form}.")
        try:
            value = float(cells[2])
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise DatasetError(
                f"{path}, line {number}: the rating {cells[2]!r} is no number. Cure: leave the line out."
            )
        users.append(cells[0])
        items.append(cells[1])
        values.append(value)
    if not values:
        raise DatasetError(f"{path}, line 1: there is no rating. Cure: give the file with ratings, not an empty one.")
    return Ratings(users, items, np.array(values, np.float32))


def read_items(path: Path, form: Format, ids: Sequence[str]) -> Features:
    """Genres of the items named by `ids`; an item that is not in the file has none."""
    known: dict[str, list[str]] = {}
    for number, cells in _lines(path, form, {"movielens-tab": "|"}.get(form, "::")):
        if form == "movielens-tab":
            flags = cells[FLAGS_FROM:]
            if not flags or any(flag not in ("0", "1") for flag in flags):
                raise DatasetError(f"{path}, line {number}: no genre flags of 0 and 1. Cure: give u.item for --items.")
            known[cells[0]] = [f"genre={place}" for place, flag in enumerate(flags) if flag == "1"]
        elif len(cells) < 3:
            raise DatasetError(f"{path}, line {number}: {len(cells)} columns, expected id, title and genres.")
        else:
            known[cells[0]] = [f"genre={genre}" for genre in cells[-1].split("|") if genre]
    return _one_hot(known, ids)


def read_users(path: Path, form: Format, ids: Sequence[str]) -> Features:
    """A feature for every value of every column; years of age in steps of ten."""
    known: dict[str, list[str]] = {}
    for number, cells in _lines(path, form, {"movielens-tab": "|"}.get(form, "::")):
        columns = USER_COLUMNS.get(form) or tuple((f"column {place}", place) for place in range(1, len(cells)))
        if len(cells) <= max((place for _, place in columns), default=1):
            raise DatasetError(f"{path}, line {number}: {len(cells)} columns. Cure: give this format's file of users.")
        known[cells[0]] = [f"{name}={_value(name, cells[place])}" for name, place in columns if cells[place]]
    return _one_hot(known, ids)


def _value(name: str, cell: str) -> str:
    return str(int(cell) // AGE_STEP * AGE_STEP) if name == "age" and cell.isdigit() else cell


def _lines(path: Path, form: Format, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Number (from 1) and cells of every line that is not empty; a CSV's header is left out."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}, line 1: cannot be read ({error.strerror}). Cure: check the path.") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # as MovieLens before 2015
    if form == "movielens-csv":
        reader = csv.reader(text.splitlines(keepends=True))
        for cells in reader:
            if reader.line_num > 1 and cells:
                yield reader.line_num, cells
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.split(separator)


def _one_hot(known: dict[str, list[str]], ids: Iterable[str]) -> Features:
    rows = [known.get(name, []) for name in ids]
    names = sorted({feature for row in rows for feature in row})
    columns = {name: place for place, name in enumerate(names)}
    indptr = np.cumsum([0, *(len(row) for row in rows)])
    indices = np.array([columns[feature] for row in rows for feature in row], np.int32)
    data = np.ones(len(indices), np.float32)
    kinds = sorted({name.split("=")[0] for name in names})
    groups = np.array([kinds.index(name.split("=")[0]) for name in names], np.int64)
    return Features(csr_array((data, indices, indptr), shape=(len(rows), len(names))), groups)
