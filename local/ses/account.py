"""An SES account: messages about to be sent come in, its quotas and suppression list say what may go out."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

DAY_S = 86_400


class QuotaExceededError(Exception):
    """The message may not be sent now; worded as SES words it."""


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An address of the account's suppression list; `reason` is BOUNCE or COMPLAINT."""

    address: str
    reason: str
    since: float  # epoch s
    message_id: str | None = None


class Account:
    """Quotas as of an account with production access; each recipient counts as a message.

    Attributes:
        max_send_rate: recipients a second; the bucket holds one second's worth, and a message to many may overdraw it.
        max_24_hour_send: recipients in any 24 hours.
        production_access: without it (the sandbox) recipients must be verified too.
        suppressed_reasons: which events put an address on the suppression list.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.max_send_rate = 500.0
        self.max_24_hour_send = 1_000_000.0
        self.production_access = True
        self.suppressed_reasons = frozenset({"BOUNCE", "COMPLAINT"})
        self._clock = clock
        self._lock = threading.Lock()
        self._allowance, self._counted_at = self.max_send_rate, clock()
        self._sent: deque[tuple[float, int]] = deque()  # (when, to how many) of the last 24 hours
        self._sent_total = 0
        self._suppressed: dict[str, Suppressed] = {}

    def take(self, recipients: int) -> None:
        """Counts a message to so many recipients. Raises QuotaExceededError and counts nothing if it is too many."""
        with self._lock:
            now = self._clock()
            earned = (now - self._counted_at) * self.max_send_rate
            self._allowance = min(self._allowance + earned, max(self.max_send_rate, 1.0))
            self._counted_at = now
            if self._last_day(now) + recipients > self.max_24_hour_send:
                raise QuotaExceededError("Daily message quota exceeded.")
            if self._allowance < 1:
                raise QuotaExceededError("Maximum sending rate exceeded.")
            self._allowance -= recipients
            self._sent.append((now, recipients))
            self._sent_total += recipients

    def sent_last_24_hours(self) -> int:
        with self._lock:
            return self._last_day(self._clock())

    def _last_day(self, now: float) -> int:
        while self._sent and self._sent[0][0] <= now - DAY_S:
            self._sent_total -= self._sent.popleft()[1]
        return self._sent_total

    def suppress(self, address: str, reason: str, message_id: str | None = None) -> None:
        with self._lock:
            self._suppressed[address.lower()] = Suppressed(address, reason, self._clock(), message_id)

    def unsuppress(self, address: str) -> bool:
        """False if it was not suppressed."""
        with self._lock:
            return self._suppressed.pop(address.lower(), None) is not None

    def suppressed(self, address: str) -> Suppressed | None:
        with self._lock:
            return self._suppressed.get(address.lower())

    def suppressions(self, reasons: Iterable[str] = ()) -> list[Suppressed]:
        """Those with one of the reasons, or all, the newest first."""
        wanted = set(reasons)
        with self._lock:
            found = [entry for entry in self._suppressed.values() if not wanted or entry.reason in wanted]
        return sorted(found, key=lambda entry: entry.since, reverse=True)
