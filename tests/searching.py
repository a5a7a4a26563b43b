"""Small shops, and brute force to compare a search with."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shortlist.topx import Seen

QUARTERS = st.integers(-8, 8).map(lambda n: np.float32(n / 4))
"""Sums of their products are exact in float64, so that brute force knows the ties."""


def brute_force(queries, vectors, seen_of, k):
    """Sort every unseen item of every user by (−score, item)."""
    items = np.full((len(queries), k), -1)
    scores = np.full((len(queries), k), -np.inf)
    for user, query in enumerate(queries.astype(np.float64)):
        unseen = [i for i in range(len(vectors)) if i not in seen_of[user]]
        score = {i: float(np.dot(query, vectors[i].astype(np.float64))) for i in unseen}
        best = sorted(unseen, key=lambda i: (-score[i], i))[:k]
        items[user, : len(best)] = best
        scores[user, : len(best)] = [score[i] for i in best]
    return items, scores


def seen_csr(seen_of):
    counts = [len(items) for items in seen_of]
    flat = [item for items in seen_of for item in sorted(items)]
    return Seen(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), np.array(flat, np.int32))


@st.composite
def shops(draw):
    n_users, n_items, dims = draw(st.integers(1, 6)), draw(st.integers(0, 40)), draw(st.integers(1, 5))
    queries = draw(hnp.arrays(np.float32, (n_users, dims), elements=QUARTERS))
    vectors = draw(hnp.arrays(np.float32, (n_items, dims), elements=QUARTERS))
    one_user = st.sets(st.integers(0, n_items - 1)) if n_items else st.just(set())
    seen_of = draw(st.lists(one_user, min_size=n_users, max_size=n_users))
    return queries, vectors, seen_of, draw(st.integers(1, 12))
