"""DynamoDB tables: key names, attribute names and the shapes behind them. One item per user and run."""

from typing import Final, Literal

import msgspec

from shortlist.contracts.lists import ListKind, Reason

RECOMMENDATIONS_KEY: Final = ("user_id", "run_id")
RUNS_KEY: Final = ("campaign", "run_id")
DELIVERIES_KEY: Final = ("campaign_run", "user_id")
SUPPRESSIONS_KEY: Final = ("address_hash",)
RESPONSES_KEY: Final = ("user_id", "response")
EXPIRES_AT: Final = "expires_at"
"""Epoch seconds; the time-to-live attribute of every table."""

CURRENT: Final = "@current"
"""Sort key of the pointer in the runs table; no run id can hold an `@`."""

MAX_ID_BYTES: Final = 1024
"""Ids are sort keys, which DynamoDB limits to 1,024 bytes; longer ones are rejected by Prepare."""

RunStatus = Literal["running", "held_back", "published", "completed", "failed", "stopped"]
"""stopped: its execution ended without a word, as one that somebody stopped does; shown and never stored."""

DeliveryState = Literal["claimed", "released", "sent", "rejected", "delivered", "bounced", "complained", "suppressed"]
"""claimed: by an execution that was about to send, so in doubt once that execution is gone; released: claimed, but the
mail service certainly did not take the message, so it may be claimed again; sent: accepted by the service; rejected:
refused by it for good; suppressed: not to be mailed (`detail` says why); the others come from the service's events."""

NOT_TAKEN: Final[frozenset[DeliveryState]] = frozenset(("released", "rejected"))
"""States of a message that the mail service certainly did not take: it mailed nobody."""

SETTLES: Final[dict[DeliveryState, tuple[DeliveryState, ...]]] = {
    "sent": ("claimed", "released"),
    "rejected": ("claimed", "released", "sent"),
    "delivered": ("claimed", "released", "sent"),
    "bounced": ("claimed", "released", "sent", "delivered"),
    "complained": ("claimed", "released", "sent", "delivered", "bounced"),
}
"""What an event of the mail service may replace: events come late, twice and in any order, and the worst news stays."""


class StoredItem(msgspec.Struct, frozen=True):
    """One place on a stored list. Titles and prices are in the shop's own catalogue and in `topx/`."""

    item_id: str
    score: float
    reason: Reason


class StoredLists(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `recommendations`. `items` is the campaign's first list, `more` holds the others by kind.

    Attributes:
        generated_at: ISO 8601 UTC, the run's `as_of`.
        model_run: the run whose model scored the items (another run's where `reuse_model` was given).
    """

    user_id: str
    run_id: str
    items: tuple[StoredItem, ...]
    more: dict[ListKind, tuple[StoredItem, ...]]
    generated_at: str
    model_run: str
    expires_at: int


class CurrentRun(msgspec.Struct, frozen=True, kw_only=True):
    """The pointer that consumers follow: which run's lists are the published ones."""

    campaign: str
    run_id: str
    published_at: str
    previous_run_id: str = ""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `runs`.

    Attributes:
        report: the content of report.json once the run has ended.
        execution: ARN of the newest execution.
    """

    campaign: str
    run_id: str
    status: RunStatus
    started_at: str
    as_of: str
    finished_at: str = ""
    message: str = ""
    report: str = ""
    execution: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `deliveries`, the send ledger: claimed before SES is called, sent once SES has answered.

    Attributes:
        claimed_by: unique to one attempt of one Lambda at one message; only it may record the outcome.
        detail: cause of a suppression, a rejection or a bounce; when it was delivered.
    """

    campaign_run: str
    user_id: str
    state: DeliveryState
    claimed_at: str
    claimed_by: str
    message_id: str = ""
    detail: str = ""


ResponseKind = Literal["opened", "clicked", "scanned", "not_interested", "unsubscribed"]
"""scanned: opened or clicked by a machine, as its name or its haste says; the others are taken for a person's."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An item of `responses`: what a recipient did with a message of a run.

    Attributes:
        item_id: which item; empty where it concerns the whole message.
        times: when, each once, ascending (ISO 8601 UTC, one form throughout); a machine that comes again and again
            is noted so many times and no more.
    """

    user_id: str
    item_id: str
    kind: ResponseKind
    campaign: str
    run_id: str
    times: tuple[str, ...]

    @property
    def at(self) -> str:
        """When first."""
        return self.times[0]


class Failure(msgspec.Struct, frozen=True):
    """`failures/<stage>.json`: why a job ended, written by the job itself.

    Attributes:
        error: class name, as in errors.py.
        execution: `Run.execution` of the job, so that the failure of an earlier execution is not taken for this one's.
    """

    error: str
    message: str
    execution: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an address before it is mailed: an item of `suppressions`.

    Attributes:
        cause: why it must not be mailed; empty where it may.
        less_often: its owner wants one message in `LESS_OFTEN_DAYS` at most, from all campaigns together.
        paused_until: ISO 8601 UTC; its owner wants none before.
    """

    cause: str = ""
    less_often: bool = False
    paused_until: str = ""


LESS_OFTEN_DAYS: Final = 28
PAUSE_DAYS: Final = 30

MailingOrder = Literal["go", "pause", "stop"]


class MailingState(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender asks before it goes on: the team's order for the campaign, and what became of the run's messages.

    The counts are of messages, each by the worst that is known of it, as the mail service's events say.
    """

    order: MailingOrder = "go"
    delivered: int = 0
    bounced: int = 0
    complained: int = 0


def campaign_run(campaign: str, run_id: str) -> str:
    """Partition key of the ledger."""
    return f"{campaign}#{run_id}"
