"""Checked purchases in, a FactorModel trained with the softmax loss out: a short least-squares fit, then the epochs."""

import time
from pathlib import Path

import numpy as np

from shortlist.contracts.arrays import Float32Array
from shortlist.fm.als import RankingProblem, RankingSettings
from shortlist.fm.checkpoint import Checkpoint
from shortlist.fm.model import FactorModel, Side
from shortlist.fm.progress import Course, EpochReport
from shortlist.fm.ranking_fit import RankingData
from shortlist.fm.softmax import SoftmaxProblem, SoftmaxSettings, SoftmaxState
from shortlist.fm.storage import Settings
from shortlist.fm.threads import Threads, threads

FIRST_EPOCHS = 5
"""Of least squares, before the softmax."""


def fit_softmax(
    data: RankingData,
    settings: RankingSettings,
    softmax: SoftmaxSettings,
    course: Course,
    *,
    about: Settings,
    seed: int,
    n_threads: int | None,
    start_from: FactorModel | None,
    checkpoint: Path | None,
) -> tuple[FactorModel, int]:
    """The model and the number of its epochs; see FactorizationMachine.fit. `start_from` replaces least squares.

    `data` has no features and the same confidences for both sides.
    """
    decides: Settings = {**about, "epochs": softmax.epochs}  # the learning rate falls over them
    keeper = Checkpoint(checkpoint, data.fingerprint(decides, start_from)) if checkpoint else None
    with threads(n_threads) as crew:
        problem = SoftmaxProblem(data.for_users, softmax, seed, crew)
        if keeper and (saved := keeper.newest()):
            state, course.metrics = SoftmaxState(**saved.arrays, epoch=saved.epoch), saved.metrics
        else:
            vectors = (start_from.users.factors, start_from.items.factors) if start_from else None
            users, items = vectors or _least_squares(data, settings, seed, crew)
            bought = np.diff(data.for_users.indptr)[:, None] > 0
            state = SoftmaxState.towards(users * bought, items)
        while course.goes_on(state.epoch):
            started = time.perf_counter()
            loss = problem.epoch(state)
            seconds = time.perf_counter() - started
            metric = course.ran(seconds, _model(state, problem.offset, softmax, about) if course.validate else None)
            if keeper:
                keeper.save(state.epoch, state.arrays(), course.metrics)
            if course.on_epoch:
                course.on_epoch(EpochReport(state.epoch, course.epochs, loss, seconds, metric))
    return _model(state, problem.offset, softmax, about), state.epoch


def _least_squares(
    data: RankingData, settings: RankingSettings, seed: int, crew: Threads
) -> tuple[Float32Array, Float32Array]:
    problem = RankingProblem(data.for_users, data.for_items, None, None, settings, crew)
    state = problem.start(seed)
    for _ in range(FIRST_EPOCHS):
        problem.epoch(state)
    problem.finish(state)
    return state.users, state.items


def _model(state: SoftmaxState, offset: Float32Array, softmax: SoftmaxSettings, about: Settings) -> FactorModel:
    users, items = state.rows(softmax.temperature)
    none = np.zeros((0, items.shape[1]), np.float32)
    no_weights = np.zeros(0, np.float32)
    of_users = Side(users, np.zeros(len(users), np.float32), none, no_weights)
    return FactorModel(0.0, of_users, Side(items, offset, none, no_weights), about)
