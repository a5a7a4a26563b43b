"""Checked confidences and features in, a FactorModel for ranking out: epochs, checkpoints, early stopping."""

import time
from dataclasses import dataclass
from pathlib import Path

from scipy.sparse import csr_array

from shortlist.fm.als import RankingProblem, RankingSettings, State, from_model, to_model
from shortlist.fm.checkpoint import Checkpoint, fingerprint
from shortlist.fm.model import FactorModel
from shortlist.fm.progress import Course, EpochReport
from shortlist.fm.storage import Settings
from shortlist.fm.threads import threads


@dataclass(frozen=True, slots=True)
class RankingData:
    """Confidences (n_users, n_items) from which users and items are learned, and the features of both."""

    for_users: csr_array
    for_items: csr_array
    user_features: csr_array | None
    item_features: csr_array | None

    @property
    def of_pairs_alone(self) -> bool:
        """No features, and the same confidences for both sides."""
        return self.for_items is self.for_users and self.user_features is None and self.item_features is None

    def fingerprint(self, settings: Settings, start_from: FactorModel | None) -> str:
        matrices = (self.for_users, self.for_items, self.user_features, self.item_features)
        arrays = [a for m in matrices if m is not None for a in (m.indptr, m.indices, m.data)]
        return fingerprint(settings, arrays + (list(start_from.arrays().values()) if start_from else []))


def fit_ranking(
    data: RankingData,
    settings: RankingSettings,
    course: Course,
    *,
    about: Settings,
    seed: int,
    n_threads: int | None,
    start_from: FactorModel | None,
    checkpoint: Path | None,
) -> tuple[FactorModel, int]:
    """The model and the number of its epochs; see FactorizationMachine.fit.

    Args:
        about: what decides the state after an epoch; a checkpoint of other settings is not taken up.
    """
    features = (data.user_features, data.item_features)
    keeper = Checkpoint(checkpoint, data.fingerprint(about, start_from)) if checkpoint else None
    with threads(n_threads) as crew:
        problem = RankingProblem(data.for_users, data.for_items, *features, settings, crew)
        if keeper and (saved := keeper.newest()):
            state, course.metrics = State(**saved.arrays, epoch=saved.epoch), saved.metrics
        else:
            state = from_model(start_from, *features) if start_from else problem.start(seed)
        while course.goes_on(state.epoch):
            started = time.perf_counter()
            problem.epoch(state)
            seconds = time.perf_counter() - started
            metric = course.ran(seconds, to_model(state, *features, about) if course.validate else None)
            if keeper:
                keeper.save(state.epoch, state.arrays(), course.metrics)
            if course.on_epoch:
                course.on_epoch(EpochReport(state.epoch, course.epochs, problem.loss(state), seconds, metric))
        problem.finish(state)
    return to_model(state, *features, about), state.epoch
