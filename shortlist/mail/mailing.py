"""The recipients of a shard in; each of them mailed, withheld from with a reason, or waiting for their hour, out.

One pass: what the ledger knows of a recipient stands; those whose send window is open are mailed; when the day's quota
is used up or the team pauses the campaign the pass ends there. Who is not mailed yet waits for the next pass.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Final

from shortlist.contracts.lists import ListedItem, Recipient
from shortlist.contracts.payloads import Run
from shortlist.contracts.records import LESS_OFTEN_DAYS, Delivery, Standing, campaign_run
from shortlist.errors import DailyQuotaError, MailingPausedError, MessageRejectedError
from shortlist.mail import conduct
from shortlist.mail.address import address_hash
from shortlist.mail.compose import Composer
from shortlist.mail.delivery import HELD_OUT, Courier, Outcome, outcome_of
from shortlist.mail.experiment import is_held_out
from shortlist.mail.window import opens_at
from shortlist.ports import Clock, Ledger, Suppressions

Lists = Mapping[str, tuple[ListedItem, ...]]

BATCH: Final = 25
"""Recipients before whom suppressions and the team's orders are looked up: few, so that the answers are seconds old."""
SETTLE_PAUSES_S: Final = (1.0, 2.0, 4.0)
"""How long a shard waits for another attempt's messages that are on their way."""
PAUSED: Final = timedelta(minutes=15)
"""How long after a pass that met a paused campaign the next one asks again."""
QUOTA_USED_UP: Final = timedelta(hours=1)
"""The same for the day's quota, which counts the last 24 hours: it comes back as it was used, bit by bit."""
NOBODY: Final = Standing()


class Mailing:
    """One pass over a shard.

    Attributes:
        outcomes: by user id.
        already_sent: messages that were sent before this pass.
        resume_at: from when somebody who waits may be mailed; None where nobody waits.
    """

    def __init__(
        self,
        run: Run,
        *,
        courier: Courier,
        composer: Composer,
        ledger: Ledger,
        suppressions: Suppressions,
        clock: Clock,
    ) -> None:
        self._run = run
        self._partition = campaign_run(run.campaign, run.run_id)
        self._courier = courier
        self._composer = composer
        self._ledger = ledger
        self._suppressions = suppressions
        self._clock = clock
        self.outcomes: dict[str, Outcome] = {}
        self.already_sent = 0
        self.resume_at: datetime | None = None

    def mail(self, recipients: Sequence[Recipient], read_lists: Callable[[], Lists], *, senders: int) -> None:
        """Every recipient gets an outcome; those with an entry in the ledger keep what it says.

        Args:
            read_lists: called once, and only where there is somebody to mail.
            senders: threads.
        """
        for user_id, entry in self._find([recipient.user_id for recipient in recipients]).items():
            if entry.state != "released":
                self.outcomes[user_id] = outcome_of(entry)
        self.already_sent = sum(outcome.outcome == "sent" for outcome in self.outcomes.values())
        due = self._whose_window_is_open([one for one in recipients if one.user_id not in self.outcomes])
        try:
            self._mail(due, read_lists, senders)
        except MailingPausedError:
            self._wait(due, "paused", self._clock.now() + PAUSED)
        except DailyQuotaError:
            self._wait(due, "daily_quota", self._clock.now() + QUOTA_USED_UP)

    def look_again(self) -> None:
        """Messages that another attempt was about to send may have been recorded meanwhile."""
        for pause in SETTLE_PAUSES_S:
            doubtful = [user_id for user_id, outcome in self.outcomes.items() if outcome.outcome == "in_doubt"]
            if not doubtful:
                return
            self._clock.sleep(pause)
            for user_id, entry in self._find(doubtful).items():
                self.outcomes[user_id] = outcome_of(entry)

    def _mail(self, due: Sequence[Recipient], read_lists: Callable[[], Lists], senders: int) -> None:
        lists: Lists | None = None
        for batch in _batches(due, BATCH):
            self._check()
            lists = read_lists() if lists is None else lists
            self._mail_batch(self._whose_window_is_open(batch), lists, senders)

    def _check(self) -> None:
        """Raises where nobody else may be mailed at the moment."""
        self._courier.check_time()
        state = self._ledger.mailing_state(self._run.campaign, self._partition)
        conduct.check(self._run.campaign, self._composer.mail, state)

    def _mail_batch(self, batch: Sequence[Recipient], lists: Lists, senders: int) -> None:
        hashes = {recipient.user_id: _hash_or_empty(recipient.email) for recipient in batch}
        standings = self._suppressions.standing([known_by for known_by in hashes.values() if known_by])

        def mail_one(recipient: Recipient) -> Outcome:
            known_by = hashes[recipient.user_id]
            standing = standings.get(known_by, NOBODY)
            return self._mail_one(recipient, known_by, standing, lists.get(recipient.user_id, ()))

        if senders == 1:
            for recipient in batch:
                self.outcomes[recipient.user_id] = mail_one(recipient)
            return
        with ThreadPoolExecutor(senders) as pool:
            futures = [pool.submit(mail_one, recipient) for recipient in batch]
            wait(futures, return_when="FIRST_EXCEPTION")
            pool.shutdown(cancel_futures=True)  # after an error those that are under way end, no other begins
        ended = [future for future in futures if not future.cancelled()]
        errors = [error for future in ended if (error := future.exception())]
        self.outcomes |= {future.result().user_id: future.result() for future in ended if not future.exception()}
        if errors:
            raise min(errors, key=lambda error: isinstance(error, DailyQuotaError))  # another one says more

    def _mail_one(
        self, recipient: Recipient, known_by: str, standing: Standing, items: tuple[ListedItem, ...]
    ) -> Outcome:
        if standing.cause:
            return self._courier.withhold(recipient.user_id, "suppressed", standing.cause)
        if not known_by:
            return self._courier.withhold(recipient.user_id, "rejected", "the address cannot be mailed")
        if standing.paused_until and datetime.fromisoformat(standing.paused_until) > self._clock.now():
            return self._courier.withhold(recipient.user_id, "suppressed", "paused")
        if not items:
            return Outcome(recipient.user_id, "without_list")
        if is_held_out(self._run.campaign, self._composer.mail, recipient.user_id):
            return self._courier.withhold(recipient.user_id, "suppressed", HELD_OUT)
        message = self._composer.compose(recipient, items)
        days = LESS_OFTEN_DAYS if standing.less_often else 0
        return self._courier.deliver(recipient.user_id, message, known_by, min_days_between=days)

    def _whose_window_is_open(self, recipients: Sequence[Recipient]) -> list[Recipient]:
        """Those who may be mailed now; the others wait."""
        now, window = self._clock.now(), self._composer.mail.send_window
        if window is None:
            return list(recipients)
        opens = [(recipient, opens_at(window, recipient.time_zone, now)) for recipient in recipients]
        for recipient, moment in opens:
            if moment > now:
                self._wait([recipient], "send_window", moment)
        return [recipient for recipient, moment in opens if moment <= now]

    def _wait(self, recipients: Sequence[Recipient], why: str, until: datetime) -> None:
        """Those of whom nothing is known yet wait."""
        waiting = [recipient.user_id for recipient in recipients if recipient.user_id not in self.outcomes]
        self.outcomes |= {user_id: Outcome(user_id, "waiting", why) for user_id in waiting}
        if waiting:
            self.resume_at = until if self.resume_at is None else min(self.resume_at, until)

    def _find(self, user_ids: Sequence[str]) -> Mapping[str, Delivery]:
        return self._ledger.find(self._partition, user_ids) if user_ids else {}


def _batches(recipients: Sequence[Recipient], size: int) -> Iterator[Sequence[Recipient]]:
    for start in range(0, len(recipients), size):
        yield recipients[start : start + size]


def _hash_or_empty(email: str) -> str:
    try:
        return address_hash(email)
    except MessageRejectedError:
        return ""
