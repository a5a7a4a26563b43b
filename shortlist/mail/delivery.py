"""One composed message in; sent once or not at all, and its outcome out.

    claim (conditional write) -> send -> record

    nobody else may send          the claim is refused                       -> the entry that stands says what happened
    killed before the claim       nothing stands, the next attempt sends
    killed after the claim        `claimed` stands: perhaps sent, so never again -> in doubt
    service: not now, not taken   `released` stands, the next attempt sends
    service: never                `rejected` stands
    no answer                     `claimed` stands                           -> in doubt
    recorded                      `sent` stands

An entry in doubt is settled by the mail service's own event about the message (`shortlist.mail.events`).
"""

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Literal

import msgspec

from shortlist.contracts.records import Delivery, DeliveryState
from shortlist.errors import (
    ContractError,
    DailyQuotaError,
    MessageRejectedError,
    OutOfTimeError,
    TransientError,
)
from shortlist.mail.pace import Pace
from shortlist.ports import Clock, Ledger, MailTransport, OutgoingMessage

OutcomeKind = Literal["sent", "suppressed", "rejected", "in_doubt", "without_list", "held_out", "waiting"]

MARGIN_S: Final = 30.0
"""Time left below which no message is begun: longer than the transport's time-outs, so that no answer is cut off."""
BACK_OFF_S: Final = (0.5, 1.0, 2.0, 4.0)
"""Pauses after which a throttled message is tried again under the same claim."""
UNANSWERED: Final = 3
"""Messages in a row without an answer after which something is down and the attempt ends."""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of `outcomes/<shard>.jsonl`: what became of a recipient.

    Attributes:
        detail: a cause, never an address.
        at: when the message was claimed, or its recipient held out (ISO 8601 UTC); empty where neither is known.
        variant: of the message, where the campaign makes an experiment.
        items: that the message shows or, to who `is_compared`, would have shown.
    """

    user_id: str
    outcome: OutcomeKind
    detail: str = ""
    at: str = ""
    variant: str = ""
    items: tuple[str, ...] = ()

    @property
    def is_compared(self) -> bool:
        """Whether its recipient stood where the control group is drawn: what comes of it compares mailed and held out.

        Those whom another message kept from this one count as mailed, since nobody knows whom of the control group the
        same would have befallen. Messages that the service refused are left out.
        """
        return self.outcome in ("sent", "in_doubt", "held_out") or self.detail in CLAIM_CAUSES


CLAIM_CAUSES: Final = ("same_address", "mailed_recently", "less_often")
"""Why a claim is refused: causes that are known only at the claim, after the control group is drawn."""
HELD_OUT: Final = "held_out"
"""Detail of the entry of a user of the control group: suppressed by nobody's wish but ours."""

OUTCOMES: Final[dict[DeliveryState, OutcomeKind]] = {
    "claimed": "in_doubt",
    "sent": "sent",
    "delivered": "sent",
    "bounced": "sent",
    "complained": "sent",
    "rejected": "rejected",
    "suppressed": "suppressed",
}
"""What an entry of the ledger says of a recipient; a released one says nothing yet."""


class Courier:
    """Sends the messages of one attempt at one shard, from one or several threads.

    Args:
        attempt: unique to this attempt, in this or any other process.
        min_days_between: nobody mailed by another run within so many days is mailed again.
        remaining_s: seconds until the process is ended from outside.
    """

    def __init__(
        self,
        *,
        campaign_run: str,
        attempt: str,
        min_days_between: float,
        ledger: Ledger,
        transport: MailTransport,
        clock: Clock,
        pace: Pace,
        remaining_s: Callable[[], float],
    ) -> None:
        self._campaign_run = campaign_run
        self._attempt = attempt
        self._min_days_between = min_days_between
        self._ledger = ledger
        self._transport = transport
        self._clock = clock
        self._pace = pace
        self._remaining_s = remaining_s
        self._claims = itertools.count(1)
        self._unanswered = 0

    def deliver(
        self, user_id: str, message: OutgoingMessage, address_hash: str, *, min_days_between: float = 0
    ) -> Outcome:
        """Send a message unless it was, or may have been, sent before.

        Args:
            min_days_between: that the recipient asks for, where it is more than the campaign's.

        Raises:
            OutOfTimeError, TransientError, DailyQuotaError: not now; what is left is sent by a later attempt.
            ContractError: the mail service takes nothing from this sender; someone must change the set-up.
        """
        self._pace.wait()
        self.check_time()
        claim = self._claim(user_id)
        days = max(min_days_between, self._min_days_between)
        since = (self._clock.now() - timedelta(days=days)).isoformat(timespec="milliseconds")
        standing = self._ledger.claim(claim, address_hash=address_hash, since=since)
        if standing is None:
            return self._send(claim, message)
        if (standing.campaign_run, standing.user_id) == (self._campaign_run, user_id):
            return outcome_of(standing)
        if standing.campaign_run == self._campaign_run:
            return self.withhold(user_id, "suppressed", "same_address")
        wished = min_days_between > self._min_days_between
        return self.withhold(user_id, "suppressed", "less_often" if wished else "mailed_recently")

    def withhold(self, user_id: str, state: Literal["suppressed", "rejected"], detail: str) -> Outcome:
        """Put down that a recipient is not mailed, and why."""
        entry = msgspec.structs.replace(self._claim(user_id), state=state, detail=detail)
        return outcome_of(self._ledger.claim(entry, address_hash="", since="") or entry)

    def check_time(self) -> None:
        """Raises OutOfTimeError where no other message should be begun."""
        remaining = self._remaining_s()
        if remaining < MARGIN_S:
            raise OutOfTimeError(f"{remaining:.0f} s are left; the next attempt goes on with the next recipient.")

    def _claim(self, user_id: str) -> Delivery:
        return Delivery(
            campaign_run=self._campaign_run,
            user_id=user_id,
            state="claimed",
            claimed_at=self._clock.now().isoformat(timespec="milliseconds"),
            claimed_by=f"{self._attempt}/{next(self._claims)}",
        )

    def _send(self, claim: Delivery, message: OutgoingMessage) -> Outcome:
        try:
            message_id = self._take(message)
        except MessageRejectedError as error:
            self._unanswered = 0
            return self._record(claim, "rejected", detail=str(error))
        except (TransientError, DailyQuotaError, ContractError):
            self._record(claim, "released")
            raise
        except Exception as error:  # whatever it is, nobody knows whether the message was taken
            self._unanswered += 1
            if self._unanswered >= UNANSWERED:
                raise TransientError(
                    f"{UNANSWERED} messages in a row got no answer from the mail service ({type(error).__name__}). "
                    "They are in doubt and are not sent again."
                ) from error
            return Outcome(claim.user_id, "in_doubt", type(error).__name__, at=claim.claimed_at)
        self._unanswered = 0
        return self._record(claim, "sent", message_id=message_id)

    def _take(self, message: OutgoingMessage) -> str:
        for pause in BACK_OFF_S:
            try:
                return self._transport.send(message)
            except TransientError:
                self.check_time()
                self._clock.sleep(pause)
        return self._transport.send(message)

    def _record(self, claim: Delivery, state: DeliveryState, *, message_id: str = "", detail: str = "") -> Outcome:
        entry = msgspec.structs.replace(claim, state=state, message_id=message_id, detail=detail)
        self._ledger.record(entry)
        return outcome_of(entry)


def outcome_of(entry: Delivery) -> Outcome:
    """What an entry that stands in the ledger says."""
    detail = "" if entry.state == "delivered" else entry.detail  # which says when
    if (entry.state, entry.detail) == ("suppressed", HELD_OUT):
        return Outcome(entry.user_id, "held_out", at=entry.claimed_at)
    return Outcome(entry.user_id, OUTCOMES.get(entry.state, "in_doubt"), detail, at=entry.claimed_at)
