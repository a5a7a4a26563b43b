"""Items searched piece by piece give the lists of all items at once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shortlist import pieces
from shortlist.pieces import PiecewiseSearch, exact_search
from shortlist.scan import ExactSearch
from shortlist.stages.rank import rank
from shortlist.topx import rank_unseen
from tests.fakes import FixedClock
from tests.searching import seen_csr, shops
from tests.trained_run import RUN, ShardRequest, indexed_run, ranked_run, requests


@given(shops(), st.integers(1, 45))
def test_pieces_joined_are_the_whole_ties_by_item_included(shop, items_per_piece):
    queries, vectors, seen_of, k = shop
    seen = seen_csr(seen_of)

    found = PiecewiseSearch(vectors, items_per_piece).rank_unseen(queries, seen, k)

    whole = rank_unseen(queries, vectors, seen, k)
    assert found.items.tobytes() == whole.items.tobytes()
    assert found.scores.tobytes() == whole.scores.tobytes()


def test_pieces_of_real_numbers_are_those_of_one_packed_matrix():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(3_000, 17)).astype(np.float32)
    vectors[2_000:2_500] = vectors[:500]
    queries = rng.normal(size=(80, 17)).astype(np.float32)
    seen = seen_csr([set(rng.choice(3_000, 40, replace=False).tolist()) for _ in queries])

    found = PiecewiseSearch(vectors, 700).rank_unseen(queries, seen, 25)

    whole = ExactSearch(vectors).rank_unseen(queries, seen, 25)
    assert (found.items.tobytes(), found.scores.tobytes()) == (whole.items.tobytes(), whole.scores.tobytes())


def test_only_more_items_than_a_piece_are_cut(monkeypatch):
    monkeypatch.setattr(pieces, "ITEMS_PER_PIECE", 30)

    assert isinstance(exact_search(np.ones((30, 2), np.float32)), ExactSearch)
    assert isinstance(exact_search(np.ones((31, 2), np.float32)), PiecewiseSearch)


def test_lists_of_a_catalogue_in_pieces_are_those_of_the_whole_catalogue(monkeypatch):
    # GIVEN a catalogue of four pieces
    monkeypatch.setattr(pieces, "ITEMS_PER_PIECE", 30)
    searched = []
    monkeypatch.setattr(pieces, "ExactSearch", lambda vectors: searched.append(len(vectors)) or ExactSearch(vectors))
    store, whole = indexed_run(), ranked_run()

    # WHEN its shards are ranked
    for request in requests(store):
        rank(ShardRequest(run=RUN, key=request.key), store=store, clock=FixedClock())

    # THEN every list is the same
    assert max(searched) == 30
    lists = [key for key in whole.objects if "/topx/" in key]
    assert len(lists) == 3
    assert all(store.objects[key] == whole.objects[key] for key in lists)
