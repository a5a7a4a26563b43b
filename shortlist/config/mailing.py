"""`mail`: the message, who gets it, when, and through which server."""

from typing import Annotated, Literal

import msgspec

from shortlist.config.values import Config, Positive, Share
from shortlist.contracts.lists import ListKind


class Smtp(Config, frozen=True, kw_only=True):
    """A mail server that takes messages in place of SES; its login stands in Secrets Manager (docs/mail.md).

    Attributes:
        security: starttls and tls check the server's certificate; none is for a server on this machine.
        max_per_second: messages that the server may be given, by all shards together.
    """

    host: Annotated[str, msgspec.Meta(min_length=1)]
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

    name: Annotated[str, msgspec.Meta(min_length=1)]
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
