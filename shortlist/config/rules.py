"""`rules`: what may be on a list, and in which order."""

from typing import Annotated, Literal

import msgspec

from shortlist.config.values import Config, NonNegative, Positive, Share


class Promoted(Config, frozen=True, kw_only=True):
    """Items that the shop wants to be seen: those named, and all of these categories and brands.

    Attributes:
        share: of the first n places of a list, ⌊share · n⌋ at least are theirs, for every n, the user's best of them.
    """

    share: Share
    items: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.items or self.categories or self.brands):
            raise ValueError("names nothing to promote. Cure: name `items`, `categories` or `brands`, or leave it out")


class Rules(Config, frozen=True, kw_only=True):
    """What a shop needs beyond the score; docs/rules.md has an example of each.

    Attributes:
        exclude_categories, include_categories: by the catalogue's category; an empty include list means all.
        min_price, max_price: in the catalogue's currency; items without a price pass unless one of them is set.
        only_available: leave out items outside available_from/available_until or not in stock.
        available_for_days: how much longer than the run's as_of they must be available.
        only_deals: leave out items without an open window in the offers table.
        rest_bought_days: leave out what the user bought within so many days; None: nothing.
        rest_mailed_runs: leave out what the campaign's last so many mailings showed the user.
        popularity: factor of the part of an item's score that is the same for every user; 1: as trained.
        rank_by: relevance, or relevance times price or margin.
        value_weight: the exponent of price or margin in that product; 1: expected revenue, less: a mix.
        diversity: 1 − λ of maximal marginal relevance; 0: by rank alone.
        candidates: of so many best items rank_by and diversity make the list.
        max_per_category, max_per_brand: on one list; None: no limit.
    """

    exclude_categories: tuple[str, ...] = ()
    include_categories: tuple[str, ...] = ()
    min_price: float | None = None
    max_price: float | None = None
    only_available: bool = True
    available_for_days: NonNegative = 0.0
    only_deals: bool = False
    rest_bought_days: Positive | None = None
    rest_mailed_runs: Annotated[int, msgspec.Meta(ge=0, le=52)] = 0
    popularity: NonNegative = 1.0
    rank_by: Literal["relevance", "price", "margin"] = "relevance"
    value_weight: Share = 1.0
    diversity: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    candidates: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 200
    max_per_category: Positive | None = None
    max_per_brand: Positive | None = None
    promoted: Promoted | None = None

    def __post_init__(self) -> None:
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError(
                f"min_price {self.min_price} is over max_price {self.max_price}, which leaves no item. "
                "Cure: change the two, or leave one out"
            )
        both = sorted({*self.include_categories} & {*self.exclude_categories})
        if both:
            raise ValueError(f"{', '.join(both)} is both included and excluded. Cure: leave it out of one list")
