"""The signing keys of the unsubscribe links, read from Secrets Manager and read again now and then."""

from datetime import datetime, timedelta
from typing import Any, Final

from shortlist.errors import ContractError
from shortlist.mail.token import Keys, keys_from_secret
from shortlist.ports import Clock

REFRESH: Final = timedelta(minutes=5)
"""A key that was added is known everywhere after this time; only then may it become the current one (docs/mail.md)."""


class SecretKeys:
    """Keys of a secret.

    Args:
        client: a boto3 Secrets Manager client.
        secret_id: ARN or name of the secret.
    """

    def __init__(self, client: Any, secret_id: str, clock: Clock) -> None:
        if not secret_id:
            raise ContractError("SHORTLIST_UNSUBSCRIBE_KEY_SECRET is not set; the CDK app sets it.")
        self._client = client
        self._secret_id = secret_id
        self._clock = clock
        self._known: tuple[datetime, Keys] | None = None

    def keys(self) -> Keys:
        """The keys, at most five minutes old."""
        now = self._clock.now()
        if self._known is None or now - self._known[0] >= REFRESH:
            secret = self._client.get_secret_value(SecretId=self._secret_id)["SecretString"]
            self._known = (now, keys_from_secret(secret))
        return self._known[1]
