"""The k-NN index over item vectors (the only faiss): a factory string in, a measured index and what it finds out.

Raw inner product on graph indexes can collapse without a sign, so no index is taken on trust: its lists are compared
with those of the exact scan (shortlist.topx), and one that misses the campaign's floor is replaced by exact search.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import faiss
import numpy as np

from shortlist.compute import exact_is_fast
from shortlist.config import Index
from shortlist.contracts.arrays import Float32Array, Int32Array
from shortlist.contracts.metrics import IndexMetrics
from shortlist.errors import ContractError
from shortlist.pieces import PiecewiseSearch, exact_search
from shortlist.scan import ExactSearch
from shortlist.topx import Ranking, Seen, rank_unseen, ranked, score_pairs

EXACT: Final = "Flat"
LARGEST_K: Final = 4_096
"""Users who have seen so much that more neighbours would have to be fetched are served by the exact scan."""
EFFORTS: Final = (8, 16, 32, 64, 128, 256, 512, 1_024)
"""Values of KNOBS that are tried in turn until the recall floor is met."""
KNOBS: Final = ("nprobe", "efSearch", "k_factor_rf")
"""How many cells of an IVF are looked at, how wide a graph is walked, how many times k are scored again by RFlat."""


@dataclass(frozen=True, slots=True)
class ItemIndex:
    """Items that may be listed, ready to be searched.

    Attributes:
        search: exact, over float32 (n_items, d), the rows in the order of the index.
        knn: the faiss index over them.
        exact: whether lists come from `search` rather than from `knn`.
    """

    search: ExactSearch | PiecewiseSearch
    knn: faiss.Index
    exact: bool

    @property
    def vectors(self) -> Float32Array:
        return self.search.vectors

    @classmethod
    def open(cls, path: Path, items: Float32Array, item_rows: Int32Array) -> "ItemIndex":
        """Map a stored index into memory.

        Args:
            items: float32 (n_all_items, d), the item latent matrix. An exact index brings the rows along.
            item_rows: int32 (n_items,), which of its rows are in the index.
        """
        knn = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        if knn.ntotal != len(item_rows):
            raise ContractError(f"{path} holds {knn.ntotal} items, expected {len(item_rows)}. Re-run from BuildIndex.")
        if isinstance(knn, faiss.IndexFlat) and knn.ntotal:
            vectors = faiss.rev_swig_ptr(knn.get_xb(), knn.ntotal * knn.d).reshape(knn.ntotal, knn.d)
            return cls(exact_search(vectors), knn, exact=True)
        return cls(exact_search(items[item_rows]), knn, exact=isinstance(knn, faiss.IndexFlat))

    def rank_unseen(self, queries: Float32Array, seen: Seen, k: int) -> Ranking:
        """Each user's k best unseen items; k of them wherever that many are unseen. Scores are exact in any case."""
        if self.exact:
            return self.search.rank_unseen(queries, seen, k)
        return self.rank_by_neighbours(queries, seen, k)

    def rank_by_neighbours(self, queries: Float32Array, seen: Seen, k: int) -> Ranking:
        """As rank_unseen, by faiss: enough neighbours for k to be left, scored exactly, completed where short."""
        n_seen = np.diff(seen.indptr)
        fetch = np.minimum(2 ** np.ceil(np.log2(k + n_seen)).astype(np.int64), len(self.vectors))
        ranking = Ranking.empty(len(queries), k)
        for n_neighbours in np.unique(fetch[(fetch > 0) & (fetch <= LARGEST_K)]).tolist():
            users = np.flatnonzero(fetch == n_neighbours)
            ranking.put(users, self._neighbours(queries[users], seen.take(users), n_neighbours, k))
        short = np.flatnonzero((ranking.items >= 0).sum(axis=1) < np.minimum(k, len(self.vectors) - n_seen))
        if len(short):
            ranking.put(short, rank_unseen(queries[short], self.vectors, seen.take(short), k))
        return ranking

    def _neighbours(self, queries: Float32Array, seen: Seen, n_neighbours: int, k: int) -> Ranking:
        _, items = self.knn.search(queries, n_neighbours)
        users, places = np.nonzero(items >= 0)
        items = items[users, places].astype(np.int32)
        unseen = ~seen.contains(users, items)
        users, items = users[unseen], items[unseen]
        return ranked(users, items, score_pairs(queries, self.vectors, users, items), len(queries), k)


def build_index(
    path: Path,
    vectors: Float32Array,
    queries: Float32Array,
    seen: Seen,
    settings: Index,
    *,
    x: int,
    users_per_search: int,
) -> IndexMetrics:
    """Leave at `path` the index that the campaign asks for, if it finds what exact search finds; else an exact one.

    Args:
        vectors: float32 (n_items, d).
        queries: float32 (n_users, d), a sample of users to tune and measure with.
        seen: what they have seen.
        x: list length that recall is measured at.
        users_per_search: users of a shard, for whom `auto` reckons the time of exact search.

    Raises:
        ContractError: faiss does not know the factory string.
    """
    n_items, n_dims = vectors.shape
    wanted = chosen_factory(settings.factory, n_items, n_dims, users_per_search)
    search = exact_search(vectors)
    best = search.rank_unseen(queries, seen, x)
    knn = _empty(wanted, n_dims)
    filled = _fill(knn, wanted, vectors)
    recall = _tuned(ItemIndex(search, knn, exact=False), queries, seen, best, settings.min_recall) if filled else 0.0
    fell_back = wanted != EXACT and not (filled and recall >= settings.min_recall)
    if fell_back:
        knn = _empty(EXACT, n_dims)
        knn.add(vectors)
        recall = recall_against(best, ItemIndex(search, knn, exact=False).rank_by_neighbours(queries, seen, x))
    faiss.write_index(knn, str(path))
    return IndexMetrics(
        factory=EXACT if fell_back else wanted,
        recall_at_x=round(recall, 6),
        queries=len(queries),
        n_items=n_items,
        dims=n_dims,
        size_bytes=path.stat().st_size,
        fell_back=fell_back,
    )


def chosen_factory(factory: str, n_items: int, n_dims: int, users_per_search: int) -> str:
    """The factory string that `auto` stands for; any other stands for itself."""
    if factory != "auto":
        return factory
    if exact_is_fast(n_items * n_dims, users_per_search):
        return EXACT
    return f"IVF{2 ** round(np.log2(4 * n_items**0.5))},Flat"


def recall_against(best: Ranking, found: Ranking) -> float:
    """Share of the places of the best lists whose score is reached; a tie counts as found, as it is as good."""
    filled = best.items >= 0
    if not filled.any():
        return 1.0
    worst = np.where(filled, best.scores, np.inf).min(axis=1, keepdims=True)
    return float((filled & (found.items >= 0) & (found.scores >= worst)).sum() / filled.sum())


def _empty(factory: str, n_dims: int) -> faiss.Index:
    try:
        return faiss.index_factory(n_dims, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ContractError(
            f"index.factory is {factory!r}, which faiss does not know: {str(error).split(': ')[-1]}. "
            "Use auto, Flat, or a string of faiss's index factory such as IVF1024,Flat."
        ) from error


def _fill(knn: faiss.Index, factory: str, vectors: Float32Array) -> bool:
    """Train the index and add all vectors; False where they are too few to train it."""
    threads = faiss.omp_get_max_threads()
    if "HNSW" in factory or "NSG" in factory:
        faiss.omp_set_num_threads(1)  # threads that insert at the same time may make another graph each time
    try:
        if not knn.is_trained:
            knn.train(vectors)
        knn.add(vectors)
    except RuntimeError:
        return False
    finally:
        faiss.omp_set_num_threads(threads)
    return True


def _tuned(index: ItemIndex, queries: Float32Array, seen: Seen, best: Ranking, floor: float) -> float:
    """Raise the search effort until the lists are good enough; returns the recall reached."""
    recall = 0.0
    for effort in EFFORTS:
        tunable = _set_effort(index.knn, effort)
        recall = recall_against(best, index.rank_by_neighbours(queries, seen, best.items.shape[1]))
        if recall >= floor or not tunable:
            break
    return recall


def _set_effort(knn: faiss.Index, effort: int) -> bool:
    """Set how much of the index a search looks at, by every knob that it has; False where it has none."""
    space, tunable = faiss.ParameterSpace(), False
    for name in KNOBS:
        try:
            space.set_index_parameter(knn, name, effort)
        except RuntimeError:
            continue
        tunable = True
    return tunable
