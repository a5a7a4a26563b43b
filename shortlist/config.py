"""The campaign file: parsed YAML in, one frozen `Campaign` out. Every setting is documented beside its default."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from shortlist.contracts.keys import MAX_PARTS
from shortlist.contracts.lists import ListKind, Wording
from shortlist.contracts.payloads import CAMPAIGN_NAME
from shortlist.errors import ContractError

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
NonNegative = Annotated[float, msgspec.Meta(ge=0.0)]
FeatureKind = Literal["categorical", "multi_valued", "numeric"]
TableOrigin = Literal["files", "interactions"]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the campaign file; a key it does not know is an error, so that a typing mistake is never silent."""


class Schedule(Config, frozen=True, kw_only=True):
    """When EventBridge starts the run. `cron` has the six fields of EventBridge Scheduler."""

    cron: str = "0 6 ? * MON *"
    time_zone: str = "UTC"
    flexible_window_minutes: Annotated[int, msgspec.Meta(ge=0, le=1440)] = 15
    enabled: bool = True


class Table(Config, frozen=True, kw_only=True):
    """One input table.

    Attributes:
        columns: our column name -> the file's column name, where they differ.
        features: the file's column name -> kind. multi_valued splits at `separator`.
        separator: between the values of a multi_valued feature.
        encoding: of CSV files.
    """

    columns: dict[str, str] = {}
    features: dict[str, FeatureKind] = {}
    separator: str = "|"
    encoding: str = "utf-8"


class Input(Config, frozen=True, kw_only=True):
    """Where the shop's tables lie and what counts as a signal.

    Attributes:
        prefix: S3 prefix above `interactions/`, `items/`, `users/`, `offers/` and `blocks/`.
        items_from, users_from: `files`, or `interactions` where the shop sends lines of purchases only: the table is
            then made of each id's newest line, and its `columns` and `features` name columns of the interactions file.
        event_weights: event_type -> weight of one interaction; types not named here are left out. Rows without an
            event_type are purchases.
        guest_ids: user ids that stand for nobody, such as purchases without an account; "" is an empty cell. Their
            lines are left out.
        value_weight: how the value column (quantity, rating) multiplies the weight.
        positive_from: interactions with a smaller value are not taken as a signal (ratings); None takes all.
        max_rejected_share: a run with more bad rows than this in any table fails.
    """

    prefix: str = "input/"
    interactions: Table = Table()
    items: Table = Table()
    users: Table = Table()
    offers: Table = Table()
    blocks: Table = Table()
    items_from: TableOrigin = "files"
    users_from: TableOrigin = "files"
    event_weights: dict[str, NonNegative] = msgspec.field(default_factory=lambda: {"purchase": 1.0})
    guest_ids: tuple[str, ...] = ()
    value_weight: Literal["none", "log1p", "linear"] = "none"
    positive_from: float | None = None
    max_rejected_share: Share = 0.01


class Model(Config, frozen=True, kw_only=True):
    """The factorization machine with the `ranking` objective (docs/fm.md says what each does and where it was chosen).

    Attributes:
        n_factors: k; a latent row has k + 1 numbers.
        unobserved_weight: α₀, the weight of a pair that was never seen.
        regularization: λ.
        regularization_exponent: ν in λ(n + α₀·n_other)^ν.
        half_life_days: age at which an interaction counts half for what a user likes; None: no decay.
        item_half_life_days: the same for what an item is like, which follows its recent buyers; None: half_life_days.
        saturation: s; a pair of summed weight d has the confidence d (1 + s) / (d + s); None: d itself.
        feature_regularization: ridge on the factors of features, relative to that of ids.
        repeat_horizon_days: what the repeat-purchase term looks ahead; it is learned from the newest two horizons.
        repeat_weight: γ; 0 switches the repeat term off; None learns it on the validation split.
        use_features: train declared features jointly.
        max_train_seconds: time budget of one fit; None: none.
        from_scratch_every: 1: each run trains from scratch; n: only each n-th does, those between go on from the
            published run's models in a tenth of the time.
    """

    n_factors: Positive = 64
    epochs: Positive = 5
    unobserved_weight: NonNegative = 1.0
    regularization: NonNegative = 0.7
    regularization_exponent: NonNegative = 0.3
    half_life_days: float | None = 120.0
    item_half_life_days: float | None = 15.0
    saturation: float | None = 1.0
    feature_regularization: NonNegative = 3.0
    repeat_horizon_days: Annotated[float, msgspec.Meta(gt=0.0)] = 28.0
    repeat_weight: float | None = None
    use_features: bool = True
    max_train_seconds: float | None = None
    from_scratch_every: Positive = 1
    seed: int = 42


class Evaluation(Config, frozen=True, kw_only=True):
    """How the model is measured before anything is published.

    Attributes:
        split: last_days holds out everybody's newest days; last_share each user's newest share of interactions.
        days: for last_days.
        share: for last_share.
        max_users: evaluated users, sampled with the model's seed above this number.
        margin: relative fall under the published run's recall that is still accepted.
        gate: whether a model that fails is held back; only the figures are given otherwise.
    """

    split: Literal["last_days", "last_share"] = "last_days"
    days: Positive = 28
    share: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.2
    max_users: Positive = 20_000
    margin: Share = 0.1
    gate: bool = True


class Index(Config, frozen=True, kw_only=True):
    """The k-NN index. `auto` is exact search while it fits, an approximate index above.

    Attributes:
        factory: a faiss factory string, or auto.
        min_recall: measured against exact search on every run; below it the run falls back to exact, loudly.
    """

    factory: str = "auto"
    min_recall: Share = 0.99


class Promoted(Config, frozen=True, kw_only=True):
    """Items that the shop wants to be seen: those named, and all of these categories and brands.

    Attributes:
        share: of the first n places of a list, ⌊share · n⌋ at least are theirs, for every n, the user's best of them.
    """

    share: Share
    items: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    brands: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.items or self.categories or self.brands):
            raise ValueError("names nothing to promote. Cure: name `items`, `categories` or `brands`, or leave it out")


class Rules(Config, frozen=True, kw_only=True):
    """What a shop needs beyond the score; docs/rules.md has an example of each.

    Attributes:
        exclude_categories, include_categories: by the catalogue's category; an empty include list means all.
        min_price, max_price: in the catalogue's currency; items without a price pass unless one of them is set.
        only_available: leave out items outside available_from/available_until or not in stock.
        available_for_days: how much longer than the run's as_of they must be available.
        only_deals: leave out items without an open window in the offers table.
        rest_bought_days: leave out what the user bought within so many days; None: nothing.
        rest_mailed_runs: leave out what the campaign's last so many mailings showed the user.
        popularity: factor of the part of an item's score that is the same for every user; 1: as trained.
        rank_by: relevance, or relevance times price or margin.
        value_weight: the exponent of price or margin in that product; 1: expected revenue, less: a mix.
        diversity: 1 − λ of maximal marginal relevance; 0: by rank alone.
        candidates: of so many best items rank_by and diversity make the list.
        max_per_category, max_per_brand: on one list; None: no limit.
    """

    exclude_categories: tuple[str, ...] = ()
    include_categories: tuple[str, ...] = ()
    min_price: float | None = None
    max_price: float | None = None
    only_available: bool = True
    available_for_days: NonNegative = 0.0
    only_deals: bool = False
    rest_bought_days: Positive | None = None
    rest_mailed_runs: Annotated[int, msgspec.Meta(ge=0, le=52)] = 0
    popularity: NonNegative = 1.0
    rank_by: Literal["relevance", "price", "margin"] = "relevance"
    value_weight: Share = 1.0
    diversity: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.0
    candidates: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 200
    max_per_category: Positive | None = None
    max_per_brand: Positive | None = None
    promoted: Promoted | None = None

    def __post_init__(self) -> None:
        if self.min_price is not None and self.max_price is not None and self.min_price > self.max_price:
            raise ValueError(
                f"min_price {self.min_price} is over max_price {self.max_price}, which leaves no item. "
                "Cure: change the two, or leave one out"
            )
        both = sorted({*self.include_categories} & {*self.exclude_categories})
        if both:
            raise ValueError(f"{', '.join(both)} is both included and excluded. Cure: leave it out of one list")


class Shards(Config, frozen=True, kw_only=True):
    """How the work is cut for the Distributed Maps."""

    users: Annotated[int, msgspec.Meta(ge=1, le=200_000)] = 5_000
    recipients: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500


class Smtp(Config, frozen=True, kw_only=True):
    """A mail server that takes messages in place of SES; its login stands in Secrets Manager (docs/mail.md).

    Attributes:
        security: starttls and tls check the server's certificate; none is for a server on this machine.
        max_per_second: messages that the server may be given, by all shards together.
    """

    host: str
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    max_per_second: Annotated[float, msgspec.Meta(gt=0.0)] = 5.0


class SendWindow(Config, frozen=True, kw_only=True):
    """The hours of the recipient's day in which messages go out; those who are outside it wait.

    Attributes:
        from_hour, until_hour: on the recipient's clock; the second is not part of it.
        time_zone: IANA name, for recipients without one of their own.
    """

    from_hour: Annotated[int, msgspec.Meta(ge=0, le=23)] = 9
    until_hour: Annotated[int, msgspec.Meta(ge=1, le=24)] = 20
    time_zone: str = "UTC"


class Experiment(Config, frozen=True, kw_only=True):
    """Another message for some of the recipients, the same ones in every run; what is not set is as for the others.

    Attributes:
        name: of the experiment; another name deals the recipients anew.
        share: of the recipients who get this message (variant b).
        template, subject, items: as in `mail`.
        list: the kind of list that is mailed, one of the campaign's `lists`.
    """

    name: str
    share: Share = 0.5
    template: str = ""
    subject: str = ""
    items: Positive | None = None
    list: ListKind | None = None


class Mail(Config, frozen=True, kw_only=True):
    """The message.

    Attributes:
        sender: address of a verified SES identity.
        sender_name: shown beside it.
        smtp: None: SES sends.
        subject: Jinja2, with `first_name` (may be empty), `items` (titles) and `locale`; empty: the locale's own words.
        template: folder name in shortlist/mail/templates.
        items: how many of the list's x items the message shows.
        min_days_between: nobody is mailed again by any campaign within so many days of the last message; 0: no limit.
        control_share: of the recipients, the same ones in every run, who are not mailed, so that one can tell what the
            mailing brings.
        attribution_days: a purchase so long after a message, or after a click in it, counts for it.
        experiment: None: everybody gets the same message.
        approval: whether a run stops before its mailing until the team has approved it.
        send_window: None: at any hour.
        max_days: a mailing that is not complete so many days after its execution started ends; who waits is named.
        max_bounce_share, max_complaint_share: of the messages whose fate is known; above it the mailing stops itself.
        postal_address: of the shop; many countries require it.
        shop_url: https; the base for items without their own URL.
        default_locale, currency: where the user or the item does not say.
    """

    sender: str
    sender_name: str = ""
    reply_to: str = ""
    smtp: Smtp | None = None
    subject: str = ""
    template: str = "picks"
    items: Positive = 8
    min_days_between: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 1.0
    control_share: Share = 0.05
    attribution_days: Annotated[float, msgspec.Meta(gt=0.0, le=60.0)] = 7.0
    experiment: Experiment | None = None
    approval: bool = False
    send_window: SendWindow | None = None
    max_days: Annotated[float, msgspec.Meta(gt=0.0, le=14.0)] = 7.0
    max_bounce_share: Share = 0.05
    max_complaint_share: Share = 0.001
    postal_address: str = ""
    shop_name: str = ""
    shop_url: str = ""
    default_locale: str = "en"
    currency: str = "USD"


class Feedback(Config, frozen=True, kw_only=True):
    """What recipients' clicks on the products of earlier messages teach the model.

    Attributes:
        click_weight: weight of a click as an interaction in training, next to 1.0 of a purchase; 0: clicks teach
            nothing. They are never counted as purchases: not in the figures, nor as seen or bought before.
    """

    click_weight: NonNegative = 0.0


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
