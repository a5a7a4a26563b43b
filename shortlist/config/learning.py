"""`model`, `evaluation`, `index` and `feedback`: what is learned from the tables, how it is measured and searched."""

from typing import Annotated, Literal

import msgspec

from shortlist.config.values import Config, Days, NonNegative, Positive, Share


class Model(Config, frozen=True, kw_only=True):
    """The factorization machine with the `ranking` objective (docs/fm.md says what each does and where it was chosen).

    Attributes:
        n_factors: k of the factorization machine.
        spectral_factors: of the rows beside it, which no pair is fitted to; 0: none. A latent row has k + these + 1
            numbers.
        unobserved_weight: α₀, the weight of a pair that was never seen.
        regularization: λ.
        regularization_exponent: ν in λ(n + α₀·n_other)^ν.
        half_life_days: age at which an interaction counts half for what a user likes; None: no decay.
        item_half_life_days: the same for what an item is like, which follows its recent buyers; None: half_life_days.
        saturation: s; a pair of summed weight d has the confidence d (1 + s) / (d + s); None: d itself.
        feature_regularization: ridge on the factors of features, relative to that of ids.
        new_item_regularization: ridge of a last fit of item features to the purchases, which serves items without any;
            None: no such fit.
        patience: epochs without a better recall of what is new to the users after which the fit that looks back one
            horizon stops; the others then run for as many as were best there. None: all fits run for `epochs`.
        repeat_horizon_days: what the repeat-purchase term looks ahead, less in a young shop; it is learned from the
            newest two horizons.
        repeat_weight: γ; 0 switches the repeat term off; None finds it in the newest horizon.
        use_features: train declared features jointly.
        max_train_seconds: time budget of one fit; None: none.
        from_scratch_every: 1: each run trains from scratch; n: only each n-th does, those between go on from the
            published run's models in a tenth of the time.
    """

    n_factors: Annotated[int, msgspec.Meta(ge=1, le=4_096)] = 64
    spectral_factors: Annotated[int, msgspec.Meta(ge=0, le=4_096)] = 0
    epochs: Positive = 5
    unobserved_weight: NonNegative = 1.0
    regularization: NonNegative = 0.7
    regularization_exponent: NonNegative = 0.3
    half_life_days: Days | None = 120.0
    item_half_life_days: Days | None = 15.0
    saturation: NonNegative | None = 1.0
    feature_regularization: NonNegative = 3.0
    new_item_regularization: NonNegative | None = None
    patience: Positive | None = None
    repeat_horizon_days: Days = 28.0
    repeat_weight: NonNegative | None = None
    use_features: bool = True
    max_train_seconds: Annotated[float, msgspec.Meta(gt=0.0)] | None = None
    from_scratch_every: Positive = 1
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 42


class Evaluation(Config, frozen=True, kw_only=True):
    """How the model is measured before anything is published.

    Attributes:
        split: last_days holds out everybody's newest days; last_share each user's newest share of interactions.
        days: for last_days; fewer in a short history.
        share: for last_share.
        max_users: evaluated users, sampled with the model's seed above this number.
        margin: relative fall under the published run's recall that is still accepted.
        gate: whether a model that fails is held back; only the figures are given otherwise.
    """

    split: Literal["last_days", "last_share"] = "last_days"
    days: Positive = 28
    share: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.2
    max_users: Positive = 20_000
    margin: Share = 0.1
    gate: bool = True


class Index(Config, frozen=True, kw_only=True):
    """The k-NN index. `auto` is exact search while it fits, an approximate index above.

    Attributes:
        factory: a faiss factory string, or auto.
        min_recall: measured against exact search on every run; below it the run falls back to exact, loudly.
    """

    factory: str = "auto"
    min_recall: Share = 0.99


class Feedback(Config, frozen=True, kw_only=True):
    """What recipients' clicks on the products of earlier messages teach the model.

    Attributes:
        click_weight: weight of a click as an interaction in training, next to 1.0 of a purchase; 0: clicks teach
            nothing. They are never counted as purchases: not in the figures, nor as seen or bought before.
    """

    click_weight: NonNegative = 0.0
