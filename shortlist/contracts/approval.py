"""`approval/request.json`: what the team is asked before a mailing, and what it answered."""

from typing import Literal

import msgspec

Decision = Literal["", "approved", "rejected"]


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A question to the team.

    Attributes:
        what: digest of the lists and of the campaign's `mail`: an approval counts for these alone.
        token: of the task in the state machine that waits for the answer.
        asked_at, decided_at: ISO 8601 UTC.
    """

    what: str
    token: str
    asked_at: str
    decision: Decision = ""
    decided_at: str = ""
