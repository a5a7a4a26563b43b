"""Latent rows and seen items in; users a second out: our exact search with seen items left out, beside its peers.

Contenders take turns in one process, so that a busy machine is busy for all of them; the median counts. `implicit`
filters what was seen as we do, faiss `IndexFlatIP` filters nothing. Whether a contender's lists are those of sorting
all float64 scores is looked at on a sample of users; the largest resident set is that of a process of its own.
Reasons of everything on our lists take turns with them: the purchase that adds most, and what decides.
"""

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

from shortlist.contracts.arrays import Float32Array, Float64Array, Int32Array, Int64Array
from shortlist.fm.explain import Explainer
from shortlist.fm.fold_in import RowSolver
from shortlist.scan import ExactSearch
from shortlist.stages.resume import peak_rss_mib
from shortlist.topx import Seen, available_cores

X: Final = 20
SAMPLE: Final = 200
"""Users whose lists are compared with brute force."""
SCORED_AT_ONCE: Final = 65_536
PEERS: Final = {"implicit": "implicit", "faiss": "faiss-cpu"}


@dataclass(frozen=True, slots=True)
class Problem:
    """What is searched: float32 rows of users and items, and what each user has seen.

    Attributes:
        weight: float32 (nnz,), confidence of each seen item as trained.
        prior: float32 (n_users, d), what features alone say of the users.
        settings: of the model, as far as reasons need them.
    """

    users: Float32Array
    items: Float32Array
    seen: Seen
    weight: Float32Array
    prior: Float32Array
    settings: Mapping[str, float]

    @property
    def gflop(self) -> float:
        """Work of the matrix product alone."""
        return 2e-9 * len(self.users) * self.items.size


Search = Callable[[], Int32Array]
REASONS: Final = "reasons"
SETTINGS: Final = {"unobserved_weight": 0.01, "regularization": 0.1, "regularization_exponent": 0.5}
"""Of made-up rows."""
ARRAYS: Final = ("users", "items", "indptr", "seen", "weight", "prior", *SETTINGS)


def main(arguments: Sequence[str]) -> None:
    given = _parser().parse_args(arguments)
    problem = load(given.factors) if given.factors else make_up(given.users, given.items, given.dims, given.seen)
    names = ["shortlist", *filter(None, given.peers.split(","))]
    if given.alone:
        contender(given.alone, problem)()
        print(peak_rss_mib())
        return
    report = {
        "users": len(problem.users),
        "items": len(problem.items),
        "dims": problem.items.shape[1],
        "x": X,
        "seen_per_user": round(len(problem.seen.items) / len(problem.users), 1),
        "cores": available_cores(),
        "sgemm_gflops": round(sgemm_gflops(problem), 1),
        "versions": {name: importlib.metadata.version(PEERS[name]) for name in names if name in PEERS},
    }
    searches = {name: contender(name, problem) for name in names}
    explain = reasons(problem, searches["shortlist"]())
    seconds, cpu_seconds, lists = take_turns(searches | {REASONS: explain}, given.rounds)
    results = []
    for name in names:
        rate = problem.gflop / median(seconds[name])
        results.append(
            {
                "name": name,
                "users_per_second": round(len(problem.users) / median(seconds[name]), 1),
                "seconds": [round(value, 3) for value in seconds[name]],
                "cpu_seconds": round(median(cpu_seconds[name]), 3),
                "gflops": round(rate, 1),
                "share_of_sgemm": round(rate / report["sgemm_gflops"], 3),
                "peak_rss_mib": round(peak_rss_alone(name, arguments), 1),
                "filters_seen": name != "faiss",
                "identical_to_brute_force": identical(problem, lists[name], filtered=name != "faiss"),
            }
        )
    shares = {name: round(median(cpu_seconds[REASONS]) / median(cpu_seconds[name]), 3) for name in names}
    explained = {
        "users_per_second": round(len(problem.users) / median(seconds[REASONS]), 1),
        "cpu_seconds": round(median(cpu_seconds[REASONS]), 3),
        "share_of_the_search": shares,
    }
    text = json.dumps({**report, "results": results, "reasons": explained}, indent=1)
    print(text)
    if given.json:
        Path(given.json).write_text(text + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench retrieval", description=__doc__)
    parser.add_argument("--users", type=int, default=30_000)
    parser.add_argument("--items", type=int, default=41_000)
    parser.add_argument("--dims", type=int, default=65)
    parser.add_argument("--seen", type=int, default=30, help="mean number of seen items of a user")
    parser.add_argument("--factors", type=Path, help=f".npz instead of made-up rows: {', '.join(ARRAYS)}")
    parser.add_argument("--peers", default="implicit,faiss")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", help="file for the results")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    return parser


def make_up(n_users: int, n_items: int, dims: int, seen_per_user: int) -> Problem:
    """Rows like trained ones: unequal factor sizes, an item bias in the last column, few users who have seen much."""
    rng = np.random.default_rng(42)
    sizes = (0.5 / np.sqrt(1 + np.arange(dims))).astype(np.float32)
    users = rng.standard_normal((n_users, dims), dtype=np.float32) * sizes
    items = rng.standard_normal((n_items, dims), dtype=np.float32) * sizes
    users[:, -1] = 1
    counts = np.minimum(rng.lognormal(np.log(seen_per_user) - 0.32, 0.8, n_users).astype(np.int64), n_items // 2)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    seen = [np.sort(rng.choice(n_items, count, replace=False)) for count in counts]
    rows = np.concatenate(seen).astype(np.int32)
    return Problem(users, items, Seen(indptr, rows), np.ones(len(rows), np.float32), np.zeros_like(users), SETTINGS)


def load(path: Path) -> Problem:
    """Trained rows, by the names in ARRAYS."""
    with np.load(path, allow_pickle=False) as arrays:
        users, items, seen, weight, prior = (arrays[name] for name in ("users", "items", "seen", "weight", "prior"))
        settings = {name: float(arrays[name]) for name in SETTINGS}
        return Problem(users, items, Seen(arrays["indptr"], seen), weight, prior, settings)


def contender(name: str, problem: Problem) -> Search:
    """A search, ready to run: whatever can be prepared once for many users is done here, for everyone alike."""
    if name == "implicit":
        return _implicit(problem)
    if name == "faiss":
        return _faiss(problem)
    search = ExactSearch(problem.items)
    return lambda: search.rank_unseen(problem.users, problem.seen, X).items


def reasons(problem: Problem, listed: Int32Array) -> Search:
    """What adds most to the score of everything on the lists."""
    explainer = Explainer(RowSolver.for_users(problem.items, problem.settings), problem.items)
    rows = (problem.seen.indptr, problem.seen.items, problem.weight, problem.users, problem.prior)
    return lambda: explainer.explain_all(*rows, listed).purchase


def _implicit(problem: Problem) -> Search:
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    model = AlternatingLeastSquares(factors=problem.items.shape[1])
    model.user_factors, model.item_factors = problem.users, problem.items
    data = np.ones(len(problem.seen.items), np.float32)
    shape = (len(problem.users), len(problem.items))
    seen = csr_matrix((data, problem.seen.items, problem.seen.indptr), shape=shape)
    everybody = np.arange(len(problem.users))

    def search() -> Int32Array:
        with threadpool_limits(1, user_api="blas"):  # as its documentation asks for
            items: Int32Array = model.recommend(everybody, seen, N=X, filter_already_liked_items=True)[0]
        return items

    return search


def _faiss(problem: Problem) -> Search:
    import faiss

    index = faiss.IndexFlatIP(problem.items.shape[1])
    index.add(problem.items)
    return lambda: index.search(problem.users, X)[1].astype(np.int32)


def sgemm_gflops(problem: Problem) -> float:
    """The best of five products of a block of users with all items: what this machine can do at these dimensions."""
    users = np.ascontiguousarray(problem.users[:512])
    items = np.ascontiguousarray(problem.items[:100_000].T)
    out = np.empty((len(users), items.shape[1]), np.float32)
    best = min(_seconds(lambda: np.matmul(users, items, out=out)) for _ in range(5))
    return 2e-9 * out.size * len(items) / best


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def take_turns(
    searches: dict[str, Search], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, Int32Array]]:
    """Seconds and CPU seconds of every round, and the lists, by name. The order turns with the rounds."""
    names = list(searches)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in names}
    lists: dict[str, Int32Array] = {}
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start, cpu_start = time.perf_counter(), time.process_time()
            lists[name] = searches[name]()
            seconds[name].append(time.perf_counter() - start)
            cpu_seconds[name].append(time.process_time() - cpu_start)
    return seconds, cpu_seconds, lists


def peak_rss_alone(name: str, arguments: Sequence[str]) -> float:
    """MiB of a process that makes the problem and searches once."""
    command = [sys.executable, "-m", "bench", "retrieval", *arguments, "--alone", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    return float(done.stdout.split()[-1])


def identical(problem: Problem, lists: Int32Array, *, filtered: bool) -> bool:
    """Whether a sample of users has the lists of sorting all float64 scores, equal ones by row."""
    sample = np.linspace(0, len(problem.users) - 1, min(SAMPLE, len(problem.users))).round().astype(np.int64)
    scores = np.empty((len(sample), len(problem.items)))
    users = problem.users[sample].astype(np.float64)
    for start in range(0, len(problem.items), SCORED_AT_ONCE):
        part = slice(start, start + SCORED_AT_ONCE)
        scores[:, part] = users @ problem.items[part].astype(np.float64).T
    if filtered:
        seen = problem.seen.take(sample)
        scores[seen.users(), seen.items] = -np.inf
    return all(lists[user].tolist() == _best(of_user).tolist() for user, of_user in zip(sample, scores, strict=True))


def _best(scores: Float64Array) -> Int64Array:
    """The X best, equal ones by row: all that reach the X-th score, sorted."""
    able = np.flatnonzero(scores >= np.partition(scores, -X)[-X])
    best: Int64Array = able[np.argsort(-scores[able], kind="stable")[:X]]
    return best
