"""The adapters of the mailing functions, made once. Apart from `wiring`, so that the others need no mail libraries."""

from functools import lru_cache

from shortlist.aws.clients import client
from shortlist.aws.ledger import DynamoLedger
from shortlist.aws.secrets import SecretKeys
from shortlist.aws.ses import SesTransport, ses_client
from shortlist.aws.suppressions import DynamoSuppressions
from shortlist.aws.wiring import clock, environment
from shortlist.mail.token import Keys


@lru_cache
def ledger() -> DynamoLedger:
    return DynamoLedger(client("dynamodb"), environment().deliveries_table)


@lru_cache
def suppressions() -> DynamoSuppressions:
    return DynamoSuppressions(client("dynamodb"), environment().suppressions_table)


@lru_cache
def transport() -> SesTransport:
    return SesTransport(ses_client(), environment().configuration_set)


@lru_cache
def _secret() -> SecretKeys:
    return SecretKeys(client("secretsmanager"), environment().unsubscribe_key_secret, clock())


def keys() -> Keys:
    """The signing keys of the unsubscribe links."""
    return _secret().keys()
