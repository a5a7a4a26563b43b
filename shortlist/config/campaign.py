"""The whole campaign file as one frozen `Campaign`, and the settings that are of no other subject."""

from typing import Annotated

import msgspec

from shortlist.config.learning import Evaluation, Feedback, Index, Model
from shortlist.config.mailing import Mail
from shortlist.config.rules import Rules
from shortlist.config.tables import Input
from shortlist.config.values import Config
from shortlist.contracts.lists import ListKind, Wording
from shortlist.contracts.payloads import CAMPAIGN_NAME


class Schedule(Config, frozen=True, kw_only=True):
    """When EventBridge starts the run. `cron` has the six fields of EventBridge Scheduler."""

    cron: str = "0 6 ? * MON *"
    time_zone: str = "UTC"
    flexible_window_minutes: Annotated[int, msgspec.Meta(ge=0, le=1440)] = 15
    enabled: bool = True


class Shards(Config, frozen=True, kw_only=True):
    """How the work is cut for the Distributed Maps."""

    users: Annotated[int, msgspec.Meta(ge=1, le=200_000)] = 5_000
    recipients: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500


class Compute(Config, frozen=True, kw_only=True):
    """Where Repackage, BuildIndex and Rank run: each as a function as long as one is large enough, else as Batch jobs.

    Attributes:
        function_memory_mib: what a stage may be reckoned to need as a function; None: as much as the functions have;
            0: it is always a job.
    """

    function_memory_mib: Annotated[int, msgspec.Meta(ge=0, le=10_240)] | None = None


class Campaign(Config, frozen=True, kw_only=True):
    """One campaign: what is learned, listed, mailed, and when.

    Attributes:
        name: lower case, digits and hyphens; part of keys, tags and the schedule's name.
        lists: the kinds made; the first is stored as `items` and mailed, the others are stored beside it.
        x: items on a list.
        export_csv: also leave the lists as CSV in the run, for other mail tools; JSON Lines are there in any case.
        keep_days: how long stored lists live, from the start of the run's first execution.
        wording: of the reasons: purchases ("which you bought"), or choices where nothing is bought (films, articles).
        mail: None: lists are stored, nobody is mailed.
    """

    name: Annotated[str, msgspec.Meta(pattern=CAMPAIGN_NAME)]
    description: str = ""
    schedule: Schedule | None = None
    lists: Annotated[tuple[ListKind, ...], msgspec.Meta(min_length=1)] = ("everything",)
    x: Annotated[int, msgspec.Meta(ge=1, le=200)] = 20
    export_csv: bool = False
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 60
    wording: Wording = "purchases"
    input: Input = Input()
    model: Model = Model()
    evaluation: Evaluation = Evaluation()
    index: Index = Index()
    rules: Rules = Rules()
    shards: Shards = Shards()
    compute: Compute = Compute()
    feedback: Feedback = Feedback()
    mail: Mail | None = None
