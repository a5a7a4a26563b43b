"""Secrets Manager in; the signing keys of the unsubscribe links and the login of a mail server out."""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from shortlist.errors import ContractError
from shortlist.mail.token import Keys, keys_from_secret
from shortlist.ports import Clock
from shortlist.smtp import Login

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


def read_login(client: Any, secret_id: str) -> Login:
    """The login of the campaigns' mail server.

    Args:
        client: a boto3 Secrets Manager client.
        secret_id: ARN or name of a secret of the form `{"username": "…", "password": "…"}`.

    Raises:
        ContractError: there is no such secret in this deployment, or it has another form.
    """
    if not secret_id:
        raise ContractError(
            "this deployment has no login for a mail server: none of its campaigns has `mail.smtp`. Deploy them again."
        )
    try:
        return msgspec.json.decode(client.get_secret_value(SecretId=secret_id)["SecretString"], type=Login)
    except msgspec.DecodeError as error:
        raise ContractError(
            f'the secret of the mail server\'s login: {error}. It is {{"username": "…", "password": "…"}}.'
        ) from None
