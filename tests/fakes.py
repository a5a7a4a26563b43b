"""The ports in memory. They keep the laws of the real ones: whole writes, conditional claims, ordered listings."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from shortlist.contracts.manifests import Output
from shortlist.contracts.records import (
    NOT_TAKEN,
    SETTLES,
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
from shortlist.errors import MissingObjectError, PublishError
from shortlist.ports import OutgoingMessage, SendQuota, StoredObject


class MemoryStore:
    """ObjectStore in a dict. `writes` counts writes per key."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.writes: dict[str, int] = {}

    def read(self, key: str) -> bytes:
        if key not in self.objects:
            raise MissingObjectError(f"memory://{key} is not there.")
        return self.objects[key]

    def write(self, key: str, body: bytes) -> Output:
        self.objects[key] = bytes(body)
        self.writes[key] = self.writes.get(key, 0) + 1
        return Output(hashlib.sha256(body).hexdigest(), len(body))

    def write_if_absent(self, key: str, body: bytes) -> bool:
        if key in self.objects:
            return False
        self.write(key, body)
        return True

    def download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.read(key))

    def upload(self, path: Path, key: str) -> Output:
        return self.write(key, path.read_bytes())

    def exists(self, key: str) -> bool:
        return key in self.objects

    def list(self, prefix: str) -> Iterator[StoredObject]:
        for key in sorted(self.objects):
            if key.startswith(prefix):
                body = self.objects[key]
                yield StoredObject(key, len(body), hashlib.md5(body).hexdigest())

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)


class FixedClock:
    """Stands still; `sleep` moves it."""

    def __init__(self, now: datetime = datetime(2026, 1, 5, 6, tzinfo=UTC)) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)


class MemoryListsTable:
    """ListsTable in a dict."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], StoredLists] = {}

    def put(self, lists: Iterable[StoredLists]) -> int:
        count = 0
        for entry in lists:
            self.items[entry.user_id, entry.run_id] = entry
            count += 1
        return count

    def get(self, user_id: str, run_id: str) -> StoredLists | None:
        return self.items.get((user_id, run_id))

    def find(self, user_ids: Sequence[str], run_id: str) -> Mapping[str, StoredLists]:
        return {user: self.items[user, run_id] for user in user_ids if (user, run_id) in self.items}

    def forget(self, user_id: str) -> int:
        theirs = [key for key in self.items if key[0] == user_id]
        for key in theirs:
            del self.items[key]
        return len(theirs)


class MemoryRunsTable:
    """RunsTable in dicts."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], RunRecord] = {}
        self.pointers: dict[str, CurrentRun] = {}

    def put(self, record: RunRecord) -> None:
        self.records[record.campaign, record.run_id] = record

    def get(self, campaign: str, run_id: str) -> RunRecord | None:
        return self.records.get((campaign, run_id))

    def list(self, campaign: str) -> Sequence[RunRecord]:
        found = [record for (name, _), record in self.records.items() if name == campaign]
        return sorted(found, key=lambda record: record.started_at, reverse=True)

    def all(self) -> Iterator[RunRecord]:
        return iter(self.records.values())

    def current(self, campaign: str) -> CurrentRun | None:
        return self.pointers.get(campaign)

    def move_current(self, pointer: CurrentRun) -> None:
        standing = self.pointers.get(pointer.campaign)
        if standing is not None and standing.run_id == pointer.run_id:
            return
        if (standing.run_id if standing else "") != pointer.previous_run_id:
            raise PublishError(f"{pointer.campaign} points at another run meanwhile.")
        self.pointers[pointer.campaign] = pointer


class MemoryLedger:
    """Ledger in dicts: entries by campaign_run and user, claims on addresses by hash. Threads may claim at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.deliveries: dict[tuple[str, str], Delivery] = {}
        self.addresses: dict[str, Delivery] = {}
        self.orders: dict[str, MailingOrder] = {}
        self.events: dict[str, Counter[str]] = {}

    def claim(self, delivery: Delivery, *, address_hash: str, since: str) -> Delivery | None:
        with self._lock:
            return self._claim(delivery, address_hash, since)

    def _claim(self, delivery: Delivery, address_hash: str, since: str) -> Delivery | None:
        key = (delivery.campaign_run, delivery.user_id)
        standing = self.deliveries.get(key)
        if standing and standing.state != "released" and standing.claimed_by != delivery.claimed_by:
            return standing
        holder = self.addresses.get(address_hash)
        of_another = holder is not None and (holder.campaign_run, holder.user_id) != key
        if of_another and (holder.campaign_run == delivery.campaign_run or self._counts(holder, since)):
            return holder
        if address_hash:
            self.addresses[address_hash] = delivery
        self.deliveries[key] = delivery
        return None

    def _counts(self, holder: Delivery, since: str) -> bool:
        """Whether this claim on an address is young enough, and its message not certainly untaken."""
        entry = self.deliveries.get((holder.campaign_run, holder.user_id), holder)
        nothing = entry.claimed_by == holder.claimed_by and entry.state in NOT_TAKEN
        return holder.claimed_at >= since and not nothing

    def record(self, delivery: Delivery) -> None:
        standing = self.deliveries[delivery.campaign_run, delivery.user_id]
        if standing.state == "claimed" and standing.claimed_by == delivery.claimed_by:
            self.deliveries[delivery.campaign_run, delivery.user_id] = delivery

    def settle(self, campaign_run: str, user_id: str, state: DeliveryState, detail: str) -> DeliveryState | None:
        standing = self.deliveries.get((campaign_run, user_id))
        if standing is None or standing.state not in SETTLES[state]:
            return None
        self.deliveries[campaign_run, user_id] = replace(standing, state=state, detail=detail)
        return standing.state

    def count(self, campaign_run: str, changes: Mapping[DeliveryState, int], at: str) -> None:
        self.events.setdefault(campaign_run, Counter()).update(changes)

    def mailing_state(self, campaign: str, campaign_run: str) -> MailingState:
        events = self.events.get(campaign_run, Counter())
        return MailingState(
            order=self.orders.get(campaign, "go"),
            delivered=events["delivered"],
            bounced=events["bounced"],
            complained=events["complained"],
        )

    def give_order(self, campaign: str, order: MailingOrder, at: str) -> None:
        self.orders[campaign] = order

    def find(self, campaign_run: str, user_ids: Sequence[str]) -> Mapping[str, Delivery]:
        found = ((user_id, self.deliveries.get((campaign_run, user_id))) for user_id in user_ids)
        return {user_id: entry for user_id, entry in found if entry}

    def forget(self, user_id: str, campaign_runs: Sequence[str], address_hashes: Sequence[str]) -> int:
        for address_hash in address_hashes:
            self.addresses.pop(address_hash, None)
        theirs = [(run, user_id) for run in campaign_runs if (run, user_id) in self.deliveries]
        for key in theirs:
            del self.deliveries[key]
        return len(theirs)

    def entries(self, campaign_run: str) -> Iterator[Delivery]:
        for (partition, _), delivery in sorted(self.deliveries.items(), key=lambda pair: pair[0][1].encode()):
            if partition == campaign_run:
                yield delivery


class MemorySuppressions:
    """Suppressions in dicts."""

    def __init__(self) -> None:
        self.standings: dict[str, Standing] = {}
        self.soft_bounces: dict[str, set[str]] = {}

    @property
    def causes(self) -> dict[str, str]:
        return {key: standing.cause for key, standing in self.standings.items() if standing.cause}

    def standing(self, address_hashes: Sequence[str]) -> Mapping[str, Standing]:
        return {key: self.standings[key] for key in address_hashes if key in self.standings}

    def add(self, address_hash: str, cause: str, at: str) -> None:
        standing = self.standings.get(address_hash, Standing())
        self.standings[address_hash] = replace(standing, cause=standing.cause or cause)

    def prefer(self, address_hash: str, *, less_often: bool, paused_until: str, at: str) -> bool:
        if address_hash in self.causes:
            return False
        self.standings[address_hash] = Standing(less_often=less_often, paused_until=paused_until)
        return True

    def erase(self, address_hash: str, at: str) -> None:
        self.standings[address_hash] = Standing(cause=self.causes.get(address_hash, "erased"))
        self.soft_bounces.pop(address_hash, None)

    def add_soft_bounce(self, address_hash: str, event_id: str, at: str) -> int:
        events = self.soft_bounces.setdefault(address_hash, set())
        events.add(event_id)
        return len(events)


class MemoryResponses:
    """Responses in a dict, by what tells them apart."""

    def __init__(self, *responses: Response) -> None:
        self.noted: dict[tuple[str, ...], Response] = {}
        for response in responses:
            self.note(response)

    def note(self, response: Response) -> None:
        key = (response.user_id, response.campaign, response.run_id, response.kind, response.item_id)
        known = self.noted[key].times if key in self.noted else ()
        if len(known) < 20:
            self.noted[key] = replace(response, times=tuple(sorted({*known, *response.times})))

    def of_run(self, campaign: str, run_id: str) -> Iterator[Response]:
        return (one for one in self.noted.values() if (one.campaign, one.run_id) == (campaign, run_id))

    def all(self) -> Iterator[Response]:
        return iter(self.noted.values())

    def forget(self, user_id: str) -> int:
        theirs = [key for key in self.noted if key[0] == user_id]
        for key in theirs:
            del self.noted[key]
        return len(theirs)


class MemoryTransport:
    """MailTransport that keeps what it accepted."""

    def __init__(self, max_per_second: float = 1_000.0) -> None:
        self.messages: list[OutgoingMessage] = []
        self.max_per_second = max_per_second

    def send(self, message: OutgoingMessage) -> str:
        self.messages.append(message)
        return f"message-{len(self.messages)}"

    def quota(self) -> SendQuota:
        return SendQuota(
            max_per_second=self.max_per_second, max_per_day=1_000_000, sent_last_day=float(len(self.messages))
        )


class MemoryNotifier:
    """Notifier that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def notify(self, subject: str, body: str) -> None:
        self.told.append((subject, body))
