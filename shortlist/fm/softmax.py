"""Purchases in, unit vectors of users and items out: a softmax over all items.

    L = −Σ_observed c_ui log p(i | u)        p(i | u) = exp(cos(a_u, q_i) / T) / Σ_j exp(cos(a_u, q_j) / T)
    a_u = Σ_i c_ui p_i

A user is the sum of what was bought; every item has a vector p_i that it adds to its buyers and a vector q_i by which
it is found (asymmetric factors: Koren 2008, §4; cosine with temperature: Wu et al. 2022, "On the Effectiveness of
Sampled Softmax Loss for Item Recommendation"). Least squares spends its factors on how large scores are, the softmax
on their order. It starts from the items of a short least-squares fit and descends by Adam (Kingma, Ba 2015) over
batches of users.

The sum over j runs over all items, or over so many of them, drawn anew for every batch and weighted up: the bought ones
are always in it, so that only the rest is an estimate.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Int64Array
from shortlist.fm.threads import Threads

BATCH_USERS: Final = 1024
BLOCK_USERS: Final = 256
"""One thread's share of a batch; fixed, so that sums do not depend on the number of threads."""
ENTRY: Final = 0.1
"""Size of a vector's entries at the start. Directions alone matter; the size says how far a step of Adam turns one."""
WARM_UP_STEPS: Final = 30
LAST_RATE: Final = 0.02
"""Of the learning rate, where its cosine ends."""
TINY: Final = 1e-6

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class SoftmaxSettings:
    """See FactorizationMachine."""

    temperature: float
    learning_rate: float
    negatives: int | None


class Adam:
    """An array and its running moments; `step` moves it down a gradient."""

    def __init__(self, array: Float32Array, crew: Threads) -> None:
        self.array = array
        self._first, self._second = np.zeros_like(array), np.zeros_like(array)
        self._crew = crew
        self._steps = 0

    def step(self, gradient: Float32Array, rate: float, decay: float = 0.9, decay_squares: float = 0.99) -> None:
        self._steps += 1
        rate *= (1 - decay_squares**self._steps) ** 0.5 / (1 - decay**self._steps)

        def move(a: int, b: int) -> None:
            g, first, second = gradient[a:b], self._first[a:b], self._second[a:b]
            first += (1 - decay) * (g - first)
            second += (1 - decay_squares) * (g * g - second)
            self.array[a:b] -= rate * first / (np.sqrt(second) + 1e-8)

        self._crew.over_blocks(len(gradient), move)


@dataclass(frozen=True, slots=True)
class Gradient:
    """Of L over a batch, an observed pair: the loss, and its gradient by p (n_items, k) and by q (n_items, k)."""

    loss: float
    added: Floats
    found: Floats


class SoftmaxProblem:
    """The data of one fit. `epoch` improves both vectors of every item."""

    def __init__(
        self, pairs: csr_array, items: Float32Array, settings: SoftmaxSettings, epochs: int, seed: int, crew: Threads
    ) -> None:
        """`pairs` (n_users, n_items) hold confidences > 0; `items` (n_items, 2, k) what p and q start from."""
        self._pairs = pairs
        self._settings = settings
        self._crew = crew
        self._seed = seed
        self._users = np.flatnonzero(np.diff(pairs.indptr))
        self._n_steps = epochs * -(-len(self._users) // BATCH_USERS)
        self._steps = 0
        self._added, self._found = (Adam(np.ascontiguousarray(items[:, side]), crew) for side in (0, 1))
        self.epochs_done = 0

    def epoch(self) -> float:
        """One pass over all users in a random order; the mean loss of an observed pair."""
        rng = np.random.default_rng([self._seed, self.epochs_done])
        losses = []
        for users in _batches(rng.permutation(self._users)):
            gradient = batch_gradient(
                self._pairs[users],
                self._added.array,
                self._found.array,
                self._candidates(rng),
                self._settings.temperature,
                self._crew,
            )
            rate = self._rate()
            self._added.step(gradient.added, rate)
            self._found.step(gradient.found, rate)
            losses.append(gradient.loss)
        self.epochs_done += 1
        return float(np.mean(losses)) if losses else 0.0

    def rows(self) -> tuple[Float32Array, Float32Array]:
        """Users (n_users, k), of length 1 / T, and items (n_items, k), of length 1: their products are L's scores."""
        users = _unit(self._pairs @ self._added.array)[0] / np.float32(self._settings.temperature)
        return users, _unit(self._found.array)[0]

    def _candidates(self, rng: np.random.Generator) -> Int64Array:
        n_items, wanted = self._pairs.shape[1], self._settings.negatives
        if wanted is None or wanted >= n_items:
            return np.arange(n_items)
        return np.sort(rng.choice(n_items, wanted, replace=False))

    def _rate(self) -> float:
        """Rises over the first steps, then falls along half a cosine."""
        cosine = (1 + np.cos(np.pi * self._steps / self._n_steps)) / 2
        self._steps += 1
        slow_start = min(1.0, self._steps / WARM_UP_STEPS)
        return float(self._settings.learning_rate * slow_start * (LAST_RATE + (1 - LAST_RATE) * cosine))


def batch_gradient(
    pairs: csr_array, added: Floats, found: Floats, candidates: Int64Array, temperature: float, crew: Threads
) -> Gradient:
    """The loss of some users, none without purchases, and its gradient; in the precision of `added` and `found`."""
    unit, length = _unit(found)
    place = np.full(len(found), -1)
    place[candidates] = np.arange(len(candidates))
    among = unit[candidates]

    def block(start: int) -> _Block:
        return _block_gradient(pairs[start : start + BLOCK_USERS], added, unit, among, place, temperature)

    parts = list(crew.over(block, range(0, pairs.shape[0], BLOCK_USERS)))
    by_score = csr_array((np.concatenate([p.by_observed for p in parts]), pairs.indices, pairs.indptr), pairs.shape)
    by_unit = by_score.T @ np.concatenate([part.users for part in parts])
    for part in parts:
        by_unit[candidates] += part.by_candidates
    total = pairs.data.sum()
    by_found = (by_unit - unit * _dots(by_unit, unit)) / (length * temperature * total)
    by_added = pairs.T @ np.concatenate([part.by_sums for part in parts]) / (temperature * total)
    return Gradient(float(sum(part.loss for part in parts) / total), by_added, by_found)


@dataclass(frozen=True, slots=True)
class _Block:
    loss: float
    users: Floats
    by_sums: Floats
    by_observed: Floats
    by_candidates: Floats


def _block_gradient(
    pairs: csr_array, added: Floats, unit: Floats, among: Floats, place: Int64Array, temperature: float
) -> _Block:
    """Scores, chances and gradients (by scores, times T) of some of a batch's users."""
    counts = np.diff(pairs.indptr)
    rows, first = np.repeat(np.arange(len(counts)), counts), pairs.indptr[:-1]
    users, length = _unit(pairs @ added)
    bought = np.einsum("nk,nk->n", users[rows], unit[pairs.indices]) / temperature
    scores = users @ among.T
    scores /= temperature
    drawn = place[pairs.indices] >= 0
    scores[rows[drawn], place[pairs.indices[drawn]]] = -np.inf  # bought ones have their own term
    highest = np.maximum(scores.max(1), np.maximum.reduceat(bought, first))
    scores -= highest[:, None]
    np.exp(scores, out=scores)
    n_drawn = among.shape[0] - np.bincount(rows[drawn], minlength=len(counts))
    scores *= ((len(unit) - counts) / np.maximum(n_drawn, 1)).astype(unit.dtype)[:, None]
    chance = np.exp(bought - highest[rows])
    total = scores.sum(1) + np.add.reduceat(chance, first)
    weight = np.add.reduceat(pairs.data, first)
    loss = np.vdot(weight, np.log(total) + highest) - np.vdot(pairs.data, bought)
    share = weight / total
    scores *= share[:, None]
    by_observed = chance * share[rows] - pairs.data
    by_users = scores @ among + csr_array((by_observed, pairs.indices, pairs.indptr), pairs.shape) @ unit
    by_sums = (by_users - users * _dots(by_users, users)) / length
    return _Block(float(loss), users, by_sums, by_observed, scores.T @ users)


def starting_vectors(items: Float32Array, unobserved_weight: float, strength: float) -> Float32Array:
    """p and q of every item, float32 (n_items, 2, k), from those of a least-squares fit (n_items, k).

    There a user is the solution of a system whose matrix is much alike for all of them, so p is the item times its
    inverse; `strength` stands for everybody's regularisation.
    """
    k = items.shape[1]
    shared = unobserved_weight * (items.T @ items).astype(np.float64) + strength * np.eye(k)
    added = np.linalg.solve(shared, items.T.astype(np.float64)).T
    mean_square = max(float(np.einsum("ik,ik->", added, added)) / max(added.size, 1), TINY**2)
    found = _unit(items)[0] * np.sqrt(k)
    return np.stack([added / np.sqrt(mean_square), found], axis=1).astype(np.float32) * np.float32(ENTRY)


def _batches(users: Int64Array) -> Iterator[Int64Array]:
    for start in range(0, len(users), BATCH_USERS):
        yield users[start : start + BATCH_USERS]


def _unit(rows: Floats) -> tuple[Floats, Floats]:
    """Rows of length 1 (n, k), and their lengths (n, 1)."""
    length = np.sqrt(np.einsum("nk,nk->n", rows, rows))[:, None] + TINY
    return rows / length, length


def _dots(a: Floats, b: Floats) -> Floats:
    dots: Floats = np.einsum("nk,nk->n", a, b)[:, None]
    return dots
