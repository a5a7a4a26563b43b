"""Settings and metrics of a running training in; when it ends, and what its callers hear of an epoch, out."""

from collections.abc import Callable
from dataclasses import dataclass, field

from shortlist.fm.model import FactorModel

Validate = Callable[[FactorModel], float]


@dataclass(frozen=True, slots=True)
class EpochReport:
    """How an epoch went.

    Attributes:
        epoch: 1 is the first.
        epochs: of the fit, at most.
        loss: what the model misses, an observed pair (lower is better).
        seconds: of this epoch, validation not included.
        metric: of `validate`, larger is better; None without one.
    """

    epoch: int
    epochs: int
    loss: float
    seconds: float
    metric: float | None


@dataclass(slots=True)
class Course:
    """The epochs of one fit.

    Attributes:
        epochs: at most so many.
        patience: stop after so many epochs without a better metric; None never does.
        max_seconds: no epoch starts that would likely end later; None for no limit.
        validate: metric of the model after an epoch, larger is better.
        on_epoch: hears of every epoch.
        metrics: one an epoch, if there is `validate`.
        spent: seconds of the epochs that were run here.
    """

    epochs: int
    patience: int | None = None
    max_seconds: float | None = None
    validate: Validate | None = None
    on_epoch: Callable[[EpochReport], None] | None = None
    metrics: list[float] = field(default_factory=list)
    spent: list[float] = field(default_factory=list)

    def goes_on(self, epochs_done: int) -> bool:
        if epochs_done >= self.epochs:
            return False
        if self.max_seconds is not None and self.spent and sum(self.spent) + self.spent[-1] > self.max_seconds:
            return False
        if self.patience is None or len(self.metrics) <= self.patience:
            return True
        return max(self.metrics[-self.patience :]) > max(self.metrics[: -self.patience])

    @property
    def best_epoch(self) -> int | None:
        """The first with the highest metric; None where nobody validates."""
        return self.metrics.index(max(self.metrics)) + 1 if self.metrics else None

    def ran(self, seconds: float, model: FactorModel | None) -> float | None:
        """Note an epoch's seconds; the metric of its model, which is needed only where somebody validates."""
        self.spent.append(seconds)
        if self.validate is None or model is None:
            return None
        self.metrics.append(self.validate(model))
        return self.metrics[-1]
