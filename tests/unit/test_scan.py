"""The compiled scan gives what brute force gives, and the numpy scan to the last bit, whatever the numbers are like."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist import scan, topx
from shortlist.scan import TILES, ExactSearch, tiles_here
from shortlist.topx import Seen
from tests.searching import brute_force, seen_csr, shops

EVERY_TILE = pytest.mark.parametrize("tile", tiles_here())


def some_shop(seed, n_users, n_items, dims, n_seen=20):
    """Rows as trained ones are: unequal sizes of items, a small bias beside a large 1, users that know little."""
    rng = np.random.default_rng(seed)
    queries = (rng.normal(size=(n_users, dims)) * rng.lognormal(0, 1, (n_users, 1))).astype(np.float32)
    vectors = (rng.normal(size=(n_items, dims)) * rng.lognormal(0, 1, (n_items, 1)) * 0.1).astype(np.float32)
    queries[:, -1], vectors[:, -1] = 1, rng.lognormal(-6, 1, n_items)
    return queries, vectors, seen_csr([set(rng.choice(n_items, n_seen, False).tolist()) for _ in range(n_users)])


def assert_as_numpy(queries, vectors, seen, k, tile, threads=2):
    found = ExactSearch(vectors, tile).rank_unseen(queries, seen, k, threads=threads)
    plain = topx.rank_unseen(queries, vectors, seen, k)
    assert found.items.tobytes() == plain.items.tobytes()
    assert found.scores.tobytes() == plain.scores.tobytes()


def test_this_machine_has_the_compiled_scan():
    assert tiles_here()
    assert set(tiles_here()) <= set(TILES)


@EVERY_TILE
@settings(deadline=None)
@given(shop=shops(), users_at_once=st.integers(1, 20), spare=st.integers(0, 30))
def test_unseen_items_are_ranked_as_by_brute_force(tile, shop, users_at_once, spare):
    queries, vectors, seen_of, k = shop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "USERS_AT_ONCE", users_at_once)
        patch.setattr(scan, "USERS_PER_CALL", 2 * users_at_once)
        patch.setattr(scan, "CANDIDATES", spare)
        found = ExactSearch(vectors, tile).rank_unseen(queries, seen_csr(seen_of), k, threads=2)

    items, scores = brute_force(queries, vectors, seen_of, k)
    assert found.items.tolist() == items.tolist()
    assert found.scores.tolist() == scores.tolist()


@EVERY_TILE
@pytest.mark.parametrize("dims", [1, 3, 4, 17, 65])
@pytest.mark.parametrize("n_items", [1, 31, 512, 513, 3_000])
def test_lists_are_those_of_the_numpy_scan(tile, dims, n_items):
    queries, vectors, seen = some_shop(dims, 37, n_items, dims, n_seen=min(20, n_items))

    assert_as_numpy(queries, vectors, seen, 20, tile)


@EVERY_TILE
@pytest.mark.parametrize("size", [1e-38, 1e-20, 1e10, 1e18])
def test_very_small_and_very_large_numbers_are_no_exception(tile, size):
    queries, vectors, seen = some_shop(8, 20, 900, 12)
    vectors[::7] *= np.float32(1e-6)

    assert_as_numpy(queries, vectors * np.float32(size), seen, 10, tile)
    assert_as_numpy(queries * np.float32(size), vectors, seen, 10, tile)


@EVERY_TILE
def test_rows_of_zeros_tie_with_each_other(tile):
    queries, vectors, seen = some_shop(6, 30, 4_000, 9)
    queries[3] = 0
    vectors[1_000:] = 0

    assert_as_numpy(queries, vectors, seen, 15, tile)


@EVERY_TILE
def test_scores_that_codes_and_float32_cannot_tell_apart_are_ranked_exactly(tile):
    rng = np.random.default_rng(5)
    vectors = np.zeros((5_000, 65), np.float32)
    vectors[:, 0] = 1_000
    vectors[:, 1:] = rng.normal(0, 1e-3, (5_000, 64))
    queries = rng.normal(1, 0.1, (40, 65)).astype(np.float32)

    assert_as_numpy(queries, vectors, seen_csr([set()] * 40), 10, tile)


@EVERY_TILE
def test_a_catalogue_of_identical_items_is_ranked_by_row(tile):
    search = ExactSearch(np.ones((9_000, 4), np.float32), tile)

    found = search.rank_unseen(np.ones((3, 4), np.float32), seen_csr([{0}, {1, 2}, set()]), 3)

    assert found.items.tolist() == [[1, 2, 3], [0, 3, 4], [0, 1, 2]]


@EVERY_TILE
def test_users_who_have_seen_nearly_everything_get_the_rest(tile):
    queries, vectors, _ = some_shop(7, 10, 2_000, 16)
    seen = seen_csr([set(range(2_000)) - {user, 1_999} for user in range(10)])

    assert_as_numpy(queries, vectors, seen, 5, tile)


@EVERY_TILE
@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_nothing(tile, threads):
    assert_as_numpy(*some_shop(1, 1_100, 700, 9), 7, tile, threads)


@EVERY_TILE
def test_whom_the_items_were_packed_for_changes_nothing(tile):
    queries, vectors, seen = some_shop(2, 60, 2_500, 33)
    search = ExactSearch(vectors, tile)
    search.rank_unseen(queries[:1] * np.float32([1e-5] * 16 + [1e5] * 17), seen.take(np.array([0])), 3)

    found = search.rank_unseen(queries, seen, 12)

    assert found.items.tolist() == topx.rank_unseen(queries, vectors, seen, 12).items.tolist()


def test_without_the_compiled_scan_numpy_answers(monkeypatch):
    queries, vectors, seen = some_shop(3, 40, 600, 8)
    compiled = ExactSearch(vectors).rank_unseen(queries, seen, 9)
    monkeypatch.setattr(scan, "library", lambda: None)

    found = ExactSearch(vectors).rank_unseen(queries, seen, 9)

    assert found.items.tobytes() == compiled.items.tobytes()
    assert found.scores.tobytes() == compiled.scores.tobytes()


@EVERY_TILE
@pytest.mark.parametrize("seed", range(3))
def test_what_coding_loses_stays_within_its_bound(tile, seed):
    queries, vectors, _ = some_shop(seed, 50, 600, 20)
    packed = scan._pack(vectors, scan._scale(queries, vectors), TILES[tile])
    coded = scan._coded(queries / packed.scale @ packed.rotation, TILES[tile].user_levels, 1)

    codes = (packed.codes - np.uint8(TILES[tile].shift)).view(np.int8)
    blocks = np.arange(600) // scan.BLOCK_ITEMS
    decoded = codes.transpose(0, 2, 1, 3).reshape(-1, 20)[:600] * packed.step[blocks, None]
    estimate = (coded.codes * coded.step[:, None]) @ decoded.T
    norm = np.linalg.norm(queries.astype(float) / packed.scale, axis=1)
    lost = coded.lost + packed.slack * norm
    bound = norm[:, None] * packed.lost[blocks] + lost[:, None] * packed.kept[blocks]
    exact = queries.astype(float) @ vectors[packed.order].astype(float).T
    assert (np.abs(exact - estimate) <= bound).all()
    assert (bound < 0.03 * norm[:, None] * packed.largest[blocks]).all()


@EVERY_TILE
def test_what_users_codes_lose_is_reckoned_with_where_items_codes_lose_nothing(tile, monkeypatch):
    # GIVEN items on the rim of a square of codes, users whose codes nearly say which of two sides falls off faster
    side = np.arange(-127, 127)
    rim = np.concatenate([np.stack([side, np.full(254, 127)], 1), np.stack([np.full(254, 127), side], 1)])
    monkeypatch.setattr(scan, "_rotation", lambda n_dims: np.eye(n_dims, dtype=np.float32))
    queries = np.stack([np.ones(60), np.linspace(0.98, 1.02, 60)], 1).astype(np.float32)

    assert_as_numpy(queries, rim.astype(np.float32), seen_csr([set()] * 60), 300, tile)


@EVERY_TILE
@pytest.mark.parametrize("n_parts", [2, 5])
def test_parts_of_the_items_ranked_apart_and_joined_are_the_whole(tile, n_parts):
    queries, vectors, seen = some_shop(9, 40, 2_000, 12, n_seen=60)
    vectors[1_500:] = vectors[:500]  # ties across the parts
    joined = None

    for part in np.array_split(np.arange(2_000, dtype=np.int32), n_parts):
        own, _ = Seen.among(seen.indptr, seen.items, topx.positions(part, 2_000))
        found = ExactSearch(vectors[part], tile).rank_unseen(queries, own, 15)
        ranking = topx.Ranking(found.items + part[0], found.scores)
        joined = ranking if joined is None else topx.merged(joined, ranking, 15)

    assert joined.items.tolist() == topx.rank_unseen(queries, vectors, seen, 15).items.tolist()


def test_nobody_and_nothing_are_searched():
    nothing = Seen(np.zeros(1, np.int64), np.zeros(0, np.int32))
    items = np.ones((5, 3), np.float32)

    assert ExactSearch(items).rank_unseen(np.zeros((0, 3), np.float32), nothing, 4).items.shape == (0, 4)
    assert (ExactSearch(items[:0]).rank_unseen(items, seen_csr([set()] * 5), 4).items == -1).all()
