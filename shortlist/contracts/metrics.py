"""Figures of quality: what Train leaves in `model/holdout_metrics.json` and Evaluate in `metrics.json`."""

import msgspec

from shortlist.contracts.lists import ListKind


class ListMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Averages over users, in [0, 1]; recall = hits / min(x, relevant), coverage = share of the catalogue listed."""

    recall: float
    ndcg: float
    average_precision: float
    hit_rate: float
    coverage: float


class KindMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One list kind: the model beside the baselines on the same users and candidates."""

    model: ListMetrics
    baselines: dict[str, ListMetrics]  # "popularity", "buy_it_again"
    users: int


class HoldoutMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Measured on the held-out interactions by a model trained on the rest.

    Attributes:
        x: list length.
        split: in words, which interactions were held out ("last 28 days, from 2017-12-04T…"); before the first comma
            stands what is the same every week.
        users: users with held-out interactions.
        kinds: metrics by list kind; always has "everything".
        settings: the model's settings, chosen where (`chosen_on`).
    """

    x: int
    split: str
    users: int
    kinds: dict[ListKind, KindMetrics]
    settings: dict[str, float | int | str | bool | None]

    @property
    def protocol(self) -> tuple[int, str]:
        """Figures of two runs compare only where this is the same: list length, and the split without its dates."""
        return self.x, self.split.partition(",")[0].strip()


class IndexMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The k-NN index as it serves the run. `fell_back` is True where the wanted factory missed the recall floor."""

    factory: str
    recall_at_x: float
    queries: int
    n_items: int
    dims: int
    size_bytes: int
    fell_back: bool = False


class RunMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """`metrics.json`: everything the quality gate looked at, and what it said."""

    holdout: HoldoutMetrics
    index: IndexMetrics
    publish: bool
    reasons: tuple[str, ...]
    published_run: str = ""
