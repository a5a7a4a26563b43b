"""Everything read from the shop in; the dataset of the run out."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shortlist.config import Evaluation
from shortlist.contracts.arrays import BoolArray, Catalogue, Int64Array
from shortlist.contracts.records import Response
from shortlist.dataset.cells import string_table
from shortlist.dataset.dataset import Dataset, Interactions
from shortlist.dataset.entities import Entities
from shortlist.dataset.features import encode_features
from shortlist.dataset.ids import IdColumn, rows_of, vocabulary
from shortlist.dataset.offers import Offers, windows
from shortlist.dataset.purchases import Purchases
from shortlist.dataset.responses import response_rows
from shortlist.dataset.split import hold_out
from shortlist.errors import DatasetError

_ALWAYS = -1


@dataclass(frozen=True, slots=True)
class Built:
    """The dataset, and what the counts and the mailing need beside it.

    Attributes:
        bought: bool (n_interactions,), along the dataset's interactions, as in `Purchases`.
        users, items: the tables along the rows.
        unknown_users, unknown_items: ids of interactions that their table does not have.
        split: in words.
    """

    dataset: Dataset
    bought: BoolArray
    users: Entities
    items: Entities
    unknown_users: int
    unknown_items: int
    split: str


def build(
    purchases: Purchases,
    items: Entities,
    users: Entities,
    evaluation: Evaluation,
    *,
    offers: Offers,
    responses: Iterable[Response] = (),
    as_of: int = 0,
) -> Built:
    """Number the ids, sort and split the interactions, lay tables along the rows, encode the features.

    Args:
        responses: to earlier mailings, by people.
        as_of: epoch seconds, at which offers are open or not; no response counts as younger.

    Every id of the interactions, items and users gets a row. Memory: about 40 bytes an interaction at the peak.

    Raises:
        DatasetError: no interaction counts.
    """
    if not len(purchases.timestamp):
        left_out = ", ".join(f"{rows:,} by {cause}" for cause, rows in purchases.ignored.items())
        raise DatasetError(
            f"no interaction is left to learn from (left out as no signal: {left_out}). Cure: add files to "
            "input/interactions/, or check `input.guest_ids`, `input.event_weights` and `input.positive_from`."
        )
    user_words = vocabulary(purchases.users.texts, users.ids)
    item_words = vocabulary(purchases.items.texts, items.ids)
    interactions, bought, split = _interactions(purchases, user_words, item_words, evaluation)
    along_users, along_items = users.along(user_words), items.along(item_words)
    dataset = Dataset(
        user_ids=string_table(user_words),
        item_ids=string_table(item_words),
        interactions=interactions,
        catalogue=_catalogue(along_items, *windows(offers, item_words, as_of)),
        user_features=encode_features(along_users.features, along_users.kinds, len(user_words)),
        item_features=encode_features(along_items.features, along_items.kinds, len(item_words)),
        responses=response_rows(responses, user_words, item_words, as_of),
    )
    return Built(
        dataset=dataset,
        bought=bought,
        users=along_users,
        items=along_items,
        unknown_users=_unknown(purchases.users, users),
        unknown_items=_unknown(purchases.items, items),
        split=split,
    )


def _interactions(
    purchases: Purchases, user_words: pa.Array, item_words: pa.Array, evaluation: Evaluation
) -> tuple[Interactions, BoolArray, str]:
    user_row = rows_of(purchases.users.texts, user_words).to_numpy()[purchases.users.codes()]
    item_row = rows_of(purchases.items.texts, item_words).to_numpy()[purchases.items.codes()]
    order = np.lexsort((item_row, purchases.timestamp, user_row))
    user_row, timestamp = user_row[order], purchases.timestamp[order]
    held_out, split = hold_out(user_row, timestamp, evaluation)
    rows = Interactions(user_row, item_row[order], timestamp, purchases.weight[order], held_out)
    return rows, purchases.bought[order], split


def _catalogue(items: Entities, offer_from: Int64Array, offer_until: Int64Array) -> Catalogue:
    columns = items.columns
    return Catalogue(
        title=string_table(columns["title"]),
        url=string_table(columns["url"]),
        image_url=string_table(columns["image_url"]),
        currency=string_table(columns["currency"]),
        category=string_table(columns["category"]),
        brand=string_table(columns["brand"]),
        price=pc.fill_null(columns["price"], float("nan")).to_numpy(),
        margin=pc.fill_null(columns["margin"], float("nan")).to_numpy(),
        available_from=pc.fill_null(columns["available_from"], _ALWAYS).to_numpy(),
        available_until=pc.fill_null(columns["available_until"], _ALWAYS).to_numpy(),
        in_stock=pc.fill_null(columns["in_stock"], True).to_numpy(zero_copy_only=False),
        offer_from=offer_from,
        offer_until=offer_until,
    )


def _unknown(ids: IdColumn, table: Entities) -> int:
    return len(ids.texts) - int(pc.sum(pc.is_in(ids.texts, value_set=table.ids)).as_py() or 0)
