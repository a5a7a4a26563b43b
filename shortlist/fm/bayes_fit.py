"""Checked examples and features in, a FactorModel for regression or classification out."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Float64Array, Int64Array
from shortlist.fm.bayes import BayesProblem
from shortlist.fm.bayes_state import BayesSettings, to_arrays, to_model
from shortlist.fm.checkpoint import Checkpoint, fingerprint
from shortlist.fm.inputs import CheckedExamples
from shortlist.fm.model import FactorModel
from shortlist.fm.posterior import average, scaled
from shortlist.fm.progress import Course, EpochReport
from shortlist.fm.storage import Settings
from shortlist.fm.threads import threads

SAMPLER: Final = 4  # what an epoch does and knows; a state of another is not taken up


@dataclass(frozen=True, slots=True)
class BayesData:
    """Examples, the features of users and items, and the group of every feature of users, items and context."""

    examples: CheckedExamples
    user_features: csr_array | None
    item_features: csr_array | None
    groups: tuple[Int64Array, Int64Array, Int64Array]

    def fingerprint(self, settings: Settings) -> str:
        e = self.examples
        matrices = (e.context, self.user_features, self.item_features)
        arrays = [a for m in matrices if m is not None for a in (m.indptr, m.indices, m.data)]
        sizes: Settings = {"n_users": e.n_users, "n_items": e.n_items, "sampler": SAMPLER}
        return fingerprint({**settings, **sizes}, [e.user_rows, e.item_rows, e.targets, *self.groups, *arrays])


@dataclass(frozen=True, slots=True)
class Keeping:
    """Which epochs' draws are kept: `n_samples`, evenly spread over those after the first `warm_up`."""

    n_samples: int
    warm_up: int

    def epochs(self, last: int) -> frozenset[int]:
        candidates = max(last - self.warm_up, 1)
        n = max(min(self.n_samples, candidates), 1)
        return frozenset(last - place * candidates // n for place in range(n))


class Moments:
    """Mean and variance of every example's score over the draws after the warm-up."""

    def __init__(self, n: int) -> None:
        self._n = np.zeros(1, np.int64)
        self._sum: Float64Array = np.zeros(n)
        self._squares: Float64Array = np.zeros(n)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """By name, not copied."""
        return {"moments_n": self._n, "moments_sum": self._sum, "moments_squares": self._squares}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Go on from `arrays()`."""
        self._n, self._sum, self._squares = (arrays[name] for name in self.arrays())

    def add(self, scores: Float32Array) -> None:
        self._n += 1
        self._sum += scores
        self._squares += np.square(scores, dtype=np.float64)

    def mean_variance(self) -> float:
        """Over all examples; 0 where there are fewer than two draws."""
        if self._n[0] < 2 or not len(self._sum):
            return 0.0
        return float((self._squares / self._n - (self._sum / self._n) ** 2).mean())


def fit_bayes(
    data: BayesData,
    settings: BayesSettings,
    course: Course,
    keeping: Keeping,
    *,
    about: Settings,
    seed: int,
    n_threads: int | None,
    checkpoint: Path | None,
) -> tuple[FactorModel, int]:
    """The model and the number of its epochs; see FactorizationMachine.fit.

    An epoch's draws follow from seed and epoch alone, so that a fit can go on from its state.

    Args:
        about: what decides the state after an epoch; a checkpoint of other settings is not taken up.
    """
    gibbs, n = settings.solver == "gibbs", len(data.examples.targets)
    kept: list[FactorModel] = []
    moments = Moments(n if gibbs and settings.classes else 0)
    wanted = keeping.epochs(course.epochs) if gibbs else frozenset()
    decides: Settings = {**about, "epochs": course.epochs} if gibbs else about  # the kept draws are spread over them
    keeper = Checkpoint(checkpoint, data.fingerprint(decides)) if checkpoint else None
    with threads(n_threads, "ratings") as crew:
        problem = BayesProblem(data.examples, settings, crew)
        state = problem.start((data.user_features, data.item_features), data.groups, np.random.default_rng([seed, 0]))
        course.metrics = []
        if keeper and (saved := keeper.newest()):
            problem.resume(state, saved)
            moments.restore(saved.arrays)
            kept, course.metrics = [FactorModel.of(draw, {}) for draw in saved.draws], saved.metrics
        while course.goes_on(state.epoch):
            started = time.perf_counter()
            now = state.epoch + 1
            problem.epoch(state, np.random.default_rng([seed, now]), kept=now in wanted)
            if now in wanted:
                kept.append(to_model(state))
            if gibbs and settings.classes and state.epoch > keeping.warm_up:
                moments.add(state.scores + np.float32(state.bias))
            seconds = time.perf_counter() - started
            metric = course.ran(seconds, average(kept or [to_model(state)]) if course.validate else None)
            if keeper and state.epoch in wanted:
                keeper.save_draw(len(kept) - 1, kept[-1].arrays())
            if keeper:
                keeper.save(state.epoch, to_arrays(state) | moments.arrays(), course.metrics, len(kept))
            if course.on_epoch:
                course.on_epoch(EpochReport(state.epoch, course.epochs, problem.loss(state), seconds, metric))
        model = average(kept) if kept else to_model(state)
        if settings.classes and n:
            variance = moments.mean_variance() if gibbs else float(problem.score_variance(state).mean())
            model = scaled(model, 1 / np.sqrt(1 + variance))
    return model, state.epoch
