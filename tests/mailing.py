"""A run that stands before SendEmails, in memory, and mail services that fail in the ways the real one can."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from shortlist.config import Campaign, Mail
from shortlist.contracts.keys import RunKeys, shard_name
from shortlist.contracts.lists import ListedItem, Reason, Recipient, UserLists
from shortlist.contracts.manifests import Manifest
from shortlist.contracts.payloads import Run
from shortlist.errors import MessageRejectedError, TransientError
from shortlist.mail.token import Keys
from shortlist.ports import OutgoingMessage
from shortlist.stages.send_emails import send_emails
from tests.fakes import FixedClock, MemoryLedger, MemoryStore, MemorySuppressions, MemoryTransport

KEYS = Keys("1", {"1": "k" * 64})
ONE_SENDER = 20.0
"""Messages a second for which a shard needs one thread, so that messages go out in the recipients' order."""
URL = "https://unsubscribe.example.com/"
MAIL = Mail(
    sender="hello@shop.example.com",
    sender_name="Corner Shop",
    shop_name="Corner Shop",
    shop_url="https://shop.example.com/",
    postal_address="Corner Shop, 1 Main Street, Springfield",
    items=3,
    control_share=0,
)
CAMPAIGN = Campaign(name="weekly-picks", lists=("new_for_you", "buy_again"), mail=MAIL)
RUN = Run(run_id="r1", campaign="weekly-picks", as_of="2026-01-05T06:00:00+00:00")


class Killed(BaseException):
    """The process is gone; nothing of it may run any more."""


def recipient(number: int, **fields: str) -> Recipient:
    return Recipient(
        **{
            "user_id": f"user-{number:05d}",
            "user_row": number,
            "email": f"user{number}@example.com",
            "first_name": "Ann",
            "locale": "en-GB",
            **fields,
        }
    )


def item(number: int, **fields: object) -> ListedItem:
    defaults = {
        "item_id": f"item-{number}",
        "score": 1.0 - number / 100,
        "reason": Reason("popular"),
        "title": f"Product {number}",
        "price": 4.99 + number,
        "currency": "EUR",
        "url": f"https://shop.example.com/product/{number}",
    }
    return ListedItem(**{**defaults, **fields})


@dataclass
class Mailing:
    """One run with its shards of recipients and everything SendEmails touches."""

    recipients: list[Recipient]
    campaign: Campaign = CAMPAIGN
    run: Run = RUN
    per_shard: int = 500
    store: MemoryStore = field(default_factory=MemoryStore)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    suppressions: MemorySuppressions = field(default_factory=MemorySuppressions)
    transport: MemoryTransport = field(default_factory=lambda: MemoryTransport(max_per_second=ONE_SENDER))
    clock: FixedClock = field(default_factory=FixedClock)
    remaining_s: Callable[[], float] = lambda: 900.0
    attempts: int = 0
    untitled: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        keys = RunKeys(self.run.run_id)
        self.store.write(keys.campaign, msgspec.json.encode(self.campaign))
        lists = {"new_for_you": tuple(self._item(number) for number in range(4)), "buy_again": (item(9),)}
        lines = [UserLists(user_id=one.user_id, user_row=one.user_row, lists=lists) for one in self.recipients]
        self.store.write(keys.topx(shard_name(0)), msgspec.json.Encoder().encode_lines(lines))
        self.write_rank_manifest()
        self.keys = []
        for part, start in enumerate(range(0, len(self.recipients), self.per_shard)):
            key = keys.recipient_shard(shard_name(0), part)
            shard = self.recipients[start : start + self.per_shard]
            self.store.write(key, msgspec.json.Encoder().encode_lines(shard))
            self.keys.append(key)

    def _item(self, number: int) -> ListedItem:
        return item(number, title="") if number in self.untitled else item(number)

    def write_rank_manifest(self, inputs: str = "") -> None:
        manifest = Manifest(
            stage="Rank", inputs=inputs, outputs={}, summary={"lists": inputs}, seconds=0, peak_rss_mib=0
        )
        key = RunKeys(self.run.run_id).manifest("Rank", shard_name(0))
        self.store.write(key, msgspec.json.encode(manifest))

    def send(self, key: str | None = None) -> tuple[Manifest, bool]:
        """One attempt at one shard, as the Lambda makes it."""
        self.attempts += 1
        return send_emails(
            self.run,
            key or self.keys[0],
            store=self.store,
            ledger=self.ledger,
            suppressions=self.suppressions,
            transport=self.transport,
            clock=self.clock,
            keys=KEYS,
            unsubscribe_url=URL,
            attempt=f"attempt-{self.attempts}",
            remaining_s=self.remaining_s,
        )

    def deliveries(self) -> Counter[str]:
        """Messages that the mail service took, by address."""
        return Counter(message.recipient for message in self.transport.messages)

    def outcomes(self) -> dict[str, str]:
        """What the outcome files say of each recipient."""
        return {row["user_id"]: row["outcome"] for row in self.outcome_lines()}

    def outcome_lines(self) -> list[dict[str, object]]:
        """The lines of the outcome files."""
        stored = self.store.list(RunKeys(self.run.run_id).outcomes_prefix)
        return [msgspec.json.decode(line) for one in stored for line in self.store.read(one.key).splitlines()]


class FaultyTransport(MemoryTransport):
    """Does what `faults` says, once, for the message to that address; everything else is taken.

    throttled: not taken. rejected: refused for good. lost: taken, but the answer never comes. refused_connection: any
    other error, not taken, which the sender cannot know. killed_before, killed_after: the sender dies around the send.
    """

    def __init__(self, faults: dict[str, str] | None = None) -> None:
        super().__init__(max_per_second=ONE_SENDER)
        self.faults = faults or {}

    def send(self, message: OutgoingMessage) -> str:
        match self.faults.pop(message.recipient, ""):
            case "throttled":
                raise TransientError("slow down")
            case "rejected":
                raise MessageRejectedError("never")
            case "lost":
                super().send(message)
                raise TimeoutError("no answer")
            case "refused_connection":
                raise ConnectionError("no answer")
            case "killed_before":
                raise Killed
            case "killed_after":
                super().send(message)
                raise Killed
        return super().send(message)


class RandomTransport(FaultyTransport):
    """Draws a fault for one message in `one_in`."""

    def __init__(self, rng: random.Random, one_in: int) -> None:
        super().__init__()
        self._rng = rng
        self.one_in = one_in

    def send(self, message: OutgoingMessage) -> str:
        kinds = ("throttled", "rejected", "lost", "refused_connection", "killed_before", "killed_after")
        if self._rng.randrange(self.one_in) == 0:
            self.faults[message.recipient] = self._rng.choice(kinds)
        return super().send(message)
