"""The estimator, in scikit-learn's manner: sparse interactions and features in, a FactorModel out."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array
from shortlist.errors import DatasetError
from shortlist.fm.als import RankingProblem, RankingSettings, State, from_model, to_model
from shortlist.fm.checkpoint import Checkpoint, fingerprint
from shortlist.fm.model import FactorModel
from shortlist.fm.sparse import CsrLike
from shortlist.fm.storage import Settings
from shortlist.fm.threads import threads
from shortlist.latent import item_latent, user_latent, user_offset

Objective = Literal["ranking"]
Validate = Callable[[FactorModel], float]


@dataclass(frozen=True, slots=True)
class EpochReport:
    """How an epoch went.

    Attributes:
        epoch: 1 is the first.
        loss: what the model misses, an observed pair (lower is better).
        seconds: of this epoch, validation not included.
        metric: of `validate`, larger is better; None without one.
    """

    epoch: int
    loss: float
    seconds: float
    metric: float | None


class FactorizationMachine:
    """Factorization machine (Rendle 2010) over users, items and their features.

    `ranking` takes every pair without an interaction for a weak negative, none by sampling (shortlist/fm/als.py).
    The same data, settings and seed give the same bytes whatever the number of threads.

    Attributes:
        model: the trained FactorModel.
        n_epochs: epochs run; fewer than `epochs` where the time budget or early stopping ended it.
    """

    model: FactorModel
    n_epochs: int

    def __init__(
        self,
        objective: Objective = "ranking",
        *,
        n_factors: int = 64,
        epochs: int = 5,
        unobserved_weight: float = 1.0,
        regularization: float = 0.7,
        regularization_exponent: float = 0.3,
        feature_regularization: float = 3.0,
        init_scale: float = 0.1,
        steps: int = 3,
        patience: int | None = None,
        max_seconds: float | None = None,
        n_threads: int | None = None,
        seed: int = 42,
    ) -> None:
        """Settings; docs/fm.md says where the values were chosen.

        Args:
            objective: what `fit` minimises.
            n_factors: k.
            epochs: passes over users and items.
            unobserved_weight: α₀, of every pair, beside the confidence of an observed one.
            regularization: λ.
            regularization_exponent: ν in λ_r = λ (n_r + α₀ n_other)^ν.
            feature_regularization: ridge on feature factors, relative to the mean λ_r.
            init_scale: length of the random start of an item's vector.
            steps: conjugate gradient steps a row and epoch.
            patience: stop after so many epochs without a better validation metric; None never does.
            max_seconds: no epoch starts that would likely end later; None for no limit. (A limit that is met makes
                the result depend on the machine.)
            n_threads: None for all cores.
            seed: of the random start.
        """
        if objective not in get_args(Objective):
            raise ValueError(f"objective is one of {get_args(Objective)}, not {objective!r}.")
        self.objective: Objective = objective
        self.n_factors = n_factors
        self.epochs = epochs
        self.unobserved_weight = unobserved_weight
        self.regularization = regularization
        self.regularization_exponent = regularization_exponent
        self.feature_regularization = feature_regularization
        self.init_scale = init_scale
        self.steps = steps
        self.patience = patience
        self.max_seconds = max_seconds
        self.n_threads = n_threads
        self.seed = seed

    def get_params(self) -> dict[str, float | int | str | None]:
        """The constructor's arguments by name."""
        return {name: value for name, value in vars(self).items() if name not in self.__class__.__annotations__}

    def fit(
        self,
        interactions: CsrLike,
        user_features: CsrLike | None = None,
        item_features: CsrLike | None = None,
        *,
        item_interactions: CsrLike | None = None,
        start_from: FactorModel | None = None,
        validate: Validate | None = None,
        on_epoch: Callable[[EpochReport], None] | None = None,
        checkpoint: Path | None = None,
    ) -> Self:
        """Train.

        Args:
            interactions: CSR (n_users, n_items) of confidences c > 0; duplicates add up, zeros are no interactions.
            user_features: CSR (n_users, f).
            item_features: CSR (n_items, f).
            item_interactions: the same of confidences from which items are learned; None: `interactions`.
            start_from: a model of the same users, items and features (`align`) to go on from.
            validate: metric of the model after an epoch, larger is better.
            on_epoch: hears of every epoch, after its checkpoint is written.
            checkpoint: folder for the state after each epoch; a fit that finds its own state there goes on from it and
                ends with the same bytes.

        Raises:
            DatasetError: a confidence is negative, a number NaN or infinite, or shapes differ.
        """
        pairs = _pairs(interactions)
        for_items = pairs if item_interactions is None else _pairs(item_interactions)
        if for_items.shape != pairs.shape:
            raise DatasetError(f"interactions are {pairs.shape}, those to learn items from {for_items.shape}.")
        users = _features(user_features, pairs.shape[0], "user")
        items = _features(item_features, pairs.shape[1], "item")
        settings = self._ranking_settings()
        keeper = None
        if checkpoint:
            arrays = [
                a for m in (pairs, for_items, users, items) if m is not None for a in (m.indptr, m.indices, m.data)
            ]
            start = list(start_from.arrays().values()) if start_from else []
            keeper = Checkpoint(checkpoint, fingerprint(self._what_matters(), arrays + start))
        with threads(self.n_threads) as crew:
            problem = RankingProblem(pairs, for_items, users, items, settings, crew)
            state, metrics = (keeper.newest() if keeper else None) or (None, [])
            state = state or (from_model(start_from, users, items) if start_from else problem.start(self.seed))
            spent: list[float] = []
            while state.epoch < self.epochs and not self._is_over(spent, metrics):
                started = time.perf_counter()
                problem.epoch(state)
                spent.append(time.perf_counter() - started)
                metric = validate(self._model(state, users, items)) if validate else None
                metrics += [] if metric is None else [metric]
                if keeper:
                    keeper.save(state, metrics)
                if on_epoch:
                    on_epoch(EpochReport(state.epoch, problem.loss(state), spent[-1], metric))
            problem.finish(state)
        self.model = self._model(state, users, items)
        self.n_epochs = state.epoch
        return self

    def predict(
        self,
        user_rows: NDArray[np.integer],
        item_rows: NDArray[np.integer],
        user_features: CsrLike | None = None,
        item_features: CsrLike | None = None,
    ) -> Float32Array:
        """y(u, i) of pairs of rows, float32 (n,), larger is better; features as in `fit`."""
        users, items = user_latent(self.model, user_features), item_latent(self.model, item_features)
        offset = user_offset(self.model, user_features)
        scores: Float32Array = np.einsum("nk,nk->n", users[user_rows], items[item_rows]) + offset[user_rows]
        return scores

    def save(self, folder: Path) -> None:
        """Write the model and these settings: .npy files under a manifest with checksums."""
        self.model.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The estimator as it was saved. Raises ContractError where the folder is incomplete or altered."""
        model = FactorModel.load(folder)
        settings = dict(model.settings)
        n_epochs = settings.pop("n_epochs")
        machine = cls(**settings)  # type: ignore[arg-type]
        machine.model, machine.n_epochs = model, int(n_epochs or 0)
        return machine

    def _ranking_settings(self) -> RankingSettings:
        return RankingSettings(
            self.n_factors,
            self.unobserved_weight,
            self.regularization,
            self.regularization_exponent,
            self.feature_regularization,
            self.init_scale,
            self.steps,
        )

    def _what_matters(self) -> Settings:
        """The settings that decide the state after an epoch: not how many there are, nor on how many threads."""
        free = {"epochs", "patience", "max_seconds", "n_threads"}
        return {name: value for name, value in self.get_params().items() if name not in free}

    def _model(self, state: State, users: csr_array | None, items: csr_array | None) -> FactorModel:
        settings = self.get_params() | {"n_threads": None, "n_epochs": state.epoch}
        return to_model(state, users, items, settings)

    def _is_over(self, spent: list[float], metrics: list[float]) -> bool:
        if self.max_seconds is not None and spent and sum(spent) + spent[-1] > self.max_seconds:
            return True
        if self.patience is None or len(metrics) <= self.patience:
            return False
        return max(metrics[-self.patience :]) <= max(metrics[: -self.patience])


def _pairs(interactions: CsrLike) -> csr_array:
    pairs = _csr(interactions)
    if not np.isfinite(pairs.data).all() or (pairs.data < 0).any():
        raise DatasetError("A confidence is negative, NaN or infinite. Expected numbers above zero; check the weights.")
    pairs.sum_duplicates()
    pairs.eliminate_zeros()
    return pairs


def _features(features: CsrLike | None, n_rows: int, side: str) -> csr_array | None:
    if features is None:
        return None
    rows = _csr(features)
    if rows.shape[0] != n_rows:
        raise DatasetError(f"{side} features have {rows.shape[0]} rows, the interactions {n_rows} {side}s.")
    if not np.isfinite(rows.data).all():
        raise DatasetError(f"A {side} feature is NaN or infinite. Leave unknown values out, or fill them.")
    rows.sum_duplicates()
    return rows


def _csr(matrix: CsrLike) -> csr_array:
    """A float32 copy."""
    size = np.int64 if len(matrix.data) > np.iinfo(np.int32).max else np.int32
    parts = (np.array(matrix.data, np.float32), np.array(matrix.indices, size), np.array(matrix.indptr, size))
    return csr_array(parts, shape=matrix.shape)
