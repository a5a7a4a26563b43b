"""A mailing's recipients, their clicks and the shop's purchases in; who bought what in time out. numpy only."""

from dataclasses import dataclass

import numpy as np

from shortlist.contracts.arrays import BoolArray, Int32Array, Int64Array


@dataclass(frozen=True, slots=True)
class Recipients:
    """The recipients of a mailing, each user once.

    Attributes:
        user_row: int32 (n,).
        at: int64 (n,), epoch seconds of the message.
        indptr: int64 (n + 1,).
        item_rows: int32 (nnz,), shown to each, distinct within a recipient.
    """

    user_row: Int32Array
    at: Int64Array
    indptr: Int64Array
    item_rows: Int32Array

    def __len__(self) -> int:
        return len(self.user_row)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Recipients (their place in the mailing) and items at a time, in any order. All arrays (n,)."""

    recipient: Int64Array
    item_row: Int32Array
    timestamp: Int64Array


@dataclass(frozen=True, slots=True)
class Conversions:
    """What followed a mailing.

    Attributes:
        bought: bool (n_recipients,), anything in time.
        bought_shown: bool (n_recipients,), a shown item in time.
        shown_and_bought: int64 (m,), keys of the shown pairs that were bought in time, each once.
        after_click: int64 (m,), keys of the pairs that were bought in time after a click on the item, each once.

    A pair's key is recipient · n_items + item_row.
    """

    bought: BoolArray
    bought_shown: BoolArray
    shown_and_bought: Int64Array
    after_click: Int64Array


def purchases_of(
    mailed: Recipients, user_row: Int32Array, item_row: Int32Array, timestamp: Int64Array, n_users: int
) -> Pairs:
    """The recipients' own purchases after their message, of all purchases of the shop."""
    place = np.full(n_users, -1, np.int64)
    place[mailed.user_row] = np.arange(len(mailed))
    late = np.flatnonzero(timestamp > mailed.at.min(initial=np.iinfo(np.int64).max))
    recipient = place[user_row[late]]
    kept = recipient >= 0
    kept[kept] = timestamp[late[kept]] > mailed.at[recipient[kept]]
    return Pairs(recipient[kept], item_row[late[kept]], timestamp[late[kept]])


def conversions(mailed: Recipients, purchases: Pairs, clicks: Pairs, window_s: float, n_items: int) -> Conversions:
    """Who bought in time.

    Args:
        purchases: after each recipient's message.
        clicks: on items of the mailing's messages.
        window_s: how long after the message, or the click, a purchase counts.
    """
    in_time = purchases.timestamp <= mailed.at[purchases.recipient] + window_s
    bought = purchases.recipient[in_time] * n_items + purchases.item_row[in_time]
    shown = np.repeat(np.arange(len(mailed)), np.diff(mailed.indptr)) * n_items + mailed.item_rows
    shown_and_bought = np.intersect1d(shown, bought)
    return Conversions(
        bought=_marked(purchases.recipient[in_time], len(mailed)),
        bought_shown=_marked(shown_and_bought // max(n_items, 1), len(mailed)),
        shown_and_bought=shown_and_bought,
        after_click=_after_click(purchases, clicks, window_s, n_items),
    )


def _after_click(purchases: Pairs, clicks: Pairs, window_s: float, n_items: int) -> Int64Array:
    """A purchase counts for the newest click on its item before it."""
    clicked = clicks.recipient * n_items + clicks.item_row
    order = np.lexsort((clicks.timestamp, clicked))
    clicked, clicked_at = clicked[order], clicks.timestamp[order]
    bought = purchases.recipient * n_items + purchases.item_row
    some = np.flatnonzero(np.isin(bought, clicked))
    bought, at = bought[some], purchases.timestamp[some]
    first, last = (np.searchsorted(clicked, bought, side=side) for side in ("left", "right"))
    before = [np.searchsorted(clicked_at[i:j], moment) for i, j, moment in zip(first, last, at, strict=True)]
    newest = first + np.array(before, np.int64) - 1
    in_time = (newest >= first) & (at - clicked_at[newest] <= window_s)
    return np.unique(bought[in_time])


def _marked(places: Int64Array, n: int) -> BoolArray:
    marks = np.zeros(n, np.bool_)
    marks[places] = True
    return marks
