"""Checked examples and features in, a FactorModel for regression or classification out."""

import time
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array, Float64Array, Int64Array
from shortlist.fm.bayes import BayesProblem
from shortlist.fm.bayes_state import BayesSettings, to_model
from shortlist.fm.inputs import CheckedExamples
from shortlist.fm.model import FactorModel
from shortlist.fm.posterior import average, scaled
from shortlist.fm.progress import Course, EpochReport
from shortlist.fm.threads import threads


@dataclass(frozen=True, slots=True)
class BayesData:
    """Examples, the features of users and items, and the group of every feature of users, items and context."""

    examples: CheckedExamples
    user_features: csr_array | None
    item_features: csr_array | None
    groups: tuple[Int64Array, Int64Array, Int64Array]


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
        self._n = 0
        self._sum: Float64Array = np.zeros(n)
        self._squares: Float64Array = np.zeros(n)

    def add(self, scores: Float32Array) -> None:
        self._n += 1
        self._sum += scores
        self._squares += np.square(scores, dtype=np.float64)

    def mean_variance(self) -> float:
        """Over all examples; 0 where there are fewer than two draws."""
        if self._n < 2 or not len(self._sum):
            return 0.0
        return float((self._squares / self._n - (self._sum / self._n) ** 2).mean())


def fit_bayes(
    data: BayesData, settings: BayesSettings, course: Course, keeping: Keeping, *, seed: int, n_threads: int | None
) -> tuple[FactorModel, int]:
    """The model and the number of its epochs; see FactorizationMachine.fit."""
    gibbs, rng = settings.solver == "gibbs", np.random.default_rng(seed)
    kept: list[FactorModel] = []
    moments = Moments(len(data.examples.targets))
    wanted = keeping.epochs(course.epochs)
    with threads(n_threads) as crew:
        problem = BayesProblem(data.examples, settings, crew)
        state = problem.start((data.user_features, data.item_features), data.groups, rng)
        while course.goes_on(state.epoch):
            started = time.perf_counter()
            problem.epoch(state, rng)
            if gibbs and state.epoch in wanted:
                kept.append(to_model(state))
            if gibbs and settings.classes and state.epoch > keeping.warm_up:
                moments.add(state.scores + np.float32(state.bias))
            seconds = time.perf_counter() - started
            metric = course.ran(seconds, average(kept or [to_model(state)]) if course.validate else None)
            if course.on_epoch:
                course.on_epoch(EpochReport(state.epoch, problem.loss(state), seconds, metric))
        model = average(kept) if kept else to_model(state)
        if settings.classes and len(data.examples.targets):
            variance = moments.mean_variance() if gibbs else float(problem.score_variance(state).mean())
            model = scaled(model, 1 / np.sqrt(1 + variance))
    return model, state.epoch
