"""An index serves only what it has been shown to find; whatever it misses, lists are complete and scored exactly."""

import faiss
import numpy as np
import pytest

from shortlist import index as index_module
from shortlist.config import Index
from shortlist.errors import ContractError
from shortlist.index import ItemIndex, build_index, chosen_factory, recall_against
from shortlist.topx import Ranking, Seen, rank_unseen

N_USERS, N_ITEMS, DIMS, X = 120, 3_000, 16, 10
ALL = np.arange(N_ITEMS, dtype=np.int32)


@pytest.fixture(scope="module")
def shop():
    """Item vectors in clusters, users near one of them, each with some seen items and one who has seen nearly all."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(20, DIMS))
    vectors = (centres[rng.integers(0, 20, N_ITEMS)] + 0.3 * rng.normal(size=(N_ITEMS, DIMS))).astype(np.float32)
    queries = (centres[rng.integers(0, 20, N_USERS)] + 0.3 * rng.normal(size=(N_USERS, DIMS))).astype(np.float32)
    counts = rng.integers(0, 200, N_USERS)
    counts[0] = N_ITEMS - 4
    items = np.concatenate([np.sort(rng.choice(N_ITEMS, count, replace=False)) for count in counts])
    seen = Seen(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), items.astype(np.int32))
    return vectors, queries, seen


def build(shop, path, factory, min_recall=0.99):
    vectors, queries, seen = shop
    return build_index(
        path, vectors, queries, seen, Index(factory=factory, min_recall=min_recall), x=X, users_per_search=500
    )


@pytest.mark.parametrize("factory", ["Flat", "IVF64,Flat", "IVF32,SQ8"])
def test_an_index_finds_what_it_promises(shop, tmp_path, factory):
    vectors, queries, seen = shop
    path = tmp_path / "items.faiss"

    metrics = build(shop, path, factory)

    found = ItemIndex.open(path, vectors, ALL).rank_unseen(queries, seen, X)
    best = rank_unseen(queries, vectors, seen, X)
    reached = (found.items == best.items).mean()
    assert metrics.factory == factory
    assert not metrics.fell_back
    assert metrics.recall_at_x == pytest.approx(reached, abs=0.002)
    assert reached >= 0.99
    assert (metrics.n_items, metrics.dims, metrics.queries) == (N_ITEMS, DIMS, N_USERS)
    assert metrics.size_bytes == path.stat().st_size


@pytest.mark.parametrize("factory", ["PQ4x4", "HNSW16", "IVF4000,Flat"])
def test_an_index_that_misses_the_floor_or_cannot_be_trained_gives_way_to_exact_search(shop, tmp_path, factory):
    vectors, queries, seen = shop
    path = tmp_path / "items.faiss"

    metrics = build(shop, path, factory)

    opened = ItemIndex.open(path, vectors, ALL)
    assert (metrics.factory, metrics.fell_back, metrics.recall_at_x) == ("Flat", True, 1.0)
    assert opened.exact
    assert opened.rank_unseen(queries, seen, X).items.tolist() == rank_unseen(queries, vectors, seen, X).items.tolist()


@pytest.mark.parametrize("factory", ["PQ4x4,RFlat", "IVF32,PQ4x4,RFlat"])
def test_codes_of_two_bytes_reach_the_floor_where_enough_of_what_they_find_is_scored_again(shop, tmp_path, factory):
    metrics = build(shop, tmp_path / "items.faiss", factory)

    assert (metrics.factory, metrics.fell_back) == (factory, False)
    assert metrics.recall_at_x >= 0.99


def test_a_poor_index_is_kept_where_the_campaign_accepts_it(shop, tmp_path):
    metrics = build(shop, tmp_path / "items.faiss", "PQ4x4", min_recall=0.1)

    assert (metrics.factory, metrics.fell_back) == ("PQ4x4", False)
    assert 0.1 <= metrics.recall_at_x < 0.99


def test_lists_from_a_poor_index_are_complete_distinct_unseen_and_scored_exactly(shop, tmp_path):
    vectors, queries, seen = shop
    path = tmp_path / "items.faiss"
    build(shop, path, "PQ4x4", min_recall=0.0)

    found = ItemIndex.open(path, vectors, ALL).rank_unseen(queries, seen, X)

    for user in range(N_USERS):
        own = seen.items[seen.indptr[user] : seen.indptr[user + 1]]
        listed = found.items[user][found.items[user] >= 0]
        assert len(set(listed.tolist())) == len(listed) == min(X, N_ITEMS - len(own))
        assert not set(listed.tolist()) & set(own.tolist())
        exact = vectors[listed].astype(np.float64) @ queries[user].astype(np.float64)
        assert found.scores[user, : len(listed)] == pytest.approx(exact, rel=1e-12)
        assert (np.diff(found.scores[user, : len(listed)]) <= 0).all()


def test_users_who_have_seen_too_much_are_served_by_the_exact_scan(shop, tmp_path, monkeypatch):
    vectors, queries, seen = shop
    path = tmp_path / "items.faiss"
    build(shop, path, "PQ4x4", min_recall=0.0)
    monkeypatch.setattr(index_module, "LARGEST_K", 64)

    found = ItemIndex.open(path, vectors, ALL).rank_unseen(queries, seen, X)

    heavy = np.diff(seen.indptr) > 64
    best = rank_unseen(queries, vectors, seen, X)
    assert found.items[heavy].tolist() == best.items[heavy].tolist()
    assert found.items[~heavy].tolist() != best.items[~heavy].tolist()


@pytest.mark.parametrize("factory", ["Flat", "IVF64,Flat", "HNSW16"])
def test_the_same_items_make_the_same_bytes(shop, tmp_path, factory):
    build(shop, tmp_path / "first", factory)
    build(shop, tmp_path / "second", factory)

    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_building_leaves_the_number_of_threads_as_it_was(shop, tmp_path):
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        build(shop, tmp_path / "items.faiss", "HNSW16")
        after = faiss.omp_get_max_threads()
    finally:
        faiss.omp_set_num_threads(before)

    assert after == 3


def test_an_exact_index_is_searched_in_the_stored_vectors_themselves(shop, tmp_path):
    vectors, _, _ = shop
    path = tmp_path / "items.faiss"
    build(shop, path, "auto")

    opened = ItemIndex.open(path, np.zeros_like(vectors), ALL)

    assert opened.vectors.tolist() == vectors.tolist()


def test_an_index_of_other_items_is_refused(shop, tmp_path):
    vectors, _, _ = shop
    path = tmp_path / "items.faiss"
    build(shop, path, "Flat")

    with pytest.raises(ContractError, match="holds 3000 items, expected 2999"):
        ItemIndex.open(path, vectors, ALL[1:])


def test_a_factory_string_that_faiss_does_not_know_is_named(shop, tmp_path):
    with pytest.raises(ContractError, match=r"index\.factory is 'Flatt', .* could not parse"):
        build(shop, tmp_path / "items.faiss", "Flatt")


def test_nothing_may_be_listed(shop, tmp_path):
    vectors, queries, _ = shop
    nothing_seen = Seen(np.zeros(N_USERS + 1, np.int64), np.zeros(0, np.int32))
    path = tmp_path / "items.faiss"

    metrics = build_index(path, vectors[:0], queries, nothing_seen, Index(), x=X, users_per_search=500)

    assert (metrics.recall_at_x, metrics.n_items) == (1.0, 0)
    found = ItemIndex.open(path, vectors, ALL[:0]).rank_unseen(queries, nothing_seen, X)
    assert (found.items == -1).all()


@pytest.mark.parametrize(("n_items", "factory"), [(68_509, "Flat"), (1_000_000, "Flat"), (12_000_000, "IVF16384,Flat")])
def test_auto_searches_exactly_while_that_fits_the_time_of_a_shard(n_items, factory):
    assert chosen_factory("auto", n_items, 65, 5_000) == factory
    assert chosen_factory("HNSW32", n_items, 65, 5_000) == "HNSW32"


def test_recall_counts_places_and_takes_a_tie_for_a_hit():
    best = Ranking(np.array([[1, 2, 3], [4, -1, -1]], np.int32), np.array([[3.0, 2.0, 1.0], [1.0, -np.inf, -np.inf]]))
    found = Ranking(np.array([[1, 9, 8], [5, -1, -1]], np.int32), np.array([[3.0, 1.0, 0.5], [0.9, -np.inf, -np.inf]]))

    assert recall_against(best, found) == 2 / 4
    assert recall_against(best, best) == 1.0
