"""The lists: a line a user in `topx/<shard>.jsonl`, an item a user in DynamoDB."""

from typing import Final, Literal

import msgspec

ListKind = Literal["everything", "new_for_you", "buy_again"]
LIST_KINDS: Final[tuple[ListKind, ...]] = ("everything", "new_for_you", "buy_again")
"""everything: all products; new_for_you: never bought by the user; buy_again: bought by the user before."""

ReasonKind = Literal["bought_with", "bought_like", "bought_before", "feature", "popular"]


Wording = Literal["purchases", "choices"]
"""How people are told why an item is on their list: by what they bought, or by what they chose (films, articles)."""


class Reason(msgspec.Struct, frozen=True):
    """Why an item is on a list, from the model; the words are chosen by locale (shortlist/mail/locales).

    `subject` by kind: bought_with, the title of the user's own purchase that adds most to the score, empty where it has
    none; bought_like, none, for that purchase has the item's own title; bought_before, how many times, as digits;
    feature, the item's, as `value (field)`; popular, the segment's name or empty for everybody.
    """

    kind: ReasonKind
    subject: str = ""


class ListedItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place on a list. Scores compare within one list only, larger is better."""

    item_id: str
    score: float
    reason: Reason
    title: str
    price: float | None = None
    currency: str = ""
    url: str = ""
    image_url: str = ""
    category: str = ""
    brand: str = ""
    available_until: str = ""  # ISO 8601 UTC, empty where there is no end
    offer_until: str = ""  # ISO 8601 UTC, of an offer that is open; empty where there is none or it has no end
    filled: bool = False  # not from the model's candidates, but from what is popular


class UserLists(msgspec.Struct, frozen=True, kw_only=True):
    """The lists of one user, keyed by kind, in the order of the campaign's `lists`."""

    user_id: str
    user_row: int
    lists: dict[ListKind, tuple[ListedItem, ...]]


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `recipients/<shard>-<part>.jsonl`: a user who may be mailed as far as the input says. Personal data."""

    user_id: str
    user_row: int
    email: str
    first_name: str = ""
    locale: str = ""
    time_zone: str = ""
