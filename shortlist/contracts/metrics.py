"""Figures of quality: what Train leaves in `model/holdout_metrics.json` and Evaluate in `metrics.json`."""

import msgspec

from shortlist.contracts.lists import ListKind


class ListMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Averages over users; recall = hits / min(x, relevant), coverage = share of the catalogue listed.

    Attributes:
        recall, ndcg, average_precision, hit_rate, coverage: in [0, 1].
        novelty: mean −log2 of the share of customers who have bought a listed item, bits (Zhou et al., PNAS 2010).
        mean_popularity: mean share of customers who have bought a listed item, in [0, 1].
        diversity: 1 − mean cosine between the items of a list, in [0, 2] (Ziegler et al., WWW 2005).
    """

    recall: float
    ndcg: float
    average_precision: float
    hit_rate: float
    coverage: float
    novelty: float = 0.0
    mean_popularity: float = 0.0
    diversity: float = 0.0


class GroupMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the evaluated users, or some of what they bought.

    Attributes:
        name: `activity 1` (the tenth that bought least before) to `activity 10`, `new users`, `new items`.
        users: who count.
        recall, ndcg: of the `model` and each baseline.
    """

    name: str
    users: int
    recall: dict[str, float]
    ndcg: dict[str, float]


class KindMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One list kind: the model beside the baselines on the same users and candidates.

    Attributes:
        baselines: `popularity`, `buy_it_again`.
        users: who bought something of this kind in the held-out part.
        groups: the same figures for parts of them, and for users and items that nobody had seen before.
        bought_mean_popularity: `mean_popularity` of what they bought, beside which that of the lists shows their bias.
    """

    model: ListMetrics
    baselines: dict[str, ListMetrics]
    users: int
    groups: tuple[GroupMetrics, ...] = ()
    bought_mean_popularity: float = 0.0


class EpochFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How an epoch of a fit went.

    Attributes:
        purpose: `measurement`, `everything`.
        fit: `look_back_1` (before the newest horizon), `look_back_2`, `final`.
        epoch: 1 is the first.
        loss: what the model misses, an observed pair.
        recall: of what was new to the users in the horizon after; None where no fit is stopped early.
    """

    purpose: str
    fit: str
    epoch: int
    loss: float
    recall: float | None = None


class HoldoutMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """Measured on the held-out interactions by a model trained on the rest.

    Attributes:
        x: list length.
        split: in words, which interactions were held out ("last 28 days, from 2017-12-04T…"); before the first comma
            stands what is the same every week.
        users: users with held-out interactions.
        kinds: metrics by list kind; always has "everything".
        settings: the model's settings, chosen where (`chosen_on`).
        epochs: of all fits of the run, in their order.
    """

    x: int
    split: str
    users: int
    kinds: dict[ListKind, KindMetrics]
    settings: dict[str, float | int | str | bool | None]
    epochs: tuple[EpochFigures, ...] = ()

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
    """`metrics.json`: everything the quality gate looked at, and what it said.

    `published` has the figures of the published run by list kind, where they compare.
    """

    holdout: HoldoutMetrics
    index: IndexMetrics
    publish: bool
    reasons: tuple[str, ...]
    published_run: str = ""
    published: dict[ListKind, ListMetrics] = {}
