"""`input`: which columns and features the shop's tables have, and what counts as a signal."""

from typing import Annotated, Literal

import msgspec

from shortlist.config.values import Config, NonNegative, Share

FeatureKind = Literal["categorical", "multi_valued", "numeric"]
TableOrigin = Literal["files", "interactions"]


class Table(Config, frozen=True, kw_only=True):
    """One input table.

    Attributes:
        columns: our column name -> the file's column name, where they differ.
        features: the file's column name -> kind. multi_valued splits at `separator`.
        separator: between the values of a multi_valued feature.
        encoding: of CSV files.
    """

    columns: dict[str, str] = msgspec.field(default_factory=dict)
    features: dict[str, FeatureKind] = msgspec.field(default_factory=dict)
    separator: Annotated[str, msgspec.Meta(min_length=1)] = "|"
    encoding: str = "utf-8"


class Input(Config, frozen=True, kw_only=True):
    """Where the shop's tables lie and what counts as a signal.

    Attributes:
        prefix: S3 prefix above `interactions/`, `items/`, `users/`, `offers/` and `blocks/`.
        items_from, users_from: `files`, or `interactions` where the shop sends lines of purchases only: the table is
            then made of each id's newest line, and its `columns` and `features` name columns of the interactions file.
        event_weights: event_type -> weight of one interaction; types not named here are left out. Rows without an
            event_type are purchases.
        guest_ids: user ids that stand for nobody, such as purchases without an account; "" is an empty cell. Their
            lines are left out.
        value_weight: how the value column (quantity, rating) multiplies the weight.
        positive_from: interactions with a smaller value are not taken as a signal (ratings); None takes all.
        max_rejected_share: a run with more bad rows than this in any table fails.
    """

    prefix: Annotated[str, msgspec.Meta(pattern=r"^([^/]+/)+$")] = "input/"
    interactions: Table = Table()
    items: Table = Table()
    users: Table = Table()
    offers: Table = Table()
    blocks: Table = Table()
    items_from: TableOrigin = "files"
    users_from: TableOrigin = "files"
    event_weights: dict[str, NonNegative] = msgspec.field(default_factory=lambda: {"purchase": 1.0})
    guest_ids: tuple[str, ...] = ()
    value_weight: Literal["none", "log1p", "linear"] = "none"
    positive_from: float | None = None
    max_rejected_share: Share = 0.01
