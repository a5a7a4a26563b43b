"""Item rows in, a search that ranks any users' unseen items exactly out: 8-bit codes first, float64 for what is left.

The compiled part is scan.c: a product of codes with a proven bound of its error says which few items may be among a
user's best, and only they are scored from the float32 rows. Where it was not compiled (shortlist.compiled_scan), or
scores tie by the hundred, topx.rank_unseen does the same with numpy: the lists are the same to the last bit.
"""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from shortlist import topx
from shortlist.compiled_scan import library
from shortlist.contracts.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from shortlist.errors import ShortlistError
from shortlist.topx import Ranking, Seen, available_cores

BLOCK_ITEMS: Final = 512
"""Items that share one unit of codes and one bound of what coding lost."""
USERS_AT_ONCE: Final = 128
"""Users who meet a block of items while it is in the processor's nearest cache."""
USERS_PER_CALL: Final = 4 * USERS_AT_ONCE
CANDIDATES_PER_PLACE: Final = 8
CANDIDATES: Final = 1_024
"""Room for what may be among a user's k best. Of 29,858 users of a trained model with 128 factors 1 needed more, 427
with half of it, and the numpy scan takes ten times as long (`python -m bench retrieval --factors`)."""
PACKED_AT_ONCE: Final = 64 * BLOCK_ITEMS
TILE_USERS: Final = 8
PANEL: Final = 16
OVERFLOWN: Final = -2


@dataclass(frozen=True, slots=True)
class Tile:
    """What scan.c multiplies with: its number there, a user's largest code, and what is added to an item's code."""

    kind: int
    user_levels: int
    shift: int


TILES: Final = {
    "avx512vnni": Tile(2, 127, 128),
    "avx2": Tile(1, 63, 128),
    "dotprod": Tile(3, 127, 0),
}
"""The best on a machine that has several comes first."""


def tiles_here() -> list[str]:
    """Names of the tiles that this machine can make, best first; none where scan.c was not compiled."""
    compiled = library()
    return [name for name, tile in TILES.items() if compiled and compiled.has_tile(ctypes.c_int64(tile.kind))]


class _Items(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("n_items", "n_dims", "n_quads", "n_blocks", "block_items")),
        *((name, ctypes.c_void_p) for name in ("rows", "item_rows", "codes", "step", "lost", "kept", "largest")),
    )


class _Users(ctypes.Structure):
    _fields_ = (
        ("n_users", ctypes.c_int64),
        *((n, ctypes.c_void_p) for n in ("rows", "codes", "step", "lost", "norm", "shift", "seen_from", "seen")),
    )


@dataclass(frozen=True, slots=True)
class _Coded:
    """Rotated rows as integers times a step, with bounds in Euclidean norm.

    Attributes:
        codes: int8 (n, d).
        step: float64 (n_steps,), one for `rows_per_step` rows.
        lost, kept: float64 (n_steps,), largest norm of what coding lost and kept.
    """

    codes: NDArray[np.int8]
    step: Float64Array
    lost: Float64Array
    kept: Float64Array


@dataclass(frozen=True, slots=True)
class _Packed:
    """What scan.c reads of the items, largest norm first.

    Attributes:
        scale: float32 (d,), powers of 2: items are multiplied by it, users divided.
        rotation: float32 (d, d), applied to scaled rows before coding.
        slack: bound of what rotating loses, as a share of a scaled row's norm.
        order, place_of: item row of each place, int32, and back, int64.
        codes: uint8 (n_panels, n_quads, PANEL, 4).
        step, lost, kept, largest: float64 (n_blocks,); `largest` is of the scaled rows.
    """

    tile: Tile
    scale: Float32Array
    rotation: Float32Array
    slack: float
    order: Int32Array
    place_of: Int64Array
    codes: NDArray[np.uint8]
    step: Float64Array
    lost: Float64Array
    kept: Float64Array
    largest: Float64Array


class ExactSearch:
    """Items to be searched for as many users as wanted; packed when the first of them come, in a scale that suits them.

    Attributes:
        vectors: float32 (n_items, d), finite.
    """

    def __init__(self, vectors: Float32Array, tile: str | None = None) -> None:
        """`tile` is one of `tiles_here()`, the best of them where None."""
        self.vectors = np.ascontiguousarray(vectors)
        self._tiles = [tile] if tile else tiles_here()
        self._packed: _Packed | None = None

    def rank_unseen(self, queries: Float32Array, seen: Seen, k: int, *, threads: int | None = None) -> Ranking:
        """As topx.rank_unseen: each user's k best items among those not seen, identical to sorting all of them."""
        if not self._tiles or not queries.size or not self.vectors.size:
            return topx.rank_unseen(queries, self.vectors, seen, k, threads=threads)
        if self._packed is None:
            self._packed = _pack(self.vectors, _scale(queries, self.vectors), TILES[self._tiles[0]])
        ranking = self._scan(np.ascontiguousarray(queries), seen, k, self._packed, threads or available_cores())
        overflown = np.flatnonzero(ranking.items[:, 0] == OVERFLOWN)
        if len(overflown):
            rest = topx.rank_unseen(queries[overflown], self.vectors, seen.take(overflown), k, threads=threads)
            ranking.put(overflown, rest)
        return ranking

    def _scan(self, queries: Float32Array, seen: Seen, k: int, packed: _Packed, workers: int) -> Ranking:
        ranking = Ranking.empty(len(queries), k)
        with threadpool_limits(1, user_api="blas"):
            scaled: Float32Array = queries / packed.scale
            coded = _coded(scaled @ packed.rotation, packed.tile.user_levels, 1)
        n_quads = packed.codes.shape[1]
        codes = np.zeros((len(queries) + TILE_USERS, n_quads * 4), np.int8)
        codes[: len(queries), : queries.shape[1]] = coded.codes
        norm = 1.001 * _norms(scaled)
        lost = coded.lost + packed.slack * norm
        shift = codes[: len(queries)].sum(axis=1, dtype=np.int32) * np.int32(packed.tile.shift)
        places, indptr = _places(seen, packed.place_of), np.ascontiguousarray(seen.indptr, np.int64)
        bounds = (packed.step, packed.lost, packed.kept, packed.largest)
        items = _Items(
            *(*self.vectors.shape, n_quads, len(packed.step), BLOCK_ITEMS),
            *(address(array) for array in (self.vectors, packed.order, packed.codes, *bounds)),
        )
        rows = (queries, codes, coded.step, lost, norm, shift, indptr, places)
        users = _Users(len(queries), *(address(array) for array in rows))
        scan = _ranker(items, users, packed.tile, ranking)
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(scan, range(0, len(queries), USERS_PER_CALL)))
        return ranking


def _ranker(items: _Items, users: _Users, tile: Tile, ranking: Ranking) -> Callable[[int], None]:
    """A function that fills the rows of `ranking` for the users from a first one on, as many as one call takes."""
    compiled = library()
    if compiled is None:
        raise ShortlistError("scan.c is not compiled, and items were packed for it")
    n_users, k = ranking.items.shape
    sizes = (USERS_AT_ONCE, k, CANDIDATES_PER_PLACE * k + CANDIDATES)
    n_bytes = compiled.workspace_bytes(*map(ctypes.c_int64, sizes))

    def scan(start: int) -> None:
        workspace = np.empty(n_bytes // 8 + 1, np.float64)
        part = (start, min(start + USERS_PER_CALL, n_users))
        compiled.rank_unseen(
            ctypes.byref(items),
            ctypes.byref(users),
            *map(ctypes.c_int64, (tile.kind, *part, *sizes)),
            *(address(array) for array in (workspace, ranking.items, ranking.scores)),
        )

    return scan


def _pack(vectors: Float32Array, scale: Float32Array, tile: Tile) -> _Packed:
    n_items, n_dims = vectors.shape
    rotation = _rotation(n_dims)
    slack, norms = _slack(rotation), _norms(vectors, scale)
    order = np.argsort(-norms, kind="stable").astype(np.int32)
    place_of = np.empty(n_items, np.int64)
    place_of[order] = np.arange(n_items)
    n_blocks = -(-n_items // BLOCK_ITEMS)
    codes = np.empty((n_blocks * BLOCK_ITEMS // PANEL, -(-n_dims // 4), PANEL, 4), np.uint8)
    parts = []
    with threadpool_limits(1, user_api="blas"):
        for start in range(0, n_items, PACKED_AT_ONCE):
            rows: Float32Array = vectors[order[start : start + PACKED_AT_ONCE]] * scale
            part = _coded(rows @ rotation, 127, BLOCK_ITEMS)
            panels = slice(start // PANEL, min((start + PACKED_AT_ONCE) // PANEL, len(codes)))
            _lay(codes[panels], part.codes, tile.shift)
            parts.append(part)
    largest = 1.001 * norms[order[::BLOCK_ITEMS]]
    step, lost, kept = (np.concatenate([getattr(p, name) for p in parts]) for name in ("step", "lost", "kept"))
    lost += slack * largest + n_dims * float(np.finfo(np.float32).tiny)
    return _Packed(tile, scale, rotation, slack, order, place_of, codes, step, lost, kept, largest)


def _lay(panels: NDArray[np.uint8], codes: NDArray[np.int8], shift: int) -> None:
    """Write items' codes into their panels; places without an item or a dimension are worth nothing."""
    padded = np.full((len(panels) * PANEL, panels.shape[1] * 4), shift, np.uint8)
    padded[: len(codes), : codes.shape[1]] = codes.view(np.uint8) + np.uint8(shift)  # wraps around, as it should
    panels[:] = padded.reshape(len(panels), PANEL, -1, 4).transpose(0, 2, 1, 3)


def _places(seen: Seen, place_of: Int64Array) -> Int32Array:
    """Seen items by place instead of item row, ascending for every user."""
    stride = np.int64(len(place_of))
    keys = np.sort(seen.users() * stride + place_of[seen.items])
    return (keys % stride).astype(np.int32)


def address(array: NDArray[np.generic]) -> ctypes.c_void_p:
    """Where an array begins, for C; the array has to outlive the call."""
    return ctypes.c_void_p(array.ctypes.data)


def _scale(queries: Float32Array, vectors: Float32Array) -> Float32Array:
    """float32 (d,): what evens out the spreads of users and items in every dimension, so that the bounds are tightest.

    An item bias is small and its partner, the 1 in every user's row, is not: together they would drown the rest.
    """
    users, items = (np.mean(np.abs(rows), axis=0, dtype=np.float64) for rows in (queries, vectors))
    ratio = np.divide(users, items, out=np.ones(queries.shape[1]), where=(users > 0) & (items > 0))
    scale: Float32Array = np.exp2(np.clip(np.round(np.log2(ratio) / 2), -40, 40)).astype(np.float32)
    return scale


def _rotation(n_dims: int) -> Float32Array:
    """float32 (d, d), as good as orthogonal: spreads a row evenly over its dimensions, so that codes lose little."""
    random = np.random.default_rng(0).standard_normal((n_dims, n_dims))
    return np.linalg.qr(random)[0].astype(np.float32)


def _slack(rotation: Float32Array) -> float:
    """Bound of what rotating in float32 does to a row, as a share of the row's norm.

    The rotation is not quite orthogonal, and each of d sums of d products rounds (Higham, Accuracy and Stability of
    Numerical Algorithms, §3.1); 8 roundings more are those of coding.
    """
    n_dims = len(rotation)
    exact = rotation.astype(np.float64)
    askew = np.linalg.norm(exact.T @ exact - np.eye(n_dims))
    return float(askew + 1.01 * (n_dims + 8) * 2.0**-24 * n_dims**0.5)


def _norms(rows: Float32Array, scale: Float32Array | None = None) -> Float64Array:
    """float64 (n,), Euclidean, of the rows times a scale."""
    weights = np.ones(rows.shape[1]) if scale is None else np.square(scale, dtype=np.float64)
    norms = np.empty(len(rows))
    for start in range(0, len(rows), PACKED_AT_ONCE):
        part = slice(start, start + PACKED_AT_ONCE)
        norms[part] = np.square(rows[part], dtype=np.float64) @ weights
    return norms**0.5


def _coded(rows: Float32Array, levels: int, rows_per_step: int) -> _Coded:
    """Round rows to multiples of a step, the largest entry of `rows_per_step` of them being `levels` steps."""
    starts = np.arange(0, len(rows), rows_per_step)
    largest = np.maximum.reduceat(np.abs(rows).max(axis=1), starts)
    step = np.where(largest > 0, largest / np.float32(levels), np.float32(1))
    each = np.repeat(step, rows_per_step)[: len(rows), None]
    codes = np.rint(rows / each)
    decoded = codes * each
    lost, kept = (np.maximum.reduceat(_norms(part), starts) for part in (rows - decoded, decoded))
    return _Coded(codes.astype(np.int8), step.astype(np.float64), 1.001 * lost, 1.001 * kept)
