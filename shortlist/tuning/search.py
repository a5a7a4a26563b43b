"""Validation purchases and a model's settings in; better settings, found by successive halving, and every trial out.

What is held out to measure the model has no part in it. Each trial is measured after every epoch. Of the trials that
came so far, the worse two thirds end after two epochs and after six (asynchronous successive halving, Li et al. 2020);
new settings are proposed from what was tried (tree of Parzen estimators, Bergstra et al. 2011), the first are as now.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import optuna
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from shortlist.config import Model
from shortlist.fm.progress import EpochReport
from shortlist.recommender import aging_of, fit_history, past_of
from shortlist.tuning.validation import Validation

Setting = bool | float | int | str | None

RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "unobserved_weight": (0.02, 10),
    "regularization": (0.05, 10),
    "regularization_exponent": (0.1, 0.8),
    "feature_regularization": (0.5, 20),
}
"""Searched on a logarithmic scale; values are rounded to three digits, as they are written."""
CHOICES: Final[Mapping[str, tuple[Setting, ...]]] = {
    "n_factors": (16, 32, 64, 128),
    "half_life_days": (None, 30.0, 60.0, 120.0, 240.0),
    "item_half_life_days": (None, 7.0, 15.0, 30.0, 60.0),
    "saturation": (None, 0.5, 1.0, 2.0, 5.0),
}
MOST_EPOCHS: Final = 12
FIRST_RUNG: Final = 2
KEPT: Final = 3
"""One in so many goes on from a rung to the next, which is so many times as many epochs away."""
ENOUGH: Final = 8
"""Trials that ran to their end, from which it can be told what mattered."""


@dataclass(frozen=True, slots=True)
class Space:
    """What is searched: where the settings are now, and around it.

    Attributes:
        ranges: lowest and highest value, on a logarithmic scale.
        choices: values of settings that have a few.
        now: the settings now; one that must be over zero and is not is left to the search.
    """

    ranges: Mapping[str, tuple[float, float]]
    choices: Mapping[str, tuple[Setting, ...]]
    now: Mapping[str, Setting]

    @classmethod
    def around(cls, model: Model, *, with_features: bool) -> "Space":
        names = [name for name in RANGES if with_features or name != "feature_regularization"]
        now = {name: getattr(model, name) for name in (*names, *CHOICES)}
        now = {name: value for name, value in now.items() if name in CHOICES or value > 0}
        ranges = {}
        for name in names:
            low, high = RANGES[name]
            ranges[name] = (min(low, now.get(name, low)), max(high, now.get(name, high)))
        choices = {name: tuple(dict.fromkeys((*given, now[name]))) for name, given in CHOICES.items()}
        return cls(ranges, choices, now)

    def suggest(self, trial: optuna.Trial) -> dict[str, Setting]:
        found: dict[str, Setting] = {
            name: _rounded(trial.suggest_float(name, low, high, log=True)) for name, (low, high) in self.ranges.items()
        }
        return found | {name: trial.suggest_categorical(name, given) for name, given in self.choices.items()}


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings that were tried.

    Attributes:
        number: 0 has the settings as they were.
        settings: those that were searched.
        recall: the best of its epochs.
        epochs: until then.
        complete: whether it ran to its end.
    """

    number: int
    settings: Mapping[str, Setting]
    recall: float
    epochs: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Tuned:
    """What the search found.

    Attributes:
        model: the best settings.
        best: the trial that has them; number 0 where nothing was better, so that at most `epochs` changes.
        trials: all of them, in order.
        importance: share of the differences in recall that each setting explains (PED-ANOVA, Watanabe et al. 2023);
            empty where too few trials ran to their end.
        split: which purchases chose, in words.
    """

    model: Model
    best: Trial
    trials: tuple[Trial, ...]
    importance: Mapping[str, float]
    split: str


def tune(
    validation: Validation,
    model: Model,
    *,
    seconds: float,
    n_trials: int | None = None,
    journal: Path | None = None,
    on_trial: Callable[[Trial, Trial], None] = lambda trial, best: None,
    n_threads: int | None = None,
) -> Tuned:
    """Search.

    Args:
        validation: what chooses.
        model: the settings as they are; those that are not searched stay.
        seconds: no trial starts later, and a running one ends; the first always runs to its end.
        n_trials: at most so many, those of the journal included; with it and time enough, the result is repeatable.
        journal: file that keeps the trials; a search that finds its own goes on from there.
        on_trial: hears of every trial, and the best so far.
        n_threads: None for all cores.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    shop = validation.shop
    with_features = model.use_features and not (shop.user_features is None and shop.item_features is None)
    space = Space.around(model, with_features=with_features)
    study = optuna.create_study(
        study_name=_name(validation, space, model),
        storage=None if journal is None else JournalStorage(JournalFileBackend(str(journal))),
        load_if_exists=True,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=model.seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=FIRST_RUNG, reduction_factor=KEPT),
    )
    if not study.trials:
        study.enqueue_trial(dict(space.now))
    deadline = time.monotonic() + seconds
    search = _Search(validation, space, model, deadline, n_threads)

    def tell(study: optuna.Study, trial: FrozenTrial) -> None:
        trials = _told(study)
        on_trial(trials[-1], _best(trials))

    if not _told(study):
        study.optimize(search.run, n_trials=1, callbacks=[tell])
    left = None if n_trials is None else n_trials - len(_told(study))
    if left is None or left > 0:
        study.optimize(search.run, n_trials=left, timeout=max(deadline - time.monotonic(), 0), callbacks=[tell])
    trials = _told(study)
    best = _best(trials)
    complete = sum(trial.complete for trial in trials)
    importance = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator()) if complete >= ENOUGH else {}
    chosen = msgspec.structs.replace(model, **(best.settings if best.number else {}), epochs=best.epochs)
    return Tuned(chosen, best, trials, importance, validation.split)


class _Search:
    """Runs trials until the deadline."""

    def __init__(
        self, validation: Validation, space: Space, model: Model, deadline: float, n_threads: int | None
    ) -> None:
        self._validation = validation
        self._space = space
        self._model = model
        self._deadline = deadline
        self._n_threads = n_threads
        self._moment = int(validation.known.timestamp.max())

    def run(self, trial: optuna.Trial) -> float:
        """The best recall of its epochs. Raises TrialPruned where the trial is not worth going on with."""
        machine_alone = {"epochs": MOST_EPOCHS, "max_train_seconds": None, "patience": None, "spectral_factors": 0}
        settings = msgspec.structs.replace(self._model, **self._space.suggest(trial), **machine_alone)
        shop = self._validation.shop
        past = past_of(self._validation.known, shop, aging_of(settings), self._moment)
        recalls: list[float] = []

        def after(report: EpochReport) -> None:
            recalls.append(report.metric or 0.0)
            trial.report(recalls[-1], report.epoch)
            if trial.number and (trial.should_prune() or time.monotonic() > self._deadline):
                raise optuna.TrialPruned

        fit_history(past, shop, settings, n_threads=self._n_threads, validate=self._validation.recall, on_epoch=after)
        return max(recalls)


def _name(validation: Validation, space: Space, model: Model) -> str:
    """Trials on other purchases, of other settings or beside other fixed ones are no help."""
    fixed = {name: value for name, value in msgspec.to_builtins(model).items() if name not in (*space.now, "epochs")}
    about = repr((validation.fingerprint(), space.ranges, space.choices, sorted(fixed.items()), MOST_EPOCHS))
    return hashlib.sha256(about.encode()).hexdigest()[:16]


def _told(study: optuna.Study) -> tuple[Trial, ...]:
    """Trials that have figures."""
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        recalls = trial.intermediate_values
        if recalls:
            epochs = max(recalls, key=lambda epoch: (recalls[epoch], -epoch))
            settings = {
                name: value if name in CHOICES else _rounded(value) for name, value in sorted(trial.params.items())
            }
            complete = trial.state is TrialState.COMPLETE
            found.append(Trial(trial.number, settings, recalls[epochs], epochs, complete))
    return tuple(found)


def _best(trials: tuple[Trial, ...]) -> Trial:
    return max(trials, key=lambda trial: (trial.recall, -trial.number))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
