"""Arrays on their way through S3: .npy and .npz bytes, never pickled, and columns of strings as two arrays.

Layout of `dataset/` (written by Prepare):

    user_ids.npz, item_ids.npz         StringTable; position = user_row, item_row
    interactions/user_row.npy          int32 (n,), sorted by user_row, then timestamp, then item_row
    interactions/item_row.npy          int32 (n,)
    interactions/timestamp.npy         int64 (n,), epoch seconds
    interactions/weight.npy            float32 (n,), event weight times value weight, > 0
    interactions/held_out.npy          bool (n,), True in the part kept for evaluation
    items.npz                          the catalogue, see CATALOGUE_*
    responses/user_row.npy             int32 (m,), sorted by user_row, then item_row, then kind; each triple once
    responses/item_row.npy             int32 (m,)
    responses/kind.npy                 int8 (m,), see RESPONSE_CODES
    responses/timestamp.npy            int64 (m,), epoch seconds of the newest, none after the run's as_of
    withheld.npz                       see Withheld
    user_features/, item_features/     CSR (n_rows × n_features): indptr.npy int64, indices.npy int32, data.npy float32,
                                       names.npz StringTable ("department=DRUG GM")

Layout of `latent/` (written by Repackage):

    items.npy                          float32 (n_items, d): rows a_i (d = n_factors + 1)
    users/<shard>.npz                  see UserShard
    popular.npz                        see Popular
    new_items.npz                      see NewItems

Layout of `index/` (written by BuildIndex):

    items.faiss                        the k-NN index over the rows of latent/items.npy that may be listed
    item_rows.npy                      int32 (n,): their item_row, ascending; position = row of the index
"""

import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ContractError

Int8Array = NDArray[np.int8]
Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
UInt8Array = NDArray[np.uint8]

RESPONSE_CODES: Final = {"not_interested": 0, "clicked": 1}
"""What recipients said of items: that they want to see no more of it, that they looked at it."""

CATALOGUE_STRINGS: Final = ("title", "url", "image_url", "currency", "category", "brand")
"""StringTables of items.npz, stored as `<name>.offsets` and `<name>.utf8`; missing values are empty strings."""
CATALOGUE_NUMBERS: Final = {
    "price": "float64",  # NaN: unknown
    "margin": "float64",  # NaN: unknown
    "available_from": "int64",  # epoch seconds, −1: always
    "available_until": "int64",  # epoch seconds, −1: for ever
    "in_stock": "bool",  # True where the shop does not say
    "offer_from": "int64",  # epoch seconds, −1: no offer; of the offer that is open at the run's as_of, or the next
    "offer_until": "int64",  # epoch seconds, −1: no end
}


@dataclass(frozen=True, slots=True)
class StringTable:
    """A column of strings: row i is `utf8[offsets[i]:offsets[i+1]]` decoded. Survives commas, newlines and any script.

    Attributes:
        offsets: int64 (n + 1,), in bytes.
        utf8: uint8 (offsets[-1],).
    """

    offsets: Int64Array
    utf8: UInt8Array

    @classmethod
    def of(cls, strings: Iterable[str]) -> "StringTable":
        encoded = [s.encode() for s in strings]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(e) for e in encoded], out=offsets[1:])
        return cls(offsets, np.frombuffer(b"".join(encoded), np.uint8))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> str:
        return self.utf8[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()

    def to_list(self) -> list[str]:
        raw, ends = self.utf8.tobytes(), self.offsets.tolist()
        return [raw[a:b].decode() for a, b in itertools.pairwise(ends)]

    def slice(self, start: int, stop: int) -> "StringTable":
        part = self.offsets[start : stop + 1]
        return StringTable(part - part[0], self.utf8[part[0] : part[-1]])

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The two arrays under the names they have inside an .npz."""
        return {f"{name}.offsets": self.offsets, f"{name}.utf8": self.utf8}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], name: str) -> "StringTable":
        return cls(arrays[f"{name}.offsets"], arrays[f"{name}.utf8"])

    def to_bytes(self) -> bytes:
        """An .npz of its own, with the arrays `offsets` and `utf8`."""
        return npz_bytes({"offsets": self.offsets, "utf8": self.utf8})

    @classmethod
    def from_bytes(cls, raw: bytes) -> "StringTable":
        arrays = npz_arrays(raw)
        return cls(arrays["offsets"], arrays["utf8"])


@dataclass(frozen=True, slots=True)
class Npz:
    """A dataclass kept as one .npz: an array a field, or the two of a StringTable; a number is an array of one."""

    def to_bytes(self) -> bytes:
        arrays: dict[str, NDArray[Any]] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            arrays |= value.arrays(field.name) if isinstance(value, StringTable) else {field.name: np.atleast_1d(value)}
        return npz_bytes(arrays)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        arrays = npz_arrays(raw)
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.type is StringTable:
                values[field.name] = StringTable.from_arrays(arrays, field.name)
            else:
                values[field.name] = int(arrays[field.name][0]) if field.type is int else arrays[field.name]
        return cls(**values)


@dataclass(frozen=True, slots=True)
class UserShard(Npz):
    """The user latent matrix for a range of user rows, with what ranking needs to know of each of them.

    Seen items are a CSR over the shard's users (`indptr` from 0), item rows ascending within a user.

    Attributes:
        first_row: user_row of the shard's first user.
        user_ids: StringTable (n,).
        latent: float32 (n, d), rows a_u.
        indptr: int64 (n + 1,).
        item_rows: int32 (nnz,), seen items.
        repeat: float32 (nnz,), ρ(u,i), the repeat-purchase term (docs/fm.md).
        weight: float32 (nnz,), confidence of the pair as trained.
        last_seen: int64 (nnz,), epoch seconds of the newest interaction of the pair.
        days: int32 (nnz,), on how many days the user took the item.
        segment: int32 (n,), segment of the user for fills, −1 for none.
        prior: float32 (n, d), the prior mean of `latent`: what the user's features alone say; zeros without any.
        withheld_indptr: int64 (n + 1,).
        withheld_rows: int32 (nnz,), CSR of items that are on no list of the user, ascending within a user.
    """

    first_row: int
    user_ids: StringTable
    latent: Float32Array
    indptr: Int64Array
    item_rows: Int32Array
    repeat: Float32Array
    weight: Float32Array
    last_seen: Int64Array
    days: Int32Array
    segment: Int32Array
    prior: Float32Array
    withheld_indptr: Int64Array
    withheld_rows: Int32Array


@dataclass(frozen=True, slots=True)
class Withheld(Npz):
    """Pairs of a user and an item that is on none of the user's lists, as CSR over all users.

    Attributes:
        indptr: int64 (n_users + 1,).
        item_rows: int32 (nnz,), ascending within a user, each once.
    """

    indptr: Int64Array
    item_rows: Int32Array


@dataclass(frozen=True, slots=True)
class Popular(Npz):
    """What most customers buy, for users of whom nothing else is known.

    Attributes:
        everybody: int32 (n_items,), all item rows, those with the most buyers first.
        names: StringTable (n_segments,), values of the feature that tells the segments apart.
        indptr: int64 (n_segments + 1,).
        items: int32 (nnz,), each segment's own most bought item rows, the most buyers first.
    """

    everybody: Int32Array
    names: StringTable
    indptr: Int64Array
    items: Int32Array

    def of_segment(self, segment: int) -> Int32Array:
        """The segment's own items; none for −1."""
        return self.items[self.indptr[segment] : self.indptr[segment + 1]] if segment >= 0 else self.items[:0]


@dataclass(frozen=True, slots=True)
class NewItems(Npz):
    """Items that nobody has bought, of which only features speak, and what the model makes of these.

    Attributes:
        item_rows: int32 (n,), ascending.
        indptr, columns, values: CSR (n, n_features) of their features: int64, int32, float32.
        factors: float32 (n_features, d − 1), v of each feature.
        weights: float32 (n_features,), w of each.
        names: StringTable (n_features,): `department=DRUG GM`, or the column's name for a number.
    """

    item_rows: Int32Array
    indptr: Int64Array
    columns: Int32Array
    values: Float32Array
    factors: Float32Array
    weights: Float32Array
    names: StringTable


@dataclass(frozen=True, slots=True)
class Catalogue(Npz):
    """Item columns, row = item_row."""

    title: StringTable
    url: StringTable
    image_url: StringTable
    currency: StringTable
    category: StringTable
    brand: StringTable
    price: Float64Array
    margin: Float64Array
    available_from: Int64Array
    available_until: Int64Array
    in_stock: BoolArray
    offer_from: Int64Array
    offer_until: Int64Array


def npy_bytes(array: NDArray[Any]) -> bytes:
    """One array as the bytes of an .npy file (C order)."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def npy_array(raw: bytes) -> NDArray[Any]:
    """The array of an .npy file's bytes.

    Raises:
        ContractError: the bytes are not a plain .npy file.
    """
    try:
        array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(raw), allow_pickle=False)
    except ValueError as error:
        raise ContractError(f"not an .npy file: {error}. Re-run the stage that wrote it.") from error
    return array


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Several arrays as the bytes of an uncompressed .npz; the same arrays give the same bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def npz_arrays(raw: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz by name."""
    with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def shard_bounds(n_rows: int, rows_per_shard: int) -> Sequence[tuple[int, int]]:
    """`(start, stop)` of every shard; the last may be shorter."""
    return [(start, min(start + rows_per_shard, n_rows)) for start in range(0, n_rows, rows_per_shard)]
