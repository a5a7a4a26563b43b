"""What recipients said of items in; the same in rows of the dataset out."""

from collections.abc import Iterable
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shortlist.contracts.arrays import RESPONSE_CODES, Int32Array
from shortlist.contracts.records import Response
from shortlist.dataset.dataset import ResponseRows
from shortlist.dataset.ids import rows_of


def response_rows(responses: Iterable[Response], users: pa.Array, items: pa.Array, as_of: int) -> ResponseRows:
    """The responses to items that the dataset knows, of users that it knows; the newest of each user, item and kind.

    Args:
        users, items: the vocabularies.
        as_of: epoch seconds; a response after it counts as of then, since runs may look at the past.
    """
    said = [one for one in responses if one.kind in RESPONSE_CODES and one.item_id]
    user_row = _rows([one.user_id for one in said], users)
    item_row = _rows([one.item_id for one in said], items)
    kind = np.array([RESPONSE_CODES[one.kind] for one in said], np.int8)
    newest = np.array([datetime.fromisoformat(one.times[-1]).timestamp() for one in said], np.int64)
    timestamp = np.minimum(newest, as_of)
    order = np.lexsort((timestamp, kind, item_row, user_row))
    user_row, item_row, kind, timestamp = user_row[order], item_row[order], kind[order], timestamp[order]
    same = (user_row[1:] == user_row[:-1]) & (item_row[1:] == item_row[:-1]) & (kind[1:] == kind[:-1])
    kept = np.append(~same, np.ones(min(len(order), 1), np.bool_)) & (user_row >= 0) & (item_row >= 0)
    return ResponseRows(user_row[kept], item_row[kept], kind[kept], timestamp[kept])


def _rows(ids: list[str], words: pa.Array) -> Int32Array:
    """int32 (n,): −1 where an id is unknown."""
    found = pc.fill_null(rows_of(pa.array(ids, pa.string()), words), -1)
    rows: Int32Array = found.to_numpy(zero_copy_only=False).astype(np.int32)
    return rows
