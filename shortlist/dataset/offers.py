"""The offers table in; of each item the window that is open at a moment, or the next one, out."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shortlist.contracts.arrays import Int64Array
from shortlist.dataset.ids import read_ids, rows_of
from shortlist.dataset.reader import Batch, InputTable, batches

NEVER = -1
"""No offer, or no end of one."""


@dataclass(frozen=True, slots=True)
class Offers:
    """Windows in which items are on offer; an item may have many.

    Attributes:
        items: string (n,), ids.
        begins: int64 (n,), epoch seconds, 0 where the table does not say.
        ends: int64 (n,), the first second after the window; NEVER where the table does not say.
    """

    items: pa.Array
    begins: Int64Array
    ends: Int64Array


def read_offers(table: InputTable | None) -> Offers:
    """Read the table; None: the shop sends none.

    Raises:
        DatasetError: a file cannot be used.
    """
    parts = [] if table is None else [_read(batch) for batch in batches(table)]
    return Offers(
        items=pa.concat_arrays([pa.array([], pa.string()), *(part.items for part in parts)]),
        begins=np.concatenate([np.empty(0, np.int64), *(part.begins for part in parts)]),
        ends=np.concatenate([np.empty(0, np.int64), *(part.ends for part in parts)]),
    )


def windows(offers: Offers, item_words: pa.Array, as_of: int) -> tuple[Int64Array, Int64Array]:
    """`offer_from` and `offer_until` of every item, int64 (n_items,), NEVER where there is no offer.

    Of several windows the open one that ends last counts, else the next to begin; windows that have ended do not.
    """
    rows = pc.fill_null(rows_of(offers.items, item_words), NEVER).to_numpy()
    begins, ends = offers.begins, np.where(offers.ends == NEVER, np.iinfo(np.int64).max, offers.ends)
    standing = np.flatnonzero((rows >= 0) & (as_of < ends))
    is_open = begins[standing] <= as_of
    order = np.lexsort((np.where(is_open, ends[standing], -begins[standing]), is_open))  # an item's best comes last
    chosen = standing[order]
    offer_from = np.full(len(item_words), NEVER, np.int64)
    offer_until = np.full(len(item_words), NEVER, np.int64)
    offer_from[rows[chosen]] = begins[chosen]
    offer_until[rows[chosen]] = offers.ends[chosen]
    return offer_from, offer_until


def _read(batch: Batch) -> Offers:
    ids = read_ids(batch, "item_id")
    begins, ends = _moments(batch, "offer_from", 0), _moments(batch, "offer_until", NEVER)
    batch.refuse((ends != NEVER) & (ends <= begins), "offer_until", "is not after its beginning")
    ok = batch.check.ok
    return Offers(ids.strings().filter(pa.array(ok)), begins[ok], ends[ok])


def _moments(batch: Batch, column: str, missing: int) -> Int64Array:
    if column not in batch.columns:
        return np.full(len(batch), missing, np.int64)
    moments: Int64Array = pc.fill_null(batch.read("moment", column), missing).to_numpy()
    return moments
