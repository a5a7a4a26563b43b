"""The estimator, in scikit-learn's manner: sparse interactions and features in, a FactorModel out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from shortlist.contracts.arrays import Float32Array
from shortlist.errors import DatasetError
from shortlist.fm.als import RankingSettings
from shortlist.fm.inputs import checked_features, checked_pairs
from shortlist.fm.model import FactorModel
from shortlist.fm.progress import Course, EpochReport, Validate
from shortlist.fm.ranking_fit import RankingData, fit_ranking
from shortlist.fm.softmax import SoftmaxSettings
from shortlist.fm.softmax_fit import fit_softmax
from shortlist.fm.sparse import CsrLike
from shortlist.fm.storage import Settings
from shortlist.latent import item_latent, pair_scores, user_latent, user_offset

Objective = Literal["ranking"]
Loss = Literal["squared", "softmax"]


class FactorizationMachine:
    """Factorization machine (Rendle 2010) over users, items and their features.

    `ranking` takes every pair without an interaction for a weak negative, none by sampling (shortlist/fm/als.py).
    Its `softmax` loss (shortlist/fm/softmax.py) gets better lists out of few factors, takes about twenty times as long,
    and knows neither features nor folding in.
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
        loss: Loss = "squared",
        temperature: float = 0.1,
        learning_rate: float = 0.01,
        negatives: int | None = None,
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
            loss: `squared`, or `softmax` after five epochs of it.
            temperature: of the softmax, by which cosines are divided.
            learning_rate: of the softmax, at its highest.
            negatives: items drawn for each batch of users, beside those they bought, to stand for all in the softmax;
                None takes all.
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
        if loss not in get_args(Loss):
            raise ValueError(f"loss is one of {get_args(Loss)}, not {loss!r}.")
        self.loss: Loss = loss
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.negatives = negatives
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
        pairs = checked_pairs(interactions)
        for_items = pairs if item_interactions is None else checked_pairs(item_interactions)
        if for_items.shape != pairs.shape:
            raise DatasetError(f"interactions are {pairs.shape}, those to learn items from {for_items.shape}.")
        users = checked_features(user_features, pairs.shape[0], "user", "interactions' users")
        items = checked_features(item_features, pairs.shape[1], "item", "interactions' items")
        course = Course(self.epochs, self.patience, self.max_seconds, validate, on_epoch)
        if self.loss == "softmax":
            if item_interactions is not None or users is not None or items is not None or checkpoint:
                raise DatasetError(
                    "The softmax loss takes interactions alone: no features, no item_interactions, no checkpoint. "
                    'Leave them out, or use loss="squared".'
                )
            model, self.n_epochs = fit_softmax(
                pairs,
                self._ranking_settings(),
                SoftmaxSettings(self.temperature, self.learning_rate, self.negatives),
                course,
                about=self._what_matters(),
                seed=self.seed,
                n_threads=self.n_threads,
                start_from=start_from,
            )
            return self._trained(model)
        model, self.n_epochs = fit_ranking(
            RankingData(pairs, for_items, users, items),
            self._ranking_settings(),
            course,
            about=self._what_matters(),
            seed=self.seed,
            n_threads=self.n_threads,
            start_from=start_from,
            checkpoint=checkpoint,
        )
        return self._trained(model)

    def predict(
        self,
        user_rows: NDArray[np.integer],
        item_rows: NDArray[np.integer],
        user_features: CsrLike | None = None,
        item_features: CsrLike | None = None,
        context: CsrLike | None = None,
    ) -> Float32Array:
        """y(u, i) of pairs of rows, float32 (n,), larger is better; features as in `fit`.

        Args:
            user_rows: integer (n,).
            item_rows: integer (n,).
            user_features: CSR (n_users, f), of all users.
            item_features: CSR (n_items, f), of all items.
            context: CSR (n, f), of the n pairs.
        """
        users, offset = user_latent(self.model, user_features), user_offset(self.model, user_features)
        items = item_latent(self.model, item_features)
        return pair_scores(self.model, users, offset, items, user_rows, item_rows, context)

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

    def _trained(self, model: FactorModel) -> Self:
        self.model = replace(model, settings=self.get_params() | {"n_threads": None, "n_epochs": self.n_epochs})
        return self

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
