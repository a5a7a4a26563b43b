"""The one error tree. A class name here is the word in the state machine's `ErrorEquals` (docs/runbook.md)."""


class ShortlistError(Exception):
    """Anything Shortlist raises on purpose. The message says what was expected, what came, where, and what to do."""


class ContractError(ShortlistError):
    """A campaign file, payload or stored object does not have the agreed shape. No retry: someone must change it."""


class DatasetError(ShortlistError):
    """The shop's input cannot be used. Names the file, the line and the cure. Do not retry."""


class PublishError(ShortlistError):
    """A run's lists are not complete, so the pointer does not move. Re-running the run repairs it."""


class TransientError(ShortlistError):
    """Throttling, time-outs, lost connections: the state machine retries it with back-off."""


class OutOfTimeError(TransientError):
    """A Lambda is about to reach its time limit with work left; the retry goes on where it stopped."""


class MissingObjectError(ContractError):
    """An object that an earlier stage should have left is not in the bucket."""


class MessageRejectedError(ShortlistError):
    """The mail service refuses this message for good: a bad address, a suppressed recipient, an unverified sender."""


class MailingPausedError(ShortlistError):
    """The team paused the campaign: the state machine asks again now and then, and goes on once it may."""


class MailingStoppedError(ShortlistError):
    """The team stopped the campaign, or too many of its messages bounced or were complained about. No retry."""


class DailyQuotaError(ShortlistError):
    """The mail account may send no more today: the state machine waits and goes on where it stopped."""
