"""Rankings of the model and of baselines, and what was held out, in; figures by list kind and by group out. numpy only.

Every kind has its own protocol: what counts as bought, and which items may be listed. Beside accuracy stand how much of
the catalogue is shown, how well known and how alike the listed items are; and accuracy for those tenths of the users
who bought least to most before, for users of whom nothing was bought before, and for items that nobody had bought.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from shortlist.contracts.arrays import BoolArray, Float32Array, Int32Array, Int64Array
from shortlist.contracts.lists import ListKind
from shortlist.contracts.metrics import GroupMetrics, KindMetrics, ListMetrics
from shortlist.evaluate import NOTHING, Pairs, Ranked, make_lists, measure, relevant_by_kind

GROUPS: Final = 10
MIN_USERS: Final = 5
"""A group of fewer users says nothing, and tells about single ones."""
USERS_AT_ONCE: Final = 512


@dataclass(frozen=True, slots=True)
class HoldOut:
    """What was known, and what happened then.

    Attributes:
        seen: pairs before.
        bought: pairs after.
        items: float32 (n_items, d + 1), the item latent matrix, which says how alike items are.
        x: list length.
    """

    seen: Pairs
    bought: Pairs
    items: Float32Array
    x: int


def measure_kinds(
    ranked: Mapping[str, Ranked], newcomers: Mapping[str, Ranked], held: HoldOut, kinds: Iterable[ListKind]
) -> dict[ListKind, KindMetrics]:
    """The figures of every kind.

    Args:
        ranked: `model` and the baselines, of the same users, who have a history.
        newcomers: the same names, of the same users, who have none.
    """
    relevant = relevant_by_kind(held.seen, held.bought)
    buyers = np.bincount(held.seen.item_rows, minlength=held.seen.n_items)
    shares = buyers / max(len(held.seen.users()), 1)
    measured: dict[ListKind, KindMetrics] = {}
    for kind in kinds:
        lists = {name: make_lists(one, held.seen, kind, held.x) for name, one in ranked.items()}
        users = ranked["model"].users
        figures = {
            name: _with_character(measure(these, users, relevant[kind], held.x), these, shares, held.items)
            for name, these in lists.items()
        }
        groups = [
            *_by_activity(lists, users, relevant[kind], held),
            *_new_users(newcomers, kind, held),
            *_new_items(lists, users, relevant[kind], buyers, held.x),
        ]
        counted = np.diff(relevant[kind].indptr)[users] > 0
        of_users = relevant[kind].item_rows[np.isin(relevant[kind].owners(), users)]
        measured[kind] = KindMetrics(
            model=figures.pop("model"),
            baselines=figures,
            users=int(counted.sum()),
            groups=tuple(group for group in groups if group.users >= MIN_USERS),
            bought_mean_popularity=float(shares[of_users].mean()) if len(of_users) else 0.0,
        )
    return measured


def diversity(lists: Int32Array, items: Float32Array) -> float:
    """1 − mean cosine between the items of a list, over the lists of two and more; 0 where there is none.

    Args:
        items: latent rows; their last number, which is the same taste for everybody, does not count.
    """
    likes = items[:, :-1]
    unit = likes / np.maximum(np.linalg.norm(likes, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    alike: list[Float32Array] = []
    for start in range(0, len(lists), USERS_AT_ONCE):
        part = lists[start : start + USERS_AT_ONCE]
        there = part != NOTHING
        rows = np.where(there[..., None], unit[part], 0)
        counts = there.sum(axis=1)
        # ‖Σ u‖² = Σ‖u‖² + 2 Σ cosines of the pairs
        total = np.square(rows.sum(axis=1)).sum(axis=1) - np.square(rows).sum(axis=(1, 2))
        several = counts > 1
        alike.append(total[several] / (counts * (counts - 1))[several])
    cosines = np.concatenate([np.empty(0, np.float32), *alike])
    return float(1 - cosines.mean()) if len(cosines) else 0.0


def _with_character(metrics: ListMetrics, lists: Int32Array, shares: np.ndarray, items: Float32Array) -> ListMetrics:
    listed = lists[lists != NOTHING]
    if not len(listed):
        return metrics
    least = shares[shares > 0].min(initial=1.0)  # an item that nobody has bought is as new as the rarest that was
    return msgspec.structs.replace(
        metrics,
        novelty=float(-np.log2(np.maximum(shares[listed], least)).mean()),
        mean_popularity=float(shares[listed].mean()),
        diversity=diversity(lists, items),
    )


def _by_activity(
    lists: Mapping[str, Int32Array], users: Int64Array, relevant: Pairs, held: HoldOut
) -> Iterable[GroupMetrics]:
    """Tenths of the users with something relevant, by the number of different items they had bought before."""
    counted = np.flatnonzero(np.diff(relevant.indptr)[users] > 0)
    activity = np.diff(held.seen.indptr)[users[counted]]
    order = counted[np.lexsort((users[counted], activity))]
    for number, members in enumerate(np.array_split(order, GROUPS), 1):
        chosen = np.zeros(len(users), np.bool_)
        chosen[members] = True
        yield _group(f"activity {number}", lists, users, chosen, relevant, held.x)


def _new_users(newcomers: Mapping[str, Ranked], kind: ListKind, held: HoldOut) -> Iterable[GroupMetrics]:
    if kind != "buy_again":  # who has bought nothing can buy nothing again
        lists = {name: make_lists(one, held.seen, kind, held.x) for name, one in newcomers.items()}
        users = newcomers["model"].users
        yield _group("new users", lists, users, np.ones(len(users), np.bool_), held.bought, held.x)


def _new_items(
    lists: Mapping[str, Int32Array], users: Int64Array, relevant: Pairs, buyers: Int64Array, x: int
) -> Iterable[GroupMetrics]:
    fresh = buyers[relevant.item_rows] == 0
    pairs = Pairs.of(relevant.owners()[fresh], relevant.item_rows[fresh], n_users=relevant.n_users, n_items=len(buyers))
    yield _group("new items", lists, users, np.ones(len(users), np.bool_), pairs, x)


def _group(
    name: str, lists: Mapping[str, Int32Array], users: Int64Array, chosen: BoolArray, relevant: Pairs, x: int
) -> GroupMetrics:
    figures = {series: measure(these[chosen], users[chosen], relevant, x) for series, these in lists.items()}
    return GroupMetrics(
        name=name,
        users=int((np.diff(relevant.indptr)[users[chosen]] > 0).sum()),
        recall={series: figure.recall for series, figure in figures.items()},
        ndcg={series: figure.ndcg for series, figure in figures.items()},
    )
