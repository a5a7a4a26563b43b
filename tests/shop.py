"""A small shop with a known truth: customers in taste groups re-buy habits and discover within the group.

Tables out, as the CSV files a shop would drop; used by the pipeline tests.
"""

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

END = datetime(2026, 1, 4, tzinfo=UTC)
"""After the newest purchase; runs on this shop take END as their `as_of`."""


@dataclass(frozen=True, slots=True)
class Shop:
    """CSV bytes of the three tables, and what must be true of them."""

    interactions: bytes
    items: bytes
    users: bytes
    n_users: int
    n_items: int
    mailable: tuple[str, ...]


def make_shop(n_users: int = 90, n_items: int = 120, weeks: int = 26, groups: int = 4, seed: int = 7) -> Shop:
    """A shop whose purchases can be learned: half of a basket is habit, half is what the customer's group likes."""
    rng = np.random.default_rng(seed)
    group_of_item = np.arange(n_items) % groups
    lines: list[tuple[str, str, str]] = []
    for user in range(n_users):
        liked = np.flatnonzero(group_of_item == user % groups)
        share = 1.0 / (1.0 + np.arange(len(liked)))
        habits = rng.choice(liked, 4, replace=False)
        for week in range(weeks):
            day = END - timedelta(days=7 * (weeks - week) - int(rng.integers(0, 6)) - 1)
            basket = [
                *rng.choice(habits, 2, replace=False),
                *rng.choice(liked, 2, replace=False, p=share / share.sum()),
            ]
            if rng.random() < 0.2:
                basket.append(rng.integers(n_items))
            lines += [(user_id(user), f"item-{item:03d}", day.isoformat()) for item in basket]
    return Shop(
        interactions=table(("user_id", "item_id", "timestamp"), lines),
        items=table(
            ("item_id", "title", "price", "currency", "category", "aisle"),
            [
                (f"item-{i:03d}", f"Product {i}", f"{1 + i / 10:.2f}", "EUR", f"c{i % 6}", f"a{group_of_item[i]}")
                for i in range(n_items)
            ],
        ),
        users=table(
            ("user_id", "email", "first_name", "locale", "subscribed"),
            [
                (user_id(u), "" if u % 10 == 3 else f"user-{u}@example.com", f"Name{u}", "en", str(u % 9 != 4).lower())
                for u in range(n_users)
            ],
        ),
        n_users=n_users,
        n_items=n_items,
        mailable=tuple(user_id(u) for u in range(n_users) if u % 10 != 3 and u % 9 != 4),
    )


def shuffled(shop: Shop, seed: int = 11) -> Shop:
    """The same shop after somebody mixed up the item column: nothing can be learned from it."""
    rng = np.random.default_rng(seed)
    rows = list(csv.reader(io.StringIO(shop.interactions.decode())))
    header, body = rows[0], rows[1:]
    items = rng.permutation([row[1] for row in body])
    return Shop(
        interactions=table(header, [(row[0], item, row[2]) for row, item in zip(body, items, strict=True)]),
        items=shop.items,
        users=shop.users,
        n_users=shop.n_users,
        n_items=shop.n_items,
        mailable=shop.mailable,
    )


def user_id(user: int) -> str:
    return f"user-{user:03d}"


def table(header: object, rows: object) -> bytes:
    """CSV bytes with a header line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)  # type: ignore[arg-type]
    writer.writerows(rows)  # type: ignore[arg-type]
    return out.getvalue().encode()
