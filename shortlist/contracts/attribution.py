"""`attribution.json`: what people did after earlier mailings of the campaign, told by the purchases since."""

import msgspec


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One group of recipients.

    Attributes:
        bought: of them, who bought anything in time.
        bought_shown: of them, who bought a product in time that the message showed, or would have shown them.
    """

    recipients: int
    bought: int = 0
    bought_shown: int = 0


class Lift(msgspec.Struct, frozen=True, kw_only=True):
    """The difference of two groups' shares, in [−1, 1], and its 95 % interval."""

    difference: float
    low: float
    high: float


class ItemFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A product in the messages of a mailing: how many were shown it, clicked on it, bought it in time.

    `bought_after_click` counts from the click, `bought` from the message.
    """

    item_id: str
    shown: int
    clicked: int = 0
    bought: int = 0
    bought_after_click: int = 0


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one mailing.

    Attributes:
        sent_at: of its first message, ISO 8601 UTC.
        days: how long after a message or click a purchase counts.
        complete: whether so long has passed since its last message.
        held_out: the control group.
        mailed: everybody else who stood where the control group is drawn, by variant of the experiment (`a` where
            there is none).
        opened, clicked, not_interested, unsubscribed: recipients who did so themselves.
        bought_after_click: recipients who bought in time what they had clicked on.
        lift, lift_shown: mailed against held out, by `bought` and `bought_shown`; None without a control group.
        b_against_a, b_against_a_shown: variants of the experiment; None without one.
        items: the most shown first.
    """

    campaign: str
    run_id: str
    sent_at: str
    days: float
    complete: bool
    held_out: Arm
    mailed: dict[str, Arm]
    opened: int
    clicked: int
    not_interested: int
    unsubscribed: int
    bought_after_click: int
    lift: Lift | None
    lift_shown: Lift | None
    b_against_a: Lift | None = None
    b_against_a_shown: Lift | None = None
    items: tuple[ItemFigures, ...] = ()


class MailingReport(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier mailing in a run's report; the counts of messages are what the mail service has told of them."""

    attribution: Attribution
    delivered: int
    bounced: int
    complained: int
