"""Ports: what the stages need of the world. `shortlist.aws` implements them with boto3, `tests/fakes.py` in memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from shortlist.contracts.manifests import Output
from shortlist.contracts.records import (
    CurrentRun,
    Delivery,
    DeliveryState,
    MailingOrder,
    MailingState,
    Response,
    RunRecord,
    Standing,
    StoredLists,
)

Progress = Callable[[str, dict[str, Any]], None]
"""Called with the name of an event and its figures: one line of the log of a job that takes minutes."""


class StoredObject(msgspec.Struct, frozen=True):
    """An object as a listing shows it."""

    key: str
    size: int
    etag: str


class ObjectStore(Protocol):
    """The bucket. Writes are whole objects, visible at once or not at all."""

    def read(self, key: str) -> bytes:
        """Raises MissingObjectError where there is none."""

    def write(self, key: str, body: bytes) -> Output: ...

    def write_if_absent(self, key: str, body: bytes) -> bool:
        """True where this call wrote it, False where an object stood there already."""

    def download(self, key: str, path: Path) -> None:
        """Raises MissingObjectError where there is none."""

    def upload(self, path: Path, key: str) -> Output: ...

    def exists(self, key: str) -> bool: ...

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """In the order of the keys."""

    def delete(self, keys: Iterable[str]) -> None: ...


class ListsTable(Protocol):
    """`recommendations`."""

    def put(self, lists: Iterable[StoredLists]) -> int:
        """Write all of them, whatever it takes within the caller's time; returns how many.

        Raises TransientError when throttling does not end.
        """

    def get(self, user_id: str, run_id: str) -> StoredLists | None: ...

    def find(self, user_ids: Sequence[str], run_id: str) -> Mapping[str, StoredLists]:
        """The lists of many users, of those that have one; a hundred in one call."""

    def forget(self, user_id: str) -> int:
        """Delete a user's lists of every run; returns how many there were."""


class RunsTable(Protocol):
    """`runs` and the pointer of each campaign."""

    def put(self, record: RunRecord) -> None: ...

    def get(self, campaign: str, run_id: str) -> RunRecord | None: ...

    def list(self, campaign: str) -> Sequence[RunRecord]:
        """Newest first."""

    def all(self) -> Iterator[RunRecord]:
        """Of every campaign, in no order."""

    def current(self, campaign: str) -> CurrentRun | None: ...

    def move_current(self, pointer: CurrentRun) -> None:
        """Make `pointer` the published run, if the pointer still stands at `pointer.previous_run_id`.

        Raises PublishError where another run was published meanwhile. Moving to where it stands is no error.
        """


class Ledger(Protocol):
    """`deliveries`: nobody is mailed twice. Reads see every write that was answered before."""

    def claim(self, delivery: Delivery, *, address_hash: str, since: str) -> Delivery | None:
        """Take the right to mail a user in a run, and with it the address.

        Granted where the user has no entry, a released one, or one by the same `claimed_by`; and where nobody else was
        mailed at this address by the same run, nor anybody by another run at or after `since` (ISO 8601 UTC). A
        message that was certainly not taken (`NOT_TAKEN`) mailed nobody: other runs find its address free.

        Returns:
            None where this call made the claim; otherwise what stands in its way: the user's own entry, or the claim
            of another user or run on the address.
        """

    def record(self, delivery: Delivery) -> None:
        """Replace the claim of `delivery.claimed_by` by its outcome; without effect once the entry has moved on."""

    def settle(self, campaign_run: str, user_id: str, state: DeliveryState, detail: str) -> DeliveryState | None:
        """Note what the mail service says became of a message; see `SETTLES` for what it may replace.

        Returns:
            The state before; None where there is no such entry or it says more already.
        """

    def count(self, campaign_run: str, changes: Mapping[DeliveryState, int], at: str) -> None:
        """Add to a run's counts of messages by state, by which its mailing stops itself. `at` is now."""

    def mailing_state(self, campaign: str, campaign_run: str) -> MailingState:
        """The team's order, and what `count` was told."""

    def give_order(self, campaign: str, order: MailingOrder, at: str) -> None:
        """Pause or stop a campaign's mailing while it runs, or let it go on."""

    def find(self, campaign_run: str, user_ids: Sequence[str]) -> Mapping[str, Delivery]:
        """The entries of these users, those that have one."""

    def forget(self, user_id: str, campaign_runs: Sequence[str], address_hashes: Sequence[str]) -> int:
        """Delete a user's entries in these runs and who was last mailed at these addresses; returns how many entries.

        Whoever calls this has suppressed the addresses before, as nothing here knows any more that they were mailed.
        """

    def entries(self, campaign_run: str) -> Iterator[Delivery]:
        """All of a run, in the order of the user ids' UTF-8."""


class Suppressions(Protocol):
    """The will of the recipients: addresses that must not be mailed, or less, known by hash only.

    The hash is `shortlist.mail.address.address_hash`.
    """

    def standing(self, address_hashes: Sequence[str]) -> Mapping[str, Standing]:
        """hash -> what is known, for those of whom anything is."""

    def add(self, address_hash: str, cause: str, at: str) -> None:
        """Suppress from now on. The first cause stays."""

    def prefer(self, address_hash: str, *, less_often: bool, paused_until: str, at: str) -> bool:
        """Note how often the owner wants to be mailed, in place of what they wanted before.

        Returns:
            False where the address is suppressed, which this does not lift.
        """

    def erase(self, address_hash: str, at: str) -> None:
        """Suppress from now on, and forget all but the cause: `erased` where there was none before."""

    def add_soft_bounce(self, address_hash: str, event_id: str, at: str) -> int:
        """Count a temporary bounce, the same event once; returns how many there are. Does not suppress by itself."""


class Responses(Protocol):
    """`responses`: what recipients did with their messages."""

    def note(self, response: Response) -> None:
        """Add its times to what is known of the same user, item, kind and run; noting it twice changes nothing."""

    def of_run(self, campaign: str, run_id: str) -> Iterator[Response]:
        """All to the messages of a run, in no order."""

    def all(self) -> Iterator[Response]:
        """Of every user to every campaign, in no order. Reads the whole table."""

    def forget(self, user_id: str) -> int:
        """Delete all of a user's; returns how many there were."""


class OutgoingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient, one message: complete RFC 5322 bytes, as the preview shows them."""

    sender: str
    recipient: str
    mime: bytes
    tags: dict[str, str]


class SendQuota(msgspec.Struct, frozen=True, kw_only=True):
    """What the account may still send: messages a second, and messages in 24 hours (−1: no limit)."""

    max_per_second: float
    max_per_day: float
    sent_last_day: float


class MailTransport(Protocol):
    """Hands a message to a mail service."""

    def send(self, message: OutgoingMessage) -> str:
        """The service's message id.

        Raises TransientError where the service certainly did not take it (throttled), MessageRejectedError where it
        refuses this message for good, DailyQuotaError or ContractError where it would take none of this campaign's at
        the moment or as it is set up, and lets anything else through: then it is not known whether it was taken.
        """

    def quota(self) -> SendQuota: ...


class Notifier(Protocol):
    """Tells the team."""

    def notify(self, subject: str, body: str) -> None: ...


class Clock(Protocol):
    """Time is an argument."""

    def now(self) -> datetime:
        """Aware, UTC."""

    def sleep(self, seconds: float) -> None: ...
