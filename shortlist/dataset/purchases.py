"""The interactions table in; ids, times and weights of the interactions that count out, before ids become rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow.compute as pc

from shortlist.config import Input
from shortlist.contracts.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from shortlist.dataset.ids import EncodedIds, IdColumn, read_ids
from shortlist.dataset.reader import Batch, InputTable, batches

DEFAULT_EVENT: Final = "purchase"
MAX_VALUE: Final = 1e12

Observer = Callable[[Batch, EncodedIds, EncodedIds, Int64Array], None]
"""Sees each batch with its user ids, item ids and times, to build a table that the shop does not send."""


@dataclass(frozen=True, slots=True)
class Purchases:
    """The interactions that count, in the order of the files.

    Attributes:
        users, items: ids.
        timestamp: int64 (n,), epoch seconds.
        weight: float32 (n,), > 0.
        bought: bool (n,), whether it is of the event type that weighs most, which is what a mailing is for.
        ignored: rows that are sound but no signal, by the column that says so (`user_id`, `event_type`, `value`).
    """

    users: IdColumn
    items: IdColumn
    timestamp: Int64Array
    weight: Float32Array
    bought: BoolArray
    ignored: dict[str, int]


def read_purchases(
    table: InputTable, settings: Input, as_of: int, *, extra: tuple[str, ...] = (), observe: Observer | None = None
) -> Purchases:
    """Read all interactions.

    Args:
        as_of: epoch seconds; what happened later is refused.
        extra: further columns for `observe`, by the shop's names.

    Raises:
        DatasetError: a file cannot be used.
    """
    users, items = IdColumn(), IdColumn()
    timestamps: list[Int64Array] = []
    weights: list[Float32Array] = []
    bought: list[BoolArray] = []
    heaviest = max(settings.event_weights.values(), default=0.0)
    ignored = {"user_id": 0, "event_type": 0, "value": 0}
    for batch in batches(table, extra):
        user = read_ids(batch, "user_id", nobody=settings.guest_ids)
        item = read_ids(batch, "item_id")
        timestamp = _timestamps(batch, as_of)
        events = _event_weights(batch, settings)
        factors = _value_factors(batch, settings)
        if observe is not None:
            observe(batch, user, item, timestamp)
        kept = batch.check.ok & (events > 0)
        ignored["user_id"] += batch.check.left_out
        ignored["event_type"] += int(np.count_nonzero(batch.check.ok & ~kept))
        ignored["value"] += int(np.count_nonzero(kept & (factors <= 0)))
        kept &= factors > 0
        users.add(user, kept)
        items.add(item, kept)
        timestamps.append(timestamp[kept])
        weights.append((events[kept] * factors[kept]).astype(np.float32))
        bought.append(events[kept] == heaviest)
    return Purchases(
        users=users,
        items=items,
        timestamp=np.concatenate([np.empty(0, np.int64), *timestamps]),
        weight=np.concatenate([np.empty(0, np.float32), *weights]),
        bought=np.concatenate([np.empty(0, np.bool_), *bought]),
        ignored=ignored,
    )


def _timestamps(batch: Batch, as_of: int) -> Int64Array:
    moments = batch.read("moment", "timestamp")
    missing = moments.is_null().to_numpy(zero_copy_only=False)
    seconds: Int64Array = pc.fill_null(moments, 0).to_numpy()
    batch.refuse(missing, "timestamp", "is empty")
    batch.refuse(seconds > as_of, "timestamp", "lies in the future, after the run's as_of")
    return seconds


def _event_weights(batch: Batch, settings: Input) -> Float64Array:
    """float64 (n,): 0 for types that the campaign does not name."""
    if "event_type" not in batch.columns:
        return np.full(len(batch), settings.event_weights.get(DEFAULT_EVENT, 0.0))
    encoded = pc.fill_null(batch.read("text", "event_type"), DEFAULT_EVENT).dictionary_encode()
    weights = np.array([settings.event_weights.get(name.strip(), 0.0) for name in encoded.dictionary.to_pylist()])
    chosen: Float64Array = weights[encoded.indices.to_numpy()]
    return chosen


def _value_factors(batch: Batch, settings: Input) -> Float64Array:
    """float64 (n,): what the value makes of the weight; 0 where it is no signal, 1 where there is no value."""
    if "value" not in batch.columns:
        return np.ones(len(batch))
    values = batch.read("number", "value")
    missing = values.is_null().to_numpy(zero_copy_only=False)
    value: Float64Array = pc.fill_null(values, 1.0).to_numpy()
    batch.refuse(np.isnan(value), "value", "is NaN")
    batch.refuse(value < 0, "value", "is negative")
    batch.refuse(value > MAX_VALUE, "value", f"is over {MAX_VALUE:,.0f}")
    value = np.where(batch.check.ok, value, 0.0)
    factor = {"none": np.ones_like(value), "log1p": np.log1p(value), "linear": value}[settings.value_weight]
    positive: BoolArray = np.ones(len(value), bool)
    if settings.positive_from is not None:
        positive = value >= settings.positive_from
    return np.where(missing, 1.0, np.where(positive, factor, 0.0))
