"""A caller's matrices in, checked float32 CSR out; anything training cannot use is refused here.

What needs no change is shared with the caller, not copied: 100 million pairs are 0.8 GB. Training never writes to it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Int32Array, Int64Array
from shortlist.errors import DatasetError
from shortlist.fm.sparse import CsrLike


@dataclass(frozen=True, slots=True)
class Examples:
    """What `regression` and `classification` learn from: one row an observation. A pair may come more than once.

    Attributes:
        user_rows: integer (n,).
        item_rows: integer (n,).
        targets: (n,), a number; for classes 0 or 1.
        n_users: number of users, those without an example included.
        n_items: number of items, likewise.
        context: CSR (n, f), what is known of each observation beside who and what: season, device, shop. None: nothing.
    """

    user_rows: NDArray[np.integer]
    item_rows: NDArray[np.integer]
    targets: NDArray[np.floating | np.integer | np.bool_]
    n_users: int
    n_items: int
    context: CsrLike | None = None


@dataclass(frozen=True, slots=True)
class FeatureGroups:
    """Which features share a prior: for each kind integers (f,), 0 is the first group. None: all of the kind are one.

    Each column of a shop's table is a good group: all genres one, all countries another.
    """

    users: NDArray[np.integer] | None = None
    items: NDArray[np.integer] | None = None
    context: NDArray[np.integer] | None = None


@dataclass(frozen=True, slots=True)
class CheckedExamples:
    """Examples in the types the kernels take; `context` None where it has no columns."""

    user_rows: Int32Array
    item_rows: Int32Array
    targets: Float32Array
    n_users: int
    n_items: int
    context: csr_array | None

    def in_order(self, order: Int64Array) -> "CheckedExamples":
        """The same examples, `order[0]` first."""
        return replace(
            self,
            user_rows=self.user_rows[order],
            item_rows=self.item_rows[order],
            targets=self.targets[order],
            context=None if self.context is None else self.context[order],
        )


def checked_examples(examples: Examples, *, classes: bool) -> CheckedExamples:
    """Raises DatasetError: lengths differ, a row is out of range, a target is not a number (or not 0 or 1)."""
    n = len(examples.targets)
    for name, rows, end in (
        ("user_rows", examples.user_rows, examples.n_users),
        ("item_rows", examples.item_rows, examples.n_items),
    ):
        if len(rows) != n:
            raise DatasetError(f"{n} targets, but {len(rows)} {name}. Give one of each an example.")
        if n and (int(rows.min()) < 0 or int(rows.max()) >= end):
            raise DatasetError(f"{name} go from {rows.min()} to {rows.max()}, expected 0 to {end - 1}.")
    targets = np.asarray(examples.targets, np.float32)
    if not np.isfinite(targets).all():
        raise DatasetError("A target is NaN or infinite. Leave out what was not observed.")
    if classes and not np.isin(targets, (0, 1)).all():
        raise DatasetError(f"Classes are 0 or 1, but targets reach from {targets.min()} to {targets.max()}.")
    context = checked_features(examples.context, n, "context", "examples are")
    return CheckedExamples(
        examples.user_rows.astype(np.int32),
        examples.item_rows.astype(np.int32),
        targets,
        examples.n_users,
        examples.n_items,
        context if context is not None and context.shape[1] else None,
    )


def checked_groups(
    groups: FeatureGroups | None, users: csr_array | None, items: csr_array | None, context: csr_array | None
) -> tuple[Int64Array, Int64Array, Int64Array]:
    """int64 (f,) for each kind. Raises DatasetError: not one group a feature, or a negative one."""
    given = groups or FeatureGroups()
    return (
        _groups(given.users, users, "user"),
        _groups(given.items, items, "item"),
        _groups(given.context, context, "context"),
    )


def _groups(groups: NDArray[np.integer] | None, features: csr_array | None, kind: str) -> Int64Array:
    n = 0 if features is None else features.shape[1]
    if groups is None:
        return np.zeros(n, np.int64)
    if len(groups) != n or (n and int(groups.min()) < 0):
        raise DatasetError(f"{len(groups)} groups for {n} {kind} features. Give one of 0 or more for each.")
    return groups.astype(np.int64)


def checked_pairs(interactions: CsrLike) -> csr_array:
    """Confidences for `ranking`: duplicates added up, zeros left out. Raises DatasetError."""
    pairs = _csr(interactions)
    if pairs.nnz and not (pairs.data.min() >= 0 and pairs.data.max() < np.inf):  # NaN fails both
        raise DatasetError("A confidence is negative, NaN or infinite. Expected numbers above zero; check the weights.")
    if not pairs.has_canonical_format or np.count_nonzero(pairs.data) < pairs.nnz:
        pairs = pairs.copy()
        pairs.sum_duplicates()
        pairs.eliminate_zeros()
    return pairs


def checked_features(features: CsrLike | None, n_rows: int, side: str, rows_of: str) -> csr_array | None:
    """Duplicates added up. Raises DatasetError."""
    if features is None:
        return None
    rows = _csr(features)
    if rows.shape[0] != n_rows:
        raise DatasetError(f"{side} features have {rows.shape[0]} rows, the {rows_of} {n_rows}.")
    if not np.isfinite(rows.data).all():
        raise DatasetError(f"A {side} feature is NaN or infinite. Leave unknown values out, or fill them.")
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    return rows


def _csr(matrix: CsrLike) -> csr_array:
    """In the types the kernels take; arrays that have them already are shared."""
    size = np.int64 if len(matrix.data) > np.iinfo(np.int32).max else np.int32
    parts = (np.asarray(matrix.data, np.float32), np.asarray(matrix.indices, size), np.asarray(matrix.indptr, size))
    return csr_array(parts, shape=matrix.shape)
