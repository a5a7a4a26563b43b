"""Ports: what the stages need of the world. `shortlist.aws` implements them with boto3, `tests/fakes.py` in memory."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from shortlist.contracts.manifests import Output
from shortlist.contracts.records import CurrentRun, Delivery, RunRecord, StoredLists


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


class RunsTable(Protocol):
    """`runs` and the pointer of each campaign."""

    def put(self, record: RunRecord) -> None: ...

    def get(self, campaign: str, run_id: str) -> RunRecord | None: ...

    def list(self, campaign: str) -> Sequence[RunRecord]:
        """Newest first."""

    def current(self, campaign: str) -> CurrentRun | None: ...

    def move_current(self, pointer: CurrentRun) -> None:
        """Make `pointer` the published run, if the pointer still stands at `pointer.previous_run_id`.

        Raises PublishError where another run was published meanwhile. Moving to where it stands is no error.
        """


class Ledger(Protocol):
    """`deliveries`: nobody is mailed twice."""

    def claim(self, delivery: Delivery) -> Delivery | None:
        """None where this call made the claim; otherwise the entry that stands there (perhaps claimed, in doubt)."""

    def record(self, delivery: Delivery) -> None:
        """Replace the entry that `claim` made by its outcome."""

    def entries(self, campaign_run: str) -> Iterator[Delivery]: ...


class Suppressions(Protocol):
    """Addresses that must not be mailed, known by hash only (see shortlist.mail.address.address_hash)."""

    def suppressed(self, address_hashes: Sequence[str]) -> Mapping[str, str]:
        """hash -> cause (`unsubscribed`, `bounced`, `complained`), for those that are suppressed."""

    def add(self, address_hash: str, cause: str, at: str) -> None: ...


class OutgoingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient, one message: complete RFC 5322 bytes, as the preview shows them."""

    sender: str
    recipient: str
    mime: bytes
    tags: dict[str, str]


class SendQuota(msgspec.Struct, frozen=True, kw_only=True):
    """What the account may still send: messages a second, and messages in the next 24 hours."""

    max_per_second: float
    max_per_day: float
    sent_last_day: float


class MailTransport(Protocol):
    """Hands a message to a mail service."""

    def send(self, message: OutgoingMessage) -> str:
        """The service's message id.

        Raises TransientError where the service certainly did not take it (throttled), MessageRejectedError where it
        refuses this message for good, and lets anything else through: then it is not known whether it was taken.
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
