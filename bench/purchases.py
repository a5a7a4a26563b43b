"""Real grocery purchases in; recall and NDCG on the last four weeks out: our model, `implicit` and two baselines.

Protocol: completejourney (2,469 households, 68,509 products, 1,469,307 lines of 2017); the last 28 days are held out;
households with purchases in them; recall@20 = hits / min(20, relevant); once over all products and once over those new
to the household. Whatever is chosen is chosen on windows of the time before (docs/fm.md), never on those held out. Ours
has the settings of the shop's campaign in campaigns/; `without spectral` all of them but the rows beside the machine.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from implicit.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from threadpoolctl import threadpool_limits

from local.demo.data import ITEM_FEATURES, USER_FEATURES, package_folder
from shortlist.campaigns import read_campaign_file
from shortlist.config import Model
from shortlist.contracts.arrays import Float32Array, Int64Array
from shortlist.contracts.lists import ListKind
from shortlist.evaluate import Pairs, Ranked, make_lists, measure, rank, rank_by_own_purchases, rank_by_popularity
from shortlist.fm.history import DAY_S, Aging, Interactions, history
from shortlist.recommender import Shop, latent, learn

X: Final = 20
HELD_OUT_DAYS: Final = 28
CAMPAIGNS: Final = Path(__file__).parent.parent / "campaigns"
OWN_HALF_LIFE_DAYS: Final = 90.0
KINDS: Final[tuple[ListKind, ...]] = ("everything", "new_for_you")
IMPLICIT: Final = {"factors": 64, "regularization": 10.0, "iterations": 8, "random_state": 42}
"""With confidence 1 + 5 · decayed purchases (45 days)."""


@dataclass(frozen=True, slots=True)
class Groceries(Shop):
    """The shop whose two sides both have features, of which there may be none."""

    user_features: csr_array
    item_features: csr_array


@dataclass(frozen=True, slots=True)
class Split:
    """The shop before the cutoff, and what was bought after it."""

    shop: Groceries
    train: Interactions
    seen: Pairs
    held_out: Pairs
    users: Int64Array

    @property
    def new(self) -> Pairs:
        return self.held_out.split(self.seen)[0]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench purchases", description=__doc__)
    parser.add_argument("--weeks-back", type=int, default=0, help="end the data so many weeks earlier; 4 is validation")
    parser.add_argument("--n-factors", type=int, help="those of the campaign if not given")
    parser.add_argument("--online-retail", type=Path, metavar="FILE", help="UCI Online Retail as parquet instead")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(arguments)
    given, back = options.online_retail, options.weeks_back
    split = read_online_retail(given, back) if given else read(back)
    settings = read_campaign_file(CAMPAIGNS / f"{'online-retail' if given else 'weekly-picks'}.yaml").model
    if options.n_factors:
        settings = msgspec.structs.replace(settings, n_factors=options.n_factors)
    results = []
    print(f"{'':24}{'recall@20':>11}{'ndcg@20':>9}{'recall@20':>11}{'ndcg@20':>9}{'seconds':>9}")
    print(f"{'':24}{'all products':>20}{'new products':>20}")
    for name, recommend in recommenders(settings).items():
        started = time.perf_counter()
        ranked = recommend(split)
        seconds = time.perf_counter() - started
        row: dict[str, float | str] = {"name": name, "seconds_total": round(seconds, 2)}
        for kind, relevant in zip(KINDS, (split.held_out, split.new), strict=True):
            figures = measure(make_lists(ranked, split.seen, kind, X), split.users, relevant, X)
            row[f"{kind}_recall_at_20"], row[f"{kind}_ndcg_at_20"] = figures.recall, figures.ndcg
        results.append(row)
        cells = [row[f"{kind}_{figure}_at_20"] for kind in KINDS for figure in ("recall", "ndcg")]
        print(f"{name:24}{cells[0]:11.4f}{cells[1]:9.4f}{cells[2]:11.4f}{cells[3]:9.4f}{seconds:9.1f}", flush=True)
    if options.json:
        versions = {name: importlib.metadata.version(name) for name in ("numpy", "numba", "implicit")}
        options.json.write_text(json.dumps({"results": results, "versions": versions}, indent=1) + "\n")


def recommenders(settings: Model) -> dict[str, Callable[[Split], Ranked]]:
    return {
        "popularity": lambda split: rank_by_popularity(split.seen, split.users, X),
        "own purchases": lambda split: rank_by_own_purchases(_own(split), split.users, X),
        "implicit": lambda split: _implicit(split, np.zeros(len(split.seen.item_rows), np.float32)),
        "implicit + own": lambda split: _implicit(split, _own(split)),
        "shortlist": lambda split: _ours(split, settings),
        "without spectral": lambda split: _ours(split, msgspec.structs.replace(settings, spectral_factors=0)),
    }


def _ours(split: Split, settings: Model) -> Ranked:
    recommender = learn(split.train, split.shop, settings)
    users, items = latent(recommender.model, split.shop)
    past = recommender.past(split.train, split.shop)
    return rank(users, items, recommender.pair_repeat(past, split.shop, users, items), split.seen, split.users, X)


def _implicit(split: Split, own: Float32Array) -> Ranked:
    pairs = split.seen
    decayed = _decayed(split, 45.0)
    confidence = csr_matrix((1 + 5 * decayed, pairs.item_rows, pairs.indptr), shape=(split.shop.n_users, pairs.n_items))
    with threadpool_limits(1, user_api="blas"):  # as implicit asks
        model = AlternatingLeastSquares(**IMPLICIT)
        model.fit(confidence, show_progress=False)
    return rank(model.user_factors, model.item_factors, own, pairs, split.users, X)


def _own(split: Split) -> Float32Array:
    return _decayed(split, OWN_HALF_LIFE_DAYS)


def _decayed(split: Split, half_life_days: float) -> Float32Array:
    newest = int(split.train.timestamp.max())
    return history(
        split.train,
        n_users=split.shop.n_users,
        n_items=split.shop.n_items,
        reference_time=newest,
        aging=Aging(half_life_days),
    ).weight


def read(weeks_back: int = 0) -> Split:
    """The purchases from the parquet files of the installed package."""
    folder = package_folder()
    columns = ["household_id", "product_id", "transaction_timestamp"]
    table = pq.read_table(folder / "transactions.parquet", columns=columns)
    user_ids, item_ids, events = _numbered(*(table[name].to_numpy() for name in columns))
    shop = Groceries(
        len(user_ids),
        len(item_ids),
        one_hot(pq.read_table(folder / "demographics.parquet"), "household_id", user_ids, USER_FEATURES),
        one_hot(pq.read_table(folder / "products.parquet"), "product_id", item_ids, ITEM_FEATURES),
    )
    return _split(shop, events, weeks_back)


def read_online_retail(path: Path, weeks_back: int) -> Split:
    """The purchases of UCI Online Retail (doi:10.24432/C5BW33) from a parquet file with the columns of its origin.

    Many of its customers are new in every month: those who bought nothing before are left out.
    """
    table = pq.read_table(path, columns=["CustomerID", "StockCode", "InvoiceDate"])
    users, items, times = (table[name].to_numpy() for name in table.column_names)
    user_ids, item_ids, events = _numbered(users, items.astype(str), times)
    no_user, no_item = (csr_array(np.zeros((len(ids), 0), np.float32)) for ids in (user_ids, item_ids))
    split = _split(Groceries(len(user_ids), len(item_ids), no_user, no_item), events, weeks_back)
    return replace(split, users=np.intersect1d(split.seen.users(), split.users))


def _numbered(
    users: NDArray[Any], items: NDArray[Any], times: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], Interactions]:
    """Ids of both sides, ascending, and the purchases in rows of these."""
    user_ids, user_row = np.unique(users, return_inverse=True)
    item_ids, item_row = np.unique(items, return_inverse=True)
    timestamp = times.astype("datetime64[s]").astype(np.int64)
    weight = np.ones(len(timestamp), np.float32)
    return user_ids, item_ids, Interactions(user_row.astype(np.int32), item_row.astype(np.int32), timestamp, weight)


def _split(shop: Groceries, events: Interactions, weeks_back: int) -> Split:
    end = int(events.timestamp.max()) - weeks_back * 7 * DAY_S
    cutoff = end - HELD_OUT_DAYS * DAY_S
    train = events.where(events.timestamp <= cutoff)
    later = events.where((events.timestamp > cutoff) & (events.timestamp <= end))
    sizes = {"n_users": shop.n_users, "n_items": shop.n_items}
    seen, held_out = (Pairs.of(part.user_row, part.item_row, **sizes) for part in (train, later))
    return Split(shop, train, seen, held_out, held_out.users())


def one_hot(table: pa.Table, key: str, ids: Int64Array, columns: Sequence[str]) -> csr_array:
    """Categorical columns of the rows named by `ids` as 0/1 features; ids that are not in the table have none."""
    keys = table[key].to_numpy()
    order = np.argsort(keys)
    place = np.minimum(np.searchsorted(keys, ids, sorter=order), len(keys) - 1)
    source = order[place]
    known = keys[source] == ids
    rows, features, width = [], [], 0
    for column in columns:
        encoded = pc.dictionary_encode(table[column].combine_chunks())
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)[source]
        has = np.flatnonzero(known & (codes >= 0))
        rows.append(has)
        features.append(codes[has] + width)
        width += len(encoded.dictionary)
    places = (np.concatenate(rows), np.concatenate(features))
    return csr_array((np.ones(len(places[0]), np.float32), places), shape=(len(ids), width))
