"""The estimator, in scikit-learn's manner: sparse interactions and features in, a FactorModel out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from shortlist.contracts.arrays import Float32Array
from shortlist.errors import DatasetError
from shortlist.fm.als import RankingSettings
from shortlist.fm.bayes_fit import BayesData, Keeping, fit_bayes
from shortlist.fm.bayes_state import BayesSettings, Solver
from shortlist.fm.inputs import (
    Examples,
    FeatureGroups,
    checked_examples,
    checked_features,
    checked_groups,
    checked_pairs,
)
from shortlist.fm.model import FactorModel
from shortlist.fm.probit import probability
from shortlist.fm.progress import Course, EpochReport, Validate
from shortlist.fm.ranking_fit import RankingData, fit_ranking
from shortlist.fm.softmax import SoftmaxSettings
from shortlist.fm.softmax_fit import fit_softmax
from shortlist.fm.sparse import CsrLike
from shortlist.fm.storage import Settings
from shortlist.latent import item_latent, pair_scores, user_latent, user_offset

Objective = Literal["ranking", "regression", "classification"]
Loss = Literal["squared", "softmax"]
RANKING_EPOCHS: Final[dict[Loss, int]] = {"squared": 5, "softmax": 20}
EPOCHS: Final[dict[Solver, int]] = {"als": 20, "variational": 30, "gibbs": 150}


class FactorizationMachine:
    """Factorization machine (Rendle 2010) over users, items, their features and, if there is any, context.

    `ranking` takes every pair without an interaction for a weak negative, none by sampling (shortlist/fm/als.py).
    Its `softmax` loss (shortlist/fm/softmax.py) finds more with few factors, takes many times as long, and knows
    neither features nor folding in; docs/fm.md says what it gains and what it loses.
    `regression` and `classification` learn numbers and classes of single examples (shortlist/fm/bayes.py).
    The same data, settings and seed give the same bytes whatever the number of threads.

    Attributes:
        model: the trained FactorModel.
        n_epochs: epochs run; fewer than `epochs` where the time budget or early stopping ended it.
        best_epoch: the one with the best validation metric, from 1; None without validation.
    """

    model: FactorModel
    n_epochs: int
    best_epoch: int | None

    def __init__(
        self,
        objective: Objective = "ranking",
        *,
        n_factors: int = 64,
        epochs: int | None = None,
        solver: Solver | None = None,
        n_samples: int = 16,
        warm_up: int | None = None,
        unobserved_weight: float = 1.0,
        regularization: float = 0.7,
        regularization_exponent: float = 0.3,
        feature_regularization: float = 3.0,
        new_item_regularization: float | None = None,
        init_scale: float = 0.1,
        steps: int = 2,
        loss: Loss = "squared",
        temperature: float = 0.1,
        learning_rate: float = 0.03,
        negatives: int | None = 4096,
        popularity: float = 0.6,
        patience: int | None = None,
        max_seconds: float | None = None,
        n_threads: int | None = None,
        seed: int = 42,
    ) -> None:
        """Settings; docs/fm.md says where the values were chosen.

        Args:
            objective: what `fit` minimises.
            n_factors: k.
            epochs: passes over users and items. None: 5 for `ranking`, 20 with `softmax`; else `als` 20, `variational`
                30, `gibbs` 150.
            solver: `als` finds the most likely machine, `gibbs` averages draws from the posterior, `variational` is the
                posterior's mean field. None: `als` for ranking (which has no other), `gibbs` otherwise.
            n_samples: draws of `gibbs` that are kept, evenly spread; the model has n_samples · n_factors factors.
            warm_up: epochs of `gibbs` of which no draw is kept. None: a third of them.
            unobserved_weight: α₀, of every pair, beside the confidence of an observed one. `ranking` alone.
            regularization: λ. `gibbs` and `variational` learn theirs.
            regularization_exponent: ν in λ_r = λ (n_r + α₀ n_other)^ν. `ranking` alone.
            feature_regularization: ridge on feature factors, relative to the mean λ_r. `ranking` alone.
            new_item_regularization: ridge of a last fit of item features' factors, for items without purchases
                (shortlist/fm/new_items.py); None leaves these factors as training had them. `ranking` alone.
            init_scale: length of the random start of an item's vector; for the other objectives, of each number.
            steps: conjugate gradient steps a row and epoch. `ranking` alone.
            loss: of `ranking`: `squared`, or `softmax` after five epochs of it.
            temperature: of the softmax, by which cosines are divided.
            learning_rate: of the softmax, at its highest.
            negatives: items drawn for each batch of users, beside those they bought, to stand for all in the softmax;
                None takes all.
            popularity: of the softmax, γ: an item's bias is γ log(1 + n_i), n_i its summed confidences.
            patience: stop after so many epochs without a better validation metric; None never does.
            max_seconds: no epoch starts that would likely end later; None for no limit. (A limit that is met makes
                the result depend on the machine.)
            n_threads: None for all cores.
            seed: of the random start and of the draws.
        """
        if objective not in get_args(Objective):
            raise ValueError(f"objective is one of {get_args(Objective)}, not {objective!r}.")
        if solver is not None and solver not in get_args(Solver):
            raise ValueError(f"solver is one of {get_args(Solver)}, not {solver!r}.")
        if objective == "ranking" and solver not in (None, "als"):
            raise ValueError(f"ranking is trained by 'als', not by {solver!r}.")
        if loss not in get_args(Loss) or (loss != "squared" and objective != "ranking"):
            raise ValueError(f"loss is one of {get_args(Loss)}, for ranking alone, not {loss!r} for {objective}.")
        self.objective: Objective = objective
        self.n_factors = n_factors
        self.epochs = epochs
        self.solver: Solver | None = solver
        self.n_samples = n_samples
        self.warm_up = warm_up
        self.unobserved_weight = unobserved_weight
        self.regularization = regularization
        self.regularization_exponent = regularization_exponent
        self.feature_regularization = feature_regularization
        self.new_item_regularization = new_item_regularization
        self.init_scale = init_scale
        self.steps = steps
        self.loss: Loss = loss
        self.temperature = temperature
        self.learning_rate = learning_rate
        self.negatives = negatives
        self.popularity = popularity
        self.patience = patience
        self.max_seconds = max_seconds
        self.n_threads = n_threads
        self.seed = seed

    def get_params(self) -> dict[str, float | int | str | None]:
        """The constructor's arguments by name."""
        return {name: value for name, value in vars(self).items() if name not in self.__class__.__annotations__}

    def fit(
        self,
        interactions: CsrLike | Examples,
        user_features: CsrLike | None = None,
        item_features: CsrLike | None = None,
        *,
        feature_groups: FeatureGroups | None = None,
        item_interactions: CsrLike | None = None,
        start_from: FactorModel | None = None,
        validate: Validate | None = None,
        on_epoch: Callable[[EpochReport], None] | None = None,
        checkpoint: Path | None = None,
    ) -> Self:
        """Train.

        Args:
            interactions: for `ranking` CSR (n_users, n_items) of confidences c > 0; duplicates add up, zeros are no
                interactions. For the other objectives Examples.
            user_features: CSR (n_users, f).
            item_features: CSR (n_items, f).
            feature_groups: which features share a prior (libFM's `-meta`); None: each side is a group. Not for
                `ranking`.
            item_interactions: `ranking`: as `interactions`, confidences items are learned from; None: `interactions`.
            start_from: `ranking`: a model of the same users, items and features (`align`) to go on from.
            validate: metric of the model after an epoch, larger is better.
            on_epoch: hears of every epoch, after its checkpoint is written.
            checkpoint: folder for the state after each epoch; a fit that finds its own state there goes on from it and
                ends with the same bytes.

        Raises:
            DatasetError: a confidence is negative, a number NaN or infinite, a class not 0 or 1, or shapes differ.
            TypeError: the objective learns from the other kind of interactions.
            ValueError: an argument of another objective is given.
        """
        course = Course(self._epochs(), self.patience, self.max_seconds, validate, on_epoch)
        if isinstance(interactions, Examples):
            if self.objective == "ranking":
                raise TypeError("ranking learns from a CSR matrix of confidences, not from Examples.")
            if item_interactions is not None or start_from is not None:
                raise ValueError("item_interactions and start_from are for the ranking objective.")
            model = self._fit_examples(interactions, user_features, item_features, feature_groups, course, checkpoint)
        else:
            if self.objective != "ranking":
                raise TypeError(f"{self.objective} learns from Examples, not from a matrix. A rating of 0 is a rating.")
            if feature_groups is not None:
                raise ValueError("feature_groups are for regression and classification.")
            pairs = checked_pairs(interactions)
            for_items = pairs if item_interactions is None else checked_pairs(item_interactions)
            data = _ranking_data(pairs, for_items, user_features, item_features)
            model = self._fit_pairs(data, course, start_from, checkpoint)
        self.best_epoch = course.best_epoch
        self.model = replace(model, settings=self.get_params() | {"n_threads": None, "n_epochs": self.n_epochs})
        return self

    def predict(
        self,
        user_rows: NDArray[np.integer],
        item_rows: NDArray[np.integer],
        user_features: CsrLike | None = None,
        item_features: CsrLike | None = None,
        context: CsrLike | None = None,
    ) -> Float32Array:
        """y(u, i) of pairs of rows, float32 (n,), larger is better; for `classification` the probability of class 1.

        Args:
            user_rows: integer (n,).
            item_rows: integer (n,).
            user_features: CSR (n_users, f), of all users.
            item_features: CSR (n_items, f), of all items.
            context: CSR (n, f), of the n pairs.
        """
        users, offset = user_latent(self.model, user_features), user_offset(self.model, user_features)
        items = item_latent(self.model, item_features)
        scores = pair_scores(self.model, users, offset, items, user_rows, item_rows, context)
        return probability(scores) if self.objective == "classification" else scores

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
        machine.model, machine.n_epochs, machine.best_epoch = model, int(n_epochs or 0), None
        return machine

    def _fit_pairs(
        self, data: RankingData, course: Course, start_from: FactorModel | None, checkpoint: Path | None
    ) -> FactorModel:
        settings = self._ranking_settings()
        if self.loss == "squared":
            model, self.n_epochs = fit_ranking(
                data,
                settings,
                course,
                about=self._what_matters(),
                seed=self.seed,
                n_threads=self.n_threads,
                start_from=start_from,
                checkpoint=checkpoint,
            )
            return model
        if not data.of_pairs_alone:
            raise DatasetError(
                "The softmax loss takes interactions alone: no features, no item_interactions. "
                'Leave them out, or use loss="squared".'
            )
        model, self.n_epochs = fit_softmax(
            data,
            settings,
            SoftmaxSettings(self.temperature, self.learning_rate, self.negatives, self.popularity, course.epochs),
            course,
            about=self._what_matters(),
            seed=self.seed,
            n_threads=self.n_threads,
            start_from=start_from,
            checkpoint=checkpoint,
        )
        return model

    def _fit_examples(
        self,
        given: Examples,
        user_features: CsrLike | None,
        item_features: CsrLike | None,
        groups: FeatureGroups | None,
        course: Course,
        checkpoint: Path | None,
    ) -> FactorModel:
        examples = checked_examples(given, classes=self.objective == "classification")
        users = checked_features(user_features, examples.n_users, "user", "users are")
        items = checked_features(item_features, examples.n_items, "item", "items are")
        data = BayesData(examples, users, items, checked_groups(groups, users, items, examples.context))
        classes = self.objective == "classification"
        settings = BayesSettings(self.n_factors, self._solver(), classes, self.regularization, self.init_scale)
        warm_up = course.epochs // 3 if self.warm_up is None else self.warm_up
        keeping = Keeping(self.n_samples, warm_up)
        model, self.n_epochs = fit_bayes(
            data,
            settings,
            course,
            keeping,
            about=self._what_matters(),
            seed=self.seed,
            n_threads=self.n_threads,
            checkpoint=checkpoint,
        )
        return model

    def _solver(self) -> Solver:
        return self.solver or ("als" if self.objective == "ranking" else "gibbs")

    def _epochs(self) -> int:
        usual = RANKING_EPOCHS[self.loss] if self.objective == "ranking" else EPOCHS[self._solver()]
        return usual if self.epochs is None else self.epochs

    def _ranking_settings(self) -> RankingSettings:
        return RankingSettings(
            self.n_factors,
            self.unobserved_weight,
            self.regularization,
            self.regularization_exponent,
            self.feature_regularization,
            self.init_scale,
            self.steps,
            self.new_item_regularization,
        )

    def _what_matters(self) -> Settings:
        """The settings that decide the state after an epoch: not how many there are, nor on how many threads."""
        free = {"epochs", "patience", "max_seconds", "n_threads"}
        return {name: value for name, value in self.get_params().items() if name not in free}


def _ranking_data(
    pairs: csr_array, for_items: csr_array, user_features: CsrLike | None, item_features: CsrLike | None
) -> RankingData:
    if for_items.shape != pairs.shape:
        raise DatasetError(f"interactions are {pairs.shape}, those to learn items from {for_items.shape}.")
    users = checked_features(user_features, pairs.shape[0], "user", "interactions' users are")
    items = checked_features(item_features, pairs.shape[1], "item", "interactions' items are")
    return RankingData(pairs, for_items, users, items)
