"""The adapters of the mailing functions, made once. Apart from `wiring`, so that the others need no mail libraries."""

from functools import lru_cache

from shortlist.aws.clients import client
from shortlist.aws.ledger import DynamoLedger
from shortlist.aws.secrets import SecretKeys, read_login
from shortlist.aws.ses import SesTransport, ses_client
from shortlist.aws.suppressions import DynamoSuppressions
from shortlist.aws.wiring import clock, environment
from shortlist.config import Smtp
from shortlist.mail.token import Keys
from shortlist.ports import MailTransport
from shortlist.smtp import SmtpTransport


@lru_cache
def ledger() -> DynamoLedger:
    return DynamoLedger(client("dynamodb"), environment().deliveries_table)


@lru_cache
def suppressions() -> DynamoSuppressions:
    return DynamoSuppressions(client("dynamodb"), environment().suppressions_table)


@lru_cache
def transport(smtp: Smtp | None) -> MailTransport:
    """SES, or the mail server that the campaign names."""
    if smtp is None:
        return SesTransport(ses_client(), environment().configuration_set)
    return SmtpTransport(smtp, lambda: read_login(client("secretsmanager"), environment().smtp_login_secret))


@lru_cache
def _secret() -> SecretKeys:
    return SecretKeys(client("secretsmanager"), environment().unsubscribe_key_secret, clock())


def keys() -> Keys:
    """The signing keys of the unsubscribe links."""
    return _secret().keys()
