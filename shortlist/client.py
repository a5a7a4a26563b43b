"""For the shop's own pages: a user in, the lists of the published run out; one run or the other, never a mixture."""

from datetime import datetime, timedelta

from shortlist.contracts.records import CurrentRun, StoredLists
from shortlist.ports import Clock, ListsTable, RunsTable


class Client:
    """Reads what was published.

    A user's lists are one item of one run, and the pointer moves once all of a run's items stand, so that every answer
    is whole. A new run is seen after `pointer_s` seconds at the latest. An answer takes a GetItem and 0.04 ms of its
    own (`python -m bench client`).

    Args:
        lists: for example shortlist.aws.lists.DynamoListsTable.
        runs: for example shortlist.aws.runs.DynamoRunsTable.
        clock: for example shortlist.aws.clock.SystemClock.
        pointer_s: how long a pointer that was read is followed without reading it again.
    """

    def __init__(self, lists: ListsTable, runs: RunsTable, clock: Clock, *, pointer_s: float = 5.0) -> None:
        self._lists = lists
        self._runs = runs
        self._clock = clock
        self._pointer_age = timedelta(seconds=pointer_s)
        self._pointers: dict[str, tuple[datetime, CurrentRun | None]] = {}

    def top(self, user_id: str, campaign: str) -> StoredLists | None:
        """The user's published lists; None where nothing is published, or not for this user."""
        pointer = self._pointer(campaign)
        return self._lists.get(user_id, pointer.run_id) if pointer else None

    def _pointer(self, campaign: str) -> CurrentRun | None:
        now = self._clock.now()
        read_at, pointer = self._pointers.get(campaign, (None, None))
        if read_at is None or now - read_at >= self._pointer_age:
            pointer = self._runs.current(campaign)
            self._pointers[campaign] = now, pointer
        return pointer
