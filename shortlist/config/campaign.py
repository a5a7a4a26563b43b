"""The campaign file: parsed YAML in, one frozen `Campaign` out."""

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from shortlist.config.learning import Evaluation, Feedback, Index, Model
from shortlist.config.mailing import Mail
from shortlist.config.rules import Rules
from shortlist.config.tables import Input
from shortlist.config.values import Config, Positive
from shortlist.contracts.keys import MAX_PARTS
from shortlist.contracts.lists import ListKind, Wording
from shortlist.contracts.payloads import CAMPAIGN_NAME
from shortlist.errors import ContractError


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
    keep_days: Positive = 60
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


def campaign_from_mapping(value: Any, source: str, line_of: Callable[[str], int] = lambda path: 0) -> Campaign:
    """Check a parsed campaign file.

    Args:
        value: what the YAML or JSON parser gave.
        source: the file's name, for the message.
        line_of: the line on which a setting stands, by its path (`rules.max_price`); 0: nobody knows.

    Raises:
        ContractError: a key is unknown, missing or has a value out of range; names the file and the path of the key.
    """
    try:
        campaign = msgspec.convert(value, Campaign)
    except msgspec.ValidationError as error:
        path, what = _where(str(error))
        line = line_of(path)
        raise ContractError(
            f"{source}{f' line {line}' if line else ''}: at `{path or 'the top'}`: {what}. "
            "docs/data-contracts.md lists every setting."
        ) from error
    if len(set(campaign.lists)) != len(campaign.lists):
        raise ContractError(f"{source}: `lists` names a kind twice: {', '.join(campaign.lists)}. Name each once.")
    for name in ("interactions", "offers", "blocks"):
        if getattr(campaign.input, name).features:
            raise ContractError(
                f"{source}: `input.{name}.features` is set, but only items and users have features. Cure: leave it "
                "out, or move it to `input.items.features` with `input.items_from: interactions`."
            )
    if campaign.rules.rest_mailed_runs and campaign.mail is None:
        raise ContractError(
            f"{source}: `rules.rest_mailed_runs` is set, but the campaign mails nobody. Cure: add `mail`, or leave "
            "it out."
        )
    window = campaign.mail.send_window if campaign.mail else None
    if window and window.from_hour >= window.until_hour:
        raise ContractError(
            f"{source}: `mail.send_window` opens at {window.from_hour} and closes at {window.until_hour}. "
            "Cure: `until_hour` is the later one."
        )
    test = campaign.mail.experiment if campaign.mail else None
    if test and test.list and test.list not in campaign.lists:
        raise ContractError(
            f"{source}: `mail.experiment.list` is {test.list}, which the campaign does not make. "
            "Cure: name it in `lists` too."
        )
    if campaign.shards.users > MAX_PARTS * campaign.shards.recipients:
        raise ContractError(
            f"{source}: `shards.users` is over {MAX_PARTS} times `shards.recipients`, but a user shard has at most "
            f"{MAX_PARTS} recipient parts. Cure: raise `shards.recipients` to {-(-campaign.shards.users // MAX_PARTS)}."
        )
    return campaign


def _where(message: str) -> tuple[str, str]:
    """Path and complaint of msgspec's `… - at `$.mail.sender``; an unknown field's own path."""
    match = re.search(r"^(.*) - at `\$\.?(.*)`$", message)
    what, path = match.groups() if match else (message, "")
    unknown = re.search(r"unknown field `(.*)`$", what)
    return (".".join(filter(None, (path, unknown[1]))) if unknown else path), what
