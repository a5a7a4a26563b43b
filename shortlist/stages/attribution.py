"""Earlier mailings of a campaign, the responses to them and the purchases since in; what came of each mailing out."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shortlist.attribution import Conversions, Pairs, Recipients, conversions, purchases_of
from shortlist.contracts.arrays import BoolArray, Int32Array, Int64Array
from shortlist.contracts.attribution import Arm, Attribution, ItemFigures
from shortlist.contracts.inputs import PinnedRun
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.payloads import Run
from shortlist.contracts.records import Response, ResponseKind
from shortlist.dataset.build import Built
from shortlist.dataset.ids import rows_of
from shortlist.lift import lift
from shortlist.mail.delivery import Outcome
from shortlist.mail.experiment import VARIANTS
from shortlist.ports import ObjectStore
from shortlist.stages.mailings import Mailed

MAILINGS: Final = 4
"""So many earlier mailings are looked at again by every run: purchases come in for weeks."""
ITEMS: Final = 50
"""Products named for each mailing."""
DAY_S: Final = 86_400


def attribute(
    run: Run,
    days: float,
    built: Built,
    responses: Sequence[Response],
    mailings: Sequence[Mailed],
    *,
    store: ObjectStore,
) -> list[Attribution]:
    """What came of these mailings, in their order; those that nobody stood to compare in are left out.

    Args:
        days: how long a purchase counts for a message or a click.
        responses: of people.
    """
    found = (_Mailing(run, days, built, responses, mailing, store).attribution() for mailing in mailings)
    return [one for one in found if one is not None]


class _Mailing:
    """One earlier mailing, along the rows of this run's dataset."""

    def __init__(
        self, run: Run, days: float, built: Built, responses: Sequence[Response], mailed: Mailed, store: ObjectStore
    ) -> None:
        self._run = run
        self._run_id = mailed.run_id
        self._days = days
        self._built = built
        self._n_items = len(built.dataset.item_ids)
        self._behind = _behind(mailed.run_id, store)
        compared = [one for one in _outcomes(mailed, store) if one.is_compared and one.at]
        rows = _rows([one.user_id for one in compared], built.users.ids)
        self._outcomes = [one for one, row in zip(compared, rows, strict=True) if row >= 0]
        self._recipients = self._laid_out(rows[rows >= 0])
        self._responses = [one for one in responses if (one.campaign, one.run_id) == (run.campaign, mailed.run_id)]

    def attribution(self) -> Attribution | None:
        """None where nobody can be compared."""
        if not self._outcomes:
            return None
        events, window_s = self._built.dataset.interactions, self._days * DAY_S
        bought = self._built.bought
        purchases = purchases_of(
            self._recipients,
            events.user_row[bought],
            events.item_row[bought],
            events.timestamp[bought],
            len(self._built.dataset.user_ids),
        )
        clicks = self._clicks()
        converted = conversions(self._recipients, purchases, clicks, window_s, self._n_items)
        arms = {name: self._arm(of, converted) for name, of in self._arms().items()}
        held_out = arms.pop("held_out")
        mailed = Arm(
            recipients=sum(arm.recipients for arm in arms.values()),
            bought=sum(arm.bought for arm in arms.values()),
            bought_shown=sum(arm.bought_shown for arm in arms.values()),
        )
        last = int(self._recipients.at.max()) + window_s
        a, b = arms["a"], arms["b"]
        return Attribution(
            campaign=self._run.campaign,
            run_id=self._run_id,
            sent_at=min(one.at for one in self._outcomes),
            days=self._days,
            complete=datetime.fromisoformat(self._run.as_of).timestamp() >= last,
            held_out=held_out,
            mailed={name: arm for name, arm in arms.items() if arm.recipients},
            opened=self._responded("opened"),
            clicked=self._responded("clicked"),
            not_interested=self._responded("not_interested"),
            unsubscribed=self._responded("unsubscribed"),
            bought_after_click=len(np.unique(converted.after_click // self._n_items)),
            lift=lift(mailed.bought, mailed.recipients, held_out.bought, held_out.recipients),
            lift_shown=lift(mailed.bought_shown, mailed.recipients, held_out.bought_shown, held_out.recipients),
            b_against_a=lift(b.bought, b.recipients, a.bought, a.recipients),
            b_against_a_shown=lift(b.bought_shown, b.recipients, a.bought_shown, a.recipients),
            items=tuple(self._items(clicks, converted)),
        )

    def _responded(self, kind: ResponseKind) -> int:
        return len({one.user_id for one in self._responses if one.kind == kind})

    def _laid_out(self, user_row: Int32Array) -> Recipients:
        shown = [_rows(list(one.items), self._built.items.ids) for one in self._outcomes]
        known = [np.unique(rows[rows >= 0]) for rows in shown]
        return Recipients(
            user_row=user_row,
            at=np.array([_epoch(one.at) - self._behind for one in self._outcomes], np.int64),
            indptr=np.cumsum([0, *map(len, known)]).astype(np.int64),
            item_rows=np.concatenate([np.empty(0, np.int32), *known]),
        )

    def _arms(self) -> dict[str, BoolArray]:
        """Who is of which group, bool (n_recipients,)."""
        held_out = np.array([one.outcome == "held_out" for one in self._outcomes])
        variant = np.array([one.variant or "a" for one in self._outcomes])
        return {"held_out": held_out} | {name: ~held_out & (variant == name) for name in VARIANTS}

    def _arm(self, of: BoolArray, converted: Conversions) -> Arm:
        return Arm(
            recipients=int(of.sum()),
            bought=int((of & converted.bought).sum()),
            bought_shown=int((of & converted.bought_shown).sum()),
        )

    def _clicks(self) -> Pairs:
        """Clicks on items by recipients whom the dataset knows."""
        place = {one.user_id: number for number, one in enumerate(self._outcomes)}
        clicked = [
            (place[one.user_id], one.item_id, _epoch(time) - self._behind)
            for one in self._responses
            if one.kind == "clicked" and one.user_id in place
            for time in one.times
        ]
        item_row = _rows([item_id for _, item_id, _ in clicked], self._built.items.ids)
        recipient = np.array([recipient for recipient, _, _ in clicked], np.int64)
        timestamp = np.array([time for _, _, time in clicked], np.int64)
        return Pairs(recipient[item_row >= 0], item_row[item_row >= 0], timestamp[item_row >= 0])

    def _items(self, clicks: Pairs, converted: Conversions) -> Iterator[ItemFigures]:
        """Of those who were mailed; the most shown products first."""
        mailed = ~self._arms()["held_out"]
        shown_to = np.repeat(mailed, np.diff(self._recipients.indptr))
        clicked = np.unique(clicks.recipient * self._n_items + clicks.item_row)
        counts = {
            "shown": self._count(self._recipients.item_rows[shown_to]),
            "clicked": self._count(clicked % self._n_items),
            "bought": self._count(self._mailed(converted.shown_and_bought, mailed)),
            "bought_after_click": self._count(self._mailed(converted.after_click, mailed)),
        }
        most = np.argsort(-counts["shown"], kind="stable")[:ITEMS]
        for item in most[counts["shown"][most] > 0]:
            figures = {name: int(count[item]) for name, count in counts.items()}
            yield ItemFigures(item_id=self._built.dataset.item_ids[int(item)], **figures)

    def _count(self, item_rows: Int32Array | Int64Array) -> Int64Array:
        return np.bincount(item_rows, minlength=self._n_items)

    def _mailed(self, keys: Int64Array, mailed: BoolArray) -> Int64Array:
        """Item rows of the pairs whose recipient was mailed."""
        return keys[mailed[keys // self._n_items]] % self._n_items


def _outcomes(mailed: Mailed, store: ObjectStore) -> Iterator[Outcome]:
    decoder = msgspec.json.Decoder(Outcome)
    for key in mailed.outcomes:
        yield from decoder.decode_lines(store.read(key))


def _behind(run_id: str, store: ObjectStore) -> int:
    """How far a run looked at the past, in seconds: its purchases lie so long before its messages."""
    pinned = msgspec.json.decode(store.read(RunKeys(run_id).run), type=PinnedRun)
    behind = _epoch(pinned.started_at) - _epoch(pinned.as_of)
    return behind if behind > DAY_S else 0


def _rows(ids: list[str], words: pa.Array) -> Int32Array:
    """int32 (n,): −1 where an id is unknown."""
    rows: Int32Array = pc.fill_null(rows_of(pa.array(ids, pa.string()), words), -1).to_numpy(zero_copy_only=False)
    return rows.astype(np.int32)


def _epoch(moment: str) -> int:
    return int(datetime.fromisoformat(moment).astimezone(UTC).timestamp())
