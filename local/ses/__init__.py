"""SES v2 with a real mailbox: SendEmail comes in, .eml files and the events of a configuration set go out.

moto accepts mail and forgets it. Here a message that SES would take is written to `aws.mailbox` as it would arrive,
the account has quotas and a suppression list, the addresses of the mailbox simulator behave, and what became of each
message is published. The first version of the API, templates and bulk sending are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from local.ses.account import Account
from local.ses.events import EventPublisher
from local.ses.mailbox import Mailbox
from local.ses.readers import Readers

if TYPE_CHECKING:
    from local.server import EmbeddedAws


class Ses:
    """What tests and tools may look at and change: `account` (quotas, suppression list), `mailbox`, `events`.

    `readers` opens messages and follows their links.
    """

    def __init__(self, aws: EmbeddedAws) -> None:
        self.account = Account()
        self.mailbox = Mailbox(aws.mailbox)
        self.events = EventPublisher(aws)
        self.readers = Readers(aws)


def install(aws: EmbeddedAws) -> None:
    """Puts SES in the place of moto's until `aws` stops; it can be reached as `aws.ses`."""
    from moto.ses.models import EmailIdentity, SESBackend

    from local.ses import api

    aws.ses = Ses(aws)
    aws.on_stop(aws.ses.mailbox.close)
    aws.on_stop(aws.ses.events.stop)
    api.install(aws)
    for operation in ("send_email", "send_raw_email", "send_templated_email", "send_bulk_templated_email"):
        aws.replace(SESBackend, operation, _refuse)
    verify = EmailIdentity.__init__

    def verified(self: Any, *given: Any, **named: Any) -> None:
        verify(self, *given, **named)
        self.verified_for_sending_status = True  # there is no DNS to wait for

    aws.replace(EmailIdentity, "__init__", verified)


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise NotImplementedError("sending through the first version of the SES API (use sesv2)")
