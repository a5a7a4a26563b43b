"""Latent rows in; for each kind of k-NN index its recall, users a second, build seconds and bytes an item out.

What a campaign's `index.factory` may name, built and tuned as BuildIndex does (shortlist/index.py), measured against
exact search on users that the tuning did not see. Seconds are of processor time, all threads together.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from bench.retrieval import Problem, X, load, make_up
from shortlist.config import Index
from shortlist.index import ItemIndex, build_index, recall_against
from shortlist.scan import ExactSearch

FACTORIES: Final = ("Flat", "IVF1024,Flat", "HNSW32", "SQ8", "IVF1024,SQ8", "PQ13x8,RFlat", "IVF1024,PQ13x8,RFlat")
TUNED_ON: Final = 1_000


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench index", description=__doc__)
    parser.add_argument("--factors", type=Path, help=".npz with users, items, indptr and seen instead of made-up ones")
    parser.add_argument("--items", type=int, default=41_000)
    parser.add_argument("--dims", type=int, default=65)
    parser.add_argument("--users", type=int, default=2_000, help="who are searched for; as many again tune the index")
    parser.add_argument("--factories", nargs="*", default=FACTORIES)
    parser.add_argument("--json", help="file for the results")
    given = parser.parse_args(arguments)
    problem = load(given.factors) if given.factors else make_up(given.users + TUNED_ON, given.items, given.dims, 30)
    results = [measure(factory, problem, given.users) for factory in given.factories]
    text = json.dumps(
        {"items": len(problem.items), "dims": problem.items.shape[1], "x": X, "results": results}, indent=1
    )
    print(text)
    if given.json:
        Path(given.json).write_text(text + "\n")


def measure(factory: str, problem: Problem, n_users: int) -> dict[str, str | float | bool]:
    order = np.random.default_rng(7).permutation(len(problem.users))
    tuned_on, asked = order[:TUNED_ON], order[TUNED_ON : TUNED_ON + n_users]
    queries, seen = problem.users[asked], problem.seen.take(asked)
    settings = Index(factory=factory, min_recall=0.99)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "items.faiss"
        start = time.process_time()
        metrics = build_index(
            path,
            problem.items,
            problem.users[tuned_on],
            problem.seen.take(tuned_on),
            settings,
            x=X,
            users_per_search=n_users,
        )
        built = time.process_time() - start
        opened = ItemIndex.open(path, problem.items, np.arange(len(problem.items), dtype=np.int32))
        opened.rank_unseen(queries[:50], seen.take(np.arange(50)), X)
        start = time.process_time()
        found = opened.rank_unseen(queries, seen, X)
        seconds = time.process_time() - start
        size = path.stat().st_size
    best = ExactSearch(problem.items).rank_unseen(queries, seen, X)
    return {
        "factory": factory,
        "serves": metrics.factory,
        "recall": round(recall_against(best, found), 4),
        "recall_when_tuned": metrics.recall_at_x,
        "fell_back": metrics.fell_back,
        "users_per_cpu_second": round(n_users / seconds),
        "build_cpu_seconds": round(built, 2),
        "bytes_per_item": round(size / len(problem.items)),
    }
