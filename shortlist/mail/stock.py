"""Lists as they were made and what has happened since in; the lists as they may be mailed now out.

Hours or days lie between a list and its message: a send window, a pause, the team's approval.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from shortlist.contracts.lists import ListedItem

Lists = Mapping[str, tuple[ListedItem, ...]]


def still_on_offer(lists: Lists, sold_out: Collection[str], now: datetime, *, only_deals: bool) -> Lists:
    """The lists without what is sold out or over by now; those behind move up.

    Args:
        sold_out: item ids.
        now: aware.
        only_deals: whether an item whose offer is over is over too.
    """

    def stands(item: ListedItem) -> bool:
        ends = [item.available_until, item.offer_until if only_deals else ""]
        return item.item_id not in sold_out and all(now < datetime.fromisoformat(end) for end in ends if end)

    return {user_id: tuple(item for item in items if stands(item)) for user_id, items in lists.items()}
