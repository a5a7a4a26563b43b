"""The dataset of a run: the objects under `dataset/` in and out, as laid out in contracts/arrays.py."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from shortlist.contracts.arrays import (
    BoolArray,
    Catalogue,
    Float32Array,
    Int8Array,
    Int32Array,
    Int64Array,
    StringTable,
    npy_array,
    npy_bytes,
)


@dataclass(frozen=True, slots=True)
class Interactions:
    """One row per interaction, sorted by user_row, then timestamp, then item_row.

    Attributes:
        user_row, item_row: int32 (n,).
        timestamp: int64 (n,), epoch seconds.
        weight: float32 (n,), > 0.
        held_out: bool (n,), True in the part kept for evaluation.
    """

    user_row: Int32Array
    item_row: Int32Array
    timestamp: Int64Array
    weight: Float32Array
    held_out: BoolArray

    def __len__(self) -> int:
        return len(self.user_row)


@dataclass(frozen=True, slots=True)
class ResponseRows:
    """What recipients of earlier mailings said of items, sorted by user_row, then item_row, then kind; each once.

    Attributes:
        user_row, item_row: int32 (m,).
        kind: int8 (m,), see contracts.arrays.RESPONSE_CODES.
        timestamp: int64 (m,), epoch seconds of the newest.
    """

    user_row: Int32Array
    item_row: Int32Array
    kind: Int8Array
    timestamp: Int64Array

    def __len__(self) -> int:
        return len(self.user_row)

    @classmethod
    def none(cls) -> "ResponseRows":
        return cls(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int8), np.empty(0, np.int64))

    def of(self, code: int) -> "ResponseRows":
        """Those of one kind."""
        kept = self.kind == code
        return ResponseRows(self.user_row[kept], self.item_row[kept], self.kind[kept], self.timestamp[kept])


@dataclass(frozen=True, slots=True)
class FeatureMatrix:
    """Features of users or items as CSR, columns ascending within a row.

    Attributes:
        indptr: int64 (n_rows + 1,).
        indices: int32 (nnz,), columns.
        data: float32 (nnz,); 1 for a category, standard deviations from the mean for a number.
        names: StringTable (n_features,): `department=DRUG GM`, or the column's name for a number.
    """

    indptr: Int64Array
    indices: Int32Array
    data: Float32Array
    names: StringTable

    def files(self) -> Iterator[tuple[str, bytes]]:
        yield "indptr.npy", npy_bytes(self.indptr)
        yield "indices.npy", npy_bytes(self.indices)
        yield "data.npy", npy_bytes(self.data)
        yield "names.npz", self.names.to_bytes()

    @classmethod
    def from_files(cls, read: Callable[[str], bytes]) -> "FeatureMatrix":
        return cls(
            indptr=npy_array(read("indptr.npy")),
            indices=npy_array(read("indices.npy")),
            data=npy_array(read("data.npy")),
            names=StringTable.from_bytes(read("names.npz")),
        )


@dataclass(frozen=True, slots=True)
class Dataset:
    """Everything later stages know of the shop. Ids are in the order of their UTF-8 bytes."""

    user_ids: StringTable
    item_ids: StringTable
    interactions: Interactions
    catalogue: Catalogue
    user_features: FeatureMatrix
    item_features: FeatureMatrix
    responses: ResponseRows = field(default_factory=ResponseRows.none)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Name below `dataset/` and bytes of every object; the same dataset gives the same bytes."""
        yield "user_ids.npz", self.user_ids.to_bytes()
        yield "item_ids.npz", self.item_ids.to_bytes()
        for name in Interactions.__slots__:
            yield f"interactions/{name}.npy", npy_bytes(getattr(self.interactions, name))
        for name in ResponseRows.__slots__:
            yield f"responses/{name}.npy", npy_bytes(getattr(self.responses, name))
        yield "items.npz", self.catalogue.to_bytes()
        for folder, features in (("user_features", self.user_features), ("item_features", self.item_features)):
            for name, body in features.files():
                yield f"{folder}/{name}", body

    @classmethod
    def from_files(cls, read: Callable[[str], bytes]) -> "Dataset":
        """Read it back; `read` gives the bytes of a name below `dataset/`."""
        interactions = {name: npy_array(read(f"interactions/{name}.npy")) for name in Interactions.__slots__}
        responses = {name: npy_array(read(f"responses/{name}.npy")) for name in ResponseRows.__slots__}
        return cls(
            user_ids=StringTable.from_bytes(read("user_ids.npz")),
            item_ids=StringTable.from_bytes(read("item_ids.npz")),
            interactions=Interactions(**interactions),
            catalogue=Catalogue.from_bytes(read("items.npz")),
            user_features=FeatureMatrix.from_files(lambda name: read(f"user_features/{name}")),
            item_features=FeatureMatrix.from_files(lambda name: read(f"item_features/{name}")),
            responses=ResponseRows(**responses),
        )
