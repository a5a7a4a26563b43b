"""The mail account's live quota in, the moment at which the next message may go out."""

import math
import threading
from datetime import datetime, timedelta
from typing import Final

from shortlist.errors import DailyQuotaError, TransientError
from shortlist.ports import Clock, MailTransport, SendQuota

REFRESH_S: Final = 30.0
"""How old the quota may be. GetAccount itself may be called once a second by the whole account."""
ANSWER_S: Final = 0.2
"""What one message takes from claim to record, generously: three calls to AWS and 0.3 ms of composing."""
MAX_SENDERS: Final = 8
"""Threads of one shard. Python's own work for one message, 6 ms, keeps a Lambda's core busy with about as many."""


class Pace:
    """Spaces messages evenly at this process's share of the account's rate; threads may wait at once.

    Args:
        share: the part of the rate that is ours, 1/n where n processes send at once.
    """

    def __init__(self, transport: MailTransport, clock: Clock, share: float) -> None:
        self._transport = transport
        self._clock = clock
        self._share = share
        self._quota: SendQuota | None = None
        self._read_at = self._next_at = clock.now()
        self._sent = 0
        self._lock = threading.Lock()

    def senders(self) -> int:
        """How many threads it takes to keep the pace: one, unless the account is allowed many messages a second."""
        rate = self._live(self._clock.now()).max_per_second * self._share
        return max(1, min(MAX_SENDERS, math.ceil(rate * ANSWER_S)))

    def wait(self) -> None:
        """Return when the next message may be sent.

        Raises:
            DailyQuotaError: none may be sent any more today.
            TransientError: the account may not send at the moment.
        """
        with self._lock:
            pause = self._reserve(self._clock.now())
        if pause > 0:
            self._clock.sleep(pause)

    def _reserve(self, now: datetime) -> float:
        """Take the next place in time; answers how many seconds away it is."""
        quota = self._live(now)
        if quota.max_per_second <= 0:
            raise TransientError("the mail account's rate is 0 messages a second: its sending is paused.")
        if 0 <= quota.max_per_day <= quota.sent_last_day + self._sent / self._share:
            raise DailyQuotaError(
                f"the mail account has sent {quota.sent_last_day:.0f} of the {quota.max_per_day:.0f} messages it may "
                "send in 24 hours. Sending goes on by itself when it may send again; ask for a higher quota."
            )
        place = max(self._next_at, now)
        self._next_at = place + timedelta(seconds=1 / (quota.max_per_second * self._share))
        self._sent += 1
        return (place - now).total_seconds()

    def _live(self, now: datetime) -> SendQuota:
        if self._quota is None or (now - self._read_at).total_seconds() >= REFRESH_S:
            self._quota, self._read_at, self._sent = self._transport.quota(), now, 0
        return self._quota
