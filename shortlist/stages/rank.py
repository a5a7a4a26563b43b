"""Rank: a user shard, the index and the campaign's lists and rules in; `topx/<shard>.jsonl`, a line a user, out."""

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from shortlist.candidates import Hidden
from shortlist.config import Campaign
from shortlist.contracts.arrays import BoolArray, Catalogue, NewItems, Popular, StringTable, UserShard, npy_array
from shortlist.contracts.keys import RunKeys, shard_of
from shortlist.contracts.lists import ListedItem, ListKind, Reason, UserLists, Wording
from shortlist.contracts.manifests import Manifest, digest
from shortlist.contracts.payloads import Run, ShardRequest
from shortlist.export import write_csv
from shortlist.fm.fold_in import RowSolver
from shortlist.index import ItemIndex
from shortlist.lists import Assortment, Lists, ShardLists
from shortlist.ports import Clock, ObjectStore
from shortlist.reasons import Reasoner
from shortlist.rules import offered, recently_bought, traits_of
from shortlist.stages.artifacts import fetch, forget_all_but, output_of
from shortlist.stages.pin import pinned
from shortlist.stages.resume import Work, read_campaign, read_manifest, run_once

SCORE_DIGITS = 6
"""Significant digits of a stored score: what float32 factors carry."""


def rank(request: ShardRequest, *, store: ObjectStore, clock: Clock) -> tuple[Manifest, bool]:
    """Leave the lists of one user shard in the run.

    Raises:
        MissingObjectError: the shard is not one that Repackage left.
    """
    run = pinned(request.run, store=store)
    as_of = datetime.fromisoformat(run.as_of)
    run_id = run.run_id
    keys, shard = RunKeys(run_id), shard_of(request.key)
    campaign = read_campaign(run_id, store=store)
    prepared, repackaged, indexed = (
        read_manifest(run_id, stage, store=store) for stage in ("Prepare", "Repackage", "BuildIndex")
    )
    latent = output_of(repackaged, request.key).sha256
    shared = {
        "items": output_of(repackaged, keys.latent("items.npy")).sha256,
        "popular": output_of(repackaged, keys.latent("popular.npz")).sha256,
        "new_items": output_of(repackaged, keys.latent("new_items.npz")).sha256,
        "solver": output_of(repackaged, keys.latent("solver.json")).sha256,
        "index": indexed.digest(),
        "item_ids": output_of(prepared, keys.dataset("item_ids.npz")).sha256,
        "catalogue": output_of(prepared, keys.dataset("items.npz")).sha256,
        "rules": msgspec.to_builtins(campaign.rules),
        "as_of": run.as_of,
    }
    inputs = shared | {
        "users": latent,
        "lists": list(campaign.lists),
        "x": campaign.x,
        "csv": campaign.wording if campaign.export_csv else "",
    }

    def work() -> Work:
        shop = _shop(store, run, digest(shared))  # type: ignore[arg-type]  # a store is hashed by its identity
        with threadpool_limits(1, user_api="blas"):
            ranking = _Ranking(UserShard.from_bytes(store.read(request.key)), shop, campaign, int(as_of.timestamp()))
            body = msgspec.json.Encoder().encode_lines(ranking.lines())
        outputs = {keys.topx(shard): store.write(keys.topx(shard), body)}
        if campaign.export_csv:
            outputs[keys.export(shard)] = store.write(keys.export(shard), _as_csv(body, campaign.wording))
        return Work(outputs, {"latent": latent} | ranking.summary())

    return run_once("Rank", run, inputs, work, store=store, clock=clock, shard=shard)


def _moment(seconds: np.int64) -> str:
    """Epoch seconds as ISO 8601 UTC; empty for a negative number."""
    return datetime.fromtimestamp(int(seconds), UTC).isoformat() if seconds >= 0 else ""


def _as_csv(lines: bytes, wording: Wording) -> bytes:
    out = io.StringIO(newline="")
    write_csv([lines], out, wording)
    return out.getvalue().encode()


@dataclass(frozen=True)
class _Shop:
    """What all shards of a run share."""

    item_ids: StringTable
    catalogue: Catalogue
    offered: BoolArray
    assortment: Assortment
    reasoner: Reasoner
    cards: dict[int, dict[str, Any]] = field(default_factory=dict)

    def card(self, item: int) -> dict[str, Any]:
        """What a list says of an item whoever sees it."""
        if item not in self.cards:
            price = float(self.catalogue.price[item])
            self.cards[item] = {
                "item_id": self.item_ids[item],
                "title": self.catalogue.title[item],
                "price": None if np.isnan(price) else price,
                "currency": self.catalogue.currency[item],
                "url": self.catalogue.url[item],
                "image_url": self.catalogue.image_url[item],
                "category": self.catalogue.category[item],
                "brand": self.catalogue.brand[item],
                "available_until": _moment(self.catalogue.available_until[item]),
                "offer_until": _moment(self.catalogue.offer_until[item]) if self.offered[item] else "",
            }
        return self.cards[item]


@lru_cache(maxsize=1)
def _shop(store: ObjectStore, run: Run, fingerprint: str) -> _Shop:
    """Fetched once for all shards that a warm process ranks; `fingerprint` tells apart what a re-run has made anew."""
    keys, rules = RunKeys(run.run_id), read_campaign(run.run_id, store=store).rules
    prepared, repackaged, indexed = (
        read_manifest(run.run_id, stage, store=store) for stage in ("Prepare", "Repackage", "BuildIndex")
    )
    paths = {
        "items": fetch(keys.latent("items.npy"), repackaged, store=store),
        "popular": fetch(keys.latent("popular.npz"), repackaged, store=store),
        "new_items": fetch(keys.latent("new_items.npz"), repackaged, store=store),
        "solver": fetch(keys.latent("solver.json"), repackaged, store=store),
        "index": fetch(keys.index("items.faiss"), indexed, store=store),
        "item_rows": fetch(keys.index("item_rows.npy"), indexed, store=store),
        "item_ids": fetch(keys.dataset("item_ids.npz"), prepared, store=store),
        "catalogue": fetch(keys.dataset("items.npz"), prepared, store=store),
    }
    forget_all_but(paths.values())
    items = np.asarray(np.load(paths["items"], mmap_mode="r", allow_pickle=False))
    item_rows = npy_array(paths["item_rows"].read_bytes())
    popular = Popular.from_bytes(paths["popular"].read_bytes())
    new_items = NewItems.from_bytes(paths["new_items"].read_bytes())
    catalogue = Catalogue.from_bytes(paths["catalogue"].read_bytes())
    solver = RowSolver.for_users(items, msgspec.json.decode(paths["solver"].read_bytes(), type=dict[str, float]))
    index = ItemIndex.open(paths["index"], items, item_rows)
    item_ids = StringTable.from_bytes(paths["item_ids"].read_bytes())
    return _Shop(
        item_ids=item_ids,
        catalogue=catalogue,
        offered=offered(catalogue, int(datetime.fromisoformat(run.as_of).timestamp())),
        assortment=Assortment(
            index=index,
            item_rows=item_rows,
            traits=traits_of(catalogue, item_ids, index.vectors, item_rows, rules),
            popular=popular,
        ),
        reasoner=Reasoner(items, solver, catalogue.title, popular.names, new_items),
    )


class _Ranking:
    """The lists of one shard, with words."""

    def __init__(self, shard: UserShard, shop: _Shop, campaign: Campaign, as_of_s: int) -> None:
        self._shard = shard
        self._shop = shop
        hidden = Hidden(recently_bought(shard.last_seen, campaign.rules, as_of_s), campaign.rules.popularity)
        made = ShardLists(shard, shop.assortment, hidden)
        self._lists: Mapping[ListKind, Lists] = {kind: made.make(kind, campaign.x) for kind in campaign.lists}
        self._reasons: Counter[str] = Counter()

    def lines(self) -> Iterator[UserLists]:
        explained = np.hstack([np.where(lists.filled, -1, lists.items) for lists in self._lists.values()])
        reasons = self._shop.reasoner.reasons(self._shard, explained)
        for user, user_id in enumerate(self._shard.user_ids.to_list()):
            listed = {kind: lists.items[user][lists.items[user] >= 0] for kind, lists in self._lists.items()}
            yield UserLists(
                user_id=user_id,
                user_row=self._shard.first_row + user,
                lists={
                    kind: tuple(self._places(kind, user, len(items), reasons[user])) for kind, items in listed.items()
                },
            )

    def summary(self) -> dict[str, Any]:
        """Counts for the report, once all lines are made."""
        lengths = {kind: (lists.items >= 0).sum(axis=1) for kind, lists in self._lists.items()}
        return {
            "users": len(self._shard.latent),
            "listed": sum(int(length.sum()) for length in lengths.values()),
            "filled": sum(int(lists.filled.sum()) for lists in self._lists.values()),
            "short": {kind: int((length < self._lists[kind].items.shape[1]).sum()) for kind, length in lengths.items()},
            "reasons": dict(sorted(self._reasons.items())),
        }

    def _places(self, kind: ListKind, user: int, length: int, reasons: Mapping[int, Reason]) -> Iterator[ListedItem]:
        lists, segment = self._lists[kind], int(self._shard.segment[user])
        for place in range(length):
            item = int(lists.items[user, place])
            filled = bool(lists.filled[user, place])
            if filled:
                reason = self._shop.reasoner.of_popular(segment, of_segment=bool(lists.of_segment[user, place]))
            else:
                reason = reasons[item]
            self._reasons[reason.kind] += 1
            score = float(f"{lists.scores[user, place]:.{SCORE_DIGITS}g}")
            yield ListedItem(score=score, reason=reason, filled=filled, **self._shop.card(item))
