"""Clock over the operating system's time."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The time it is."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
