"""Checked purchases in, a FactorModel trained with the softmax loss out: a short least-squares fit, then the epochs."""

import time
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array
from shortlist.fm.als import RankingProblem, RankingSettings
from shortlist.fm.model import FactorModel, Side
from shortlist.fm.progress import Course, EpochReport
from shortlist.fm.softmax import SoftmaxProblem, SoftmaxSettings, starting_vectors
from shortlist.fm.storage import Settings
from shortlist.fm.threads import Threads, threads
from shortlist.latent import item_latent

FIRST_EPOCHS = 5
"""Of least squares, before the softmax."""


def fit_softmax(
    pairs: csr_array,
    settings: RankingSettings,
    softmax: SoftmaxSettings,
    course: Course,
    *,
    about: Settings,
    seed: int,
    n_threads: int | None,
    start_from: FactorModel | None,
) -> tuple[FactorModel, int]:
    """The model and the number of its epochs; see FactorizationMachine.fit. `start_from` replaces least squares."""
    with threads(n_threads) as crew:
        items = item_latent(start_from)[:, :-1] if start_from else _least_squares(pairs, settings, seed, crew)
        counts = np.diff(pairs.indptr) + settings.unobserved_weight * pairs.shape[1]
        strength = settings.regularization * float((counts**settings.regularization_exponent).mean())
        start = starting_vectors(items, settings.unobserved_weight, strength)
        problem = SoftmaxProblem(pairs, start, softmax, course.epochs, seed, crew)
        while course.goes_on(problem.epochs_done):
            started = time.perf_counter()
            loss = problem.epoch()
            seconds = time.perf_counter() - started
            metric = course.ran(seconds, _model(problem, about) if course.validate else None)
            if course.on_epoch:
                course.on_epoch(EpochReport(problem.epochs_done, loss, seconds, metric))
        return _model(problem, about), problem.epochs_done


def _least_squares(pairs: csr_array, settings: RankingSettings, seed: int, crew: Threads) -> Float32Array:
    problem = RankingProblem(pairs, pairs, None, None, settings, crew)
    state = problem.start(seed)
    for _ in range(FIRST_EPOCHS):
        problem.epoch(state)
    return state.items


def _model(problem: SoftmaxProblem, about: Settings) -> FactorModel:
    users, items = problem.rows()
    k = items.shape[1]
    sides = [replace(Side.zeros(len(rows), 0, k), factors=rows) for rows in (users, items)]
    return FactorModel(0.0, sides[0], sides[1], about)
