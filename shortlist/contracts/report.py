"""`report.json`: what a run did, in figures. The runs table stores it too, so it stays small however large the shop."""

import msgspec

from shortlist.contracts.attribution import MailingReport
from shortlist.contracts.lists import ListKind
from shortlist.contracts.metrics import EpochFigures, GroupMetrics
from shortlist.contracts.records import RunStatus
from shortlist.contracts.summaries import RejectReason


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of the shop's tables: used, and set aside."""

    users: int
    items: int
    interactions: int
    rejected: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Averages over the evaluated users, as `contracts.metrics.ListMetrics` describes them."""

    recall_at_x: float
    ndcg_at_x: float
    coverage: float
    map_at_x: float = 0.0
    hit_rate_at_x: float = 0.0
    novelty: float = 0.0
    mean_popularity: float = 0.0
    diversity: float = 0.0


class KindFigures(Figures, frozen=True, kw_only=True):
    """One list kind: the model's figures, and those of what it is compared with.

    Attributes:
        popularity, buy_it_again: baselines; None where one is not measured on this kind.
        published: the run that was published before; None where there is none, or it was measured in another way.
        users: who bought something of this kind in the held-out part.
        groups: some of them, and new users and new items.
        bought_mean_popularity: `mean_popularity` of what they bought.
    """

    popularity: Figures | None
    buy_it_again: Figures | None
    users: int
    published: Figures | None = None
    groups: tuple[GroupMetrics, ...] = ()
    bought_mean_popularity: float = 0.0

    @property
    def by_name(self) -> dict[str, Figures]:
        """`model`, then what was measured beside it."""
        model = Figures(**{name: getattr(self, name) for name in Figures.__struct_fields__})
        others = {
            "popularity": self.popularity,
            "buy_it_again": self.buy_it_again,
            "published": self.published,
        }
        return {"model": model} | {name: figures for name, figures in others.items() if figures is not None}


class Metrics(KindFigures, frozen=True, kw_only=True):
    """Of the hold-out; the figures at the top are those of the campaign's first list, all kinds stand in `kinds`.

    `epochs` are those of the fits, as `contracts.metrics.HoldoutMetrics` has them.
    """

    x: int
    split: str
    kinds: dict[ListKind, KindFigures]
    epochs: tuple[EpochFigures, ...] = ()


class ListsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The lists that were made.

    Attributes:
        places: with an item on them, over all users and kinds.
        filled: of those with what is popular, for users of whom nothing is known.
        short: lists of fewer than x items by kind, where no further item kept the rules.
        reasons: places by the kind of their reason.
    """

    places: int = 0
    filled: int = 0
    short: dict[ListKind, int] = {}
    reasons: dict[str, int] = {}

    @property
    def filled_share(self) -> float:
        return self.filled / self.places if self.places else 0.0


class IndexReport(msgspec.Struct, frozen=True, kw_only=True):
    """The k-NN index; `recall_at_x` against exact search."""

    factory: str
    recall_at_x: float
    n_items: int
    dims: int
    size_bytes: int
    fell_back: bool


class StageReport(msgspec.Struct, frozen=True, kw_only=True):
    """A stage; those that run per shard are summed (seconds) and maxed (memory).

    Attributes:
        seconds: of work, over all shards.
        peak_rss_mib: of the largest shard.
        shards: 0 where the stage runs once for the run.
        started_s, ended_s: from the start of the execution; None where an earlier execution of the run did the work.
        ran_as: function or job; both where shards of one stage were ranked by either.
    """

    name: str
    seconds: float
    peak_rss_mib: float
    shards: int = 0
    started_s: float | None = None
    ended_s: float | None = None
    ran_as: str = ""


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the quality gate said; `published_run` is the run it compared with."""

    publish: bool
    reasons: tuple[str, ...]
    published_run: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of report.json.

    Attributes:
        lists: the kinds that the campaign makes; the first is the one that is mailed.
        lists_written: users whose lists are stored.
        made: how full the lists are.
        mails_sent: accepted by the mail service, each to one recipient.
        mails_suppressed: recipients left out, counted by cause in `suppressed_by_cause`.
        mails_rejected: refused by the mail service for good.
        mails_in_doubt: handed over without an answer; not sent again.
        mails_held_out: recipients of the control group, whom the others are compared with.
        mails_without_list: recipients with no item that has a title on the list that is mailed.
        mails_waiting: recipients who still waited when the mailing ended; resuming the run mails them.
        mailable: users with an address who are subscribed, as the input says.
        campaign_source: in words, where the campaign file lay.
        mailings: the campaign's earlier ones, the newest first, and what they brought.
        seconds_total: from the start of this execution to the report.
    """

    run_id: str
    campaign: str
    status: RunStatus
    as_of: str
    lists: tuple[ListKind, ...]
    counts: Counts
    lists_written: int
    made: ListsReport = ListsReport()
    mails_sent: int
    mails_suppressed: int
    mails_rejected: int
    mails_in_doubt: int
    mails_without_list: int
    mails_waiting: int = 0
    mails_held_out: int = 0
    suppressed_by_cause: dict[str, int]
    mailable: int
    campaign_source: str
    metrics: Metrics
    index: IndexReport
    gate: GateReport
    stages: tuple[StageReport, ...]
    seconds_total: float
    reject_reasons: tuple[RejectReason, ...]
    mailings: tuple[MailingReport, ...] = ()
