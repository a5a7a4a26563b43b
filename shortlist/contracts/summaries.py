"""What Report reads in the manifests' `summary`: counts of each stage. A stage may put more beside these keys."""

import msgspec

from shortlist.contracts.lists import ListKind


class RejectReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why rows of an input table were set aside: the reason in words, how many rows, and where the first one stands."""

    table: str
    reason: str
    rows: int
    example: str = ""  # "purchases.csv line 17"; never a row's content


class PrepareSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Of Prepare: rows that are used, rows that were set aside, and the worst reasons, most rows first."""

    users: int
    items: int
    interactions: int
    rejected: int
    reject_reasons: tuple[RejectReason, ...] = ()
    mailable: int = 0  # users with a usable address who are subscribed
    campaign_source: str = ""  # in words, where the campaign file lay


class RankSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Of one shard of Rank: places on lists, those filled with what is popular, lists that are short, by reason."""

    listed: int = 0
    filled: int = 0
    short: dict[ListKind, int] = {}
    reasons: dict[str, int] = {}


class WriteTopXSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Of one shard of WriteTopX: users whose lists are stored."""

    lists_written: int


class SendEmailsSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Of one shard of SendEmails: its recipients by outcome, as the ledger has them after the shard is done.

    Attributes:
        sent: accepted by the mail service, in whichever attempt of the shard.
        already_sent: of those sent, by earlier attempts.
        suppressed: not to be mailed; by cause: unsubscribed, bounced, complained, erased, paused (by the recipient),
            same_address (another user of this run has it), mailed_recently (by another run, within the campaign's
            min_days_between), less_often (as mailed_recently, by the recipient's own wish).
        rejected: refused by the mail service for good.
        in_doubt: claimed by an attempt that ended without an answer; not mailed again.
        without_list: had no item with a title on the list that is mailed.
        held_out: of the control group, which is not mailed.
        waiting: not mailed yet, as their send window is closed, the day's quota is used up or the campaign is paused.
        resume_at: when the first of them may be mailed, ISO 8601 UTC; empty where nobody waits.
    """

    sent: int
    suppressed: int
    rejected: int = 0
    in_doubt: int = 0
    recipients: int = 0
    already_sent: int = 0
    without_list: int = 0
    held_out: int = 0
    waiting: int = 0
    resume_at: str = ""
    suppressed_by_cause: dict[str, int] = {}
