"""How a mailing goes so far in; nothing out where it may go on, else why not."""

from typing import Final

from shortlist.config import Mail
from shortlist.contracts.records import MailingState
from shortlist.errors import MailingPausedError, MailingStoppedError

MIN_BOUNCES: Final = 10
MIN_COMPLAINTS: Final = 3
"""Fewer say nothing about a mailing: the first message of a run may be the one that bounces."""


def check(campaign: str, mail: Mail, state: MailingState) -> None:
    """Whether the next messages may go out.

    Raises:
        MailingPausedError: the team paused the campaign.
        MailingStoppedError: the team stopped it, or the shares of bounces or complaints are above the campaign's limits
            (SES reviews an account above 5 % and 0.1 %, and what it does then stops every mail of the shop).
    """
    if state.order == "pause":
        raise MailingPausedError(
            f"the mailing of {campaign} is paused. `shortlist campaign resume {campaign}` lets it go on."
        )
    if state.order == "stop":
        raise MailingStoppedError(
            f"the mailing of {campaign} was stopped. `shortlist campaign resume {campaign}` lifts that; then "
            "resume the run."
        )
    known = state.delivered + state.bounced + state.complained
    if state.bounced >= MIN_BOUNCES and state.bounced > mail.max_bounce_share * known:
        raise MailingStoppedError(_too_many(campaign, "bounced", state.bounced, known, "max_bounce_share"))
    if state.complained >= MIN_COMPLAINTS and state.complained > mail.max_complaint_share * known:
        raise MailingStoppedError(
            _too_many(campaign, "were complained about", state.complained, known, "max_complaint_share")
        )


def _too_many(campaign: str, what: str, count: int, known: int, setting: str) -> str:
    return (
        f"the mailing of {campaign} stopped itself: {count} of {known} messages {what}. Find out why before anybody "
        f"else is mailed; then raise `mail.{setting}` of the campaign and re-run the run, which mails the others only."
    )
