"""Purchases in, unit vectors of users and items out: a softmax over all items.

    L = −mean over users of Σ_i (c_ui / c_u) log p(i | u)           c_u = Σ_i c_ui
    p(i | u) = exp s_ui / Σ_j exp s_uj       s_ui = cos(u, i) / T + b_i       b_i = γ log(1 + n_i)       n_i = Σ_u c_ui

Cosine with temperature after Wu et al. 2022, "On the Effectiveness of Sampled Softmax Loss for Item Recommendation".
Least squares spends its factors on how large scores are, the softmax on their order, and every user counts alike, as in
the mean of their recalls. Popularity is given, so that the vectors need not learn it. Training starts from the
directions of a short least-squares fit and descends by Adam (Kingma, Ba 2015) over batches of users.

The sum over j runs over all items, or over so many of them, drawn anew for every batch in proportion to exp b_j and
weighted up (Horvitz, Thompson 1952): the bought ones are always in it, so that only the rest is an estimate.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Float64Array, Int64Array
from shortlist.fm.threads import Threads

BATCH_USERS: Final = 2048
BLOCK_USERS: Final = 256
"""One thread's share of a batch; fixed, so that sums do not depend on the number of threads."""
ENTRY: Final = 0.1
"""Size of a vector's entries at the start. Directions alone matter; the size says how far a step of Adam turns one."""
DECAY: Final = 0.9
DECAY_SQUARES: Final = 0.99
WARM_UP_STEPS: Final = 20
LAST_RATE: Final = 0.02
"""Of the learning rate, where its cosine ends."""
TINY: Final = 1e-8

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class SoftmaxSettings:
    """See FactorizationMachine. `epochs` are those over which the learning rate falls."""

    temperature: float
    learning_rate: float
    negatives: int | None
    popularity: float
    epochs: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """Items that stand for all of them.

    Attributes:
        rows: int64 (n,), ascending.
        offset: float (n,), b_i − log of the chance to be drawn: what is added to their scores.
    """

    rows: Int64Array
    offset: Floats


@dataclass(slots=True)
class SoftmaxState:
    """The unknowns after an epoch, with Adam's running means of their gradients and of these squared.

    Attributes:
        users, user_means, user_squares: float32 (n_users, k).
        items, item_means, item_squares: float32 (n_items, k).
        epoch: epochs done.
    """

    users: Float32Array
    user_means: Float32Array
    user_squares: Float32Array
    items: Float32Array
    item_means: Float32Array
    item_squares: Float32Array
    epoch: int = 0

    @classmethod
    def towards(cls, users: Float32Array, items: Float32Array) -> "SoftmaxState":
        """Start with the directions of these rows; one of zeros stays zero until something is learned of it."""
        size = ENTRY * np.sqrt(items.shape[1])
        at_users, at_items = ((unit(rows)[0] * size).astype(np.float32) for rows in (users, items))
        none = np.zeros_like
        return cls(at_users, none(at_users), none(at_users), at_items, none(at_items), none(at_items))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name, not copied."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "epoch"}

    def rows(self, temperature: float) -> tuple[Float32Array, Float32Array]:
        """Users (n_users, k), of length 1 / T, and items (n_items, k), of length 1: their products are L's scores."""
        return unit(self.users)[0] / np.float32(temperature), unit(self.items)[0]


@dataclass(frozen=True, slots=True)
class Gradient:
    """Of L over a batch: the loss, and its gradient by the users' vectors (n, k) and all items' (n_items, k)."""

    loss: float
    users: Floats
    items: Floats


class SoftmaxProblem:
    """The data of one fit. `epoch` improves a SoftmaxState; nothing else changes."""

    def __init__(self, pairs: csr_array, settings: SoftmaxSettings, seed: int, crew: Threads) -> None:
        """`pairs` (n_users, n_items) hold confidences > 0."""
        counts = np.diff(pairs.indptr)
        totals = np.maximum(pairs.sum(1), TINY)
        shares = (pairs.data / np.repeat(totals, counts)).astype(np.float32)
        self._shares = csr_array((shares, pairs.indices, pairs.indptr), pairs.shape)
        self.offset: Float32Array = (settings.popularity * np.log1p(pairs.sum(0))).astype(np.float32)
        self._chances = chances_to_be_drawn(np.exp(self.offset, dtype=np.float64), settings.negatives)
        self._buyers = np.flatnonzero(counts)
        self._settings = settings
        self._seed = seed
        self._crew = crew

    def epoch(self, state: SoftmaxState) -> float:
        """One pass over all users in a random order; the mean loss of a batch."""
        rng = np.random.default_rng([self._seed, state.epoch])
        order = rng.permutation(self._buyers)
        starts = range(0, len(order), BATCH_USERS)
        step = state.epoch * len(starts)
        losses = []
        for start in starts:
            batch = np.sort(order[start : start + BATCH_USERS])
            gradient = batch_gradient(
                self._shares[batch],
                state.users[batch],
                state.items,
                self.offset,
                self._draw(rng),
                self._settings.temperature,
                self._crew,
            )
            by_users = np.zeros_like(state.users)
            by_users[batch] = gradient.users
            step += 1
            rate = self._rate(step / (self._settings.epochs * len(starts)), step)
            self._descend(state.users, state.user_means, state.user_squares, by_users, rate)
            self._descend(state.items, state.item_means, state.item_squares, gradient.items, rate)
            losses.append(gradient.loss)
        state.epoch += 1
        return float(np.mean(losses)) if losses else 0.0

    def _draw(self, rng: np.random.Generator) -> Drawn:
        rows = np.flatnonzero(rng.random(len(self._chances)) < self._chances)
        return Drawn(rows, self.offset[rows] - np.log(self._chances[rows]).astype(np.float32))

    def _rate(self, share_done: float, step: int) -> float:
        """Of Adam with its correction for a start at zero; rises at first, then falls along half a cosine."""
        cosine = (1 + np.cos(np.pi * min(share_done, 1.0))) / 2
        rate = self._settings.learning_rate * min(1.0, step / WARM_UP_STEPS) * (LAST_RATE + (1 - LAST_RATE) * cosine)
        return float(rate * (1 - DECAY_SQUARES**step) ** 0.5 / (1 - DECAY**step))

    def _descend(
        self, rows: Float32Array, means: Float32Array, squares: Float32Array, gradient: Floats, rate: float
    ) -> None:
        def move(a: int, b: int) -> None:
            g, mean, square = gradient[a:b], means[a:b], squares[a:b]
            mean += (1 - DECAY) * (g - mean)
            square += (1 - DECAY_SQUARES) * (g * g - square)
            rows[a:b] -= rate * mean / (np.sqrt(square) + TINY)

        self._crew.over_blocks(len(rows), move)


def chances_to_be_drawn(weights: Float64Array, wanted: int | None) -> Float64Array:
    """In proportion to `weights` > 0, at most 1, `wanted` > 0 in all (None: everybody's is 1); float64 (n_items,)."""
    n_items = len(weights)
    if wanted is None or wanted >= n_items:
        return np.ones(n_items)
    heaviest = np.sort(weights)[::-1]
    lighter = np.cumsum(heaviest[::-1])[::-1][:wanted]  # the sum of the n-th heaviest and all that are lighter
    scales = (wanted - np.arange(wanted)) / lighter  # of the weights, if the n heaviest are sure to be drawn
    chances: Float64Array = np.minimum(weights * scales[np.argmax(heaviest[:wanted] * scales <= 1)], 1.0)
    return chances


def batch_gradient(
    shares: csr_array,
    users: Floats,
    items: Floats,
    offset: Floats,
    drawn: Drawn,
    temperature: float,
    crew: Threads,
) -> Gradient:
    """The loss of some users, whose rows of `shares` sum to 1, and its gradient; in the precision of the vectors."""
    found, length = unit(items)
    place = np.full(len(items), -1)
    place[drawn.rows] = np.arange(len(drawn.rows))
    among = found[drawn.rows]

    def block(start: int) -> _Block:
        bought = shares[start : start + BLOCK_USERS]
        vectors, offsets = users[start : start + BLOCK_USERS], (offset[bought.indices], drawn.offset)
        return _block_gradient(bought, vectors, found, among, place, offsets, temperature)

    parts = list(crew.over(block, range(0, len(users), BLOCK_USERS)))
    by_score = csr_array(
        (np.concatenate([part.by_bought for part in parts]), shares.indices, shares.indptr), shares.shape
    )
    by_found = by_score.T @ np.concatenate([part.users for part in parts])
    for part in parts:
        by_found[drawn.rows] += part.by_drawn
    scale = 1 / (temperature * len(users))
    by_items = (by_found - found * _dots(by_found, found)) * (scale / length)
    by_users = np.concatenate([part.by_users for part in parts]) * scale
    return Gradient(float(sum(part.loss for part in parts) / len(users)), by_users, by_items.astype(items.dtype))


@dataclass(frozen=True, slots=True)
class _Block:
    loss: float
    users: Floats
    by_users: Floats
    by_bought: Floats
    by_drawn: Floats


def _block_gradient(
    shares: csr_array,
    vectors: Floats,
    found: Floats,
    among: Floats,
    place: Int64Array,
    offsets: tuple[Floats, Floats],
    temperature: float,
) -> _Block:
    """Scores, chances and gradients (by scores, times T) of some users; `offsets` of what they bought, of the drawn."""
    counts = np.diff(shares.indptr)
    rows, first = np.repeat(np.arange(len(counts)), counts), shares.indptr[:-1]
    users, length = unit(vectors)
    bought = np.einsum("nk,nk->n", users[rows], found[shares.indices]) / temperature + offsets[0]
    scores = users @ among.T
    scores /= temperature
    scores += offsets[1]
    own = place[shares.indices] >= 0
    scores[rows[own], place[shares.indices[own]]] = -np.inf  # bought ones have their own term
    highest = np.maximum(scores.max(1, initial=-np.inf), np.maximum.reduceat(bought, first))
    scores -= highest[:, None]
    np.exp(scores, out=scores)
    chances = np.exp(bought - highest[rows])
    total = scores.sum(1) + np.add.reduceat(chances, first)
    loss = float((np.log(total) + highest).sum() - np.vdot(shares.data, bought))
    scores /= total[:, None]
    by_bought = chances / total[rows] - shares.data
    by_users = scores @ among + csr_array((by_bought, shares.indices, shares.indptr), shares.shape) @ found
    by_users -= users * _dots(by_users, users)
    return _Block(loss, users, by_users / length, by_bought, scores.T @ users)


def unit(rows: Floats) -> tuple[Floats, Floats]:
    """Rows of length 1 (n, k), those of zeros excepted, and their lengths (n, 1)."""
    length = np.maximum(np.sqrt(np.einsum("nk,nk->n", rows, rows)), rows.dtype.type(TINY))[:, None]
    return rows / length, length


def _dots(a: Floats, b: Floats) -> Floats:
    dots: Floats = np.einsum("nk,nk->n", a, b)[:, None]
    return dots
