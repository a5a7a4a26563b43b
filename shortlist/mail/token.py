"""Who unsubscribes from what, in; a signed token for their link out; and back again, or not at all.

`<key id>.<payload>.<signature>`: payload is the JSON array [campaign, user_id, address hash, run_id], both parts are
base64url without padding, the signature is HMAC-SHA256 over everything before it. A token never expires: the law lets
people unsubscribe from an old mail too. Keys are rotated by adding one; old ones stay for as long as old mails lie in
inboxes.
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import Final

import msgspec

from shortlist.contracts.payloads import CAMPAIGN_NAME
from shortlist.errors import ContractError

MIN_KEY_BYTES: Final = 32
MAX_TOKEN: Final = 4_096
_PURPOSE: Final = b"shortlist/unsubscribe/1\0"
_ITEM_PURPOSE: Final = b"shortlist/not-interested/1\0"
_MARK_BYTES: Final = 16


class InvalidTokenError(ContractError):
    """A token that we did not sign, or not all of one."""


class Subscription(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a token stands for: one recipient of one campaign; older tokens do not say by which run."""

    campaign: str
    user_id: str
    address_hash: str
    run_id: str = ""


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signing keys by id, and which of them signs."""

    current: str
    keys: dict[str, str]


def keys_from_secret(secret: str) -> Keys:
    """The content of the secret: `{"current": "k1", "keys": {"k1": "…"}}`, or one generated password, which is key 1.

    Raises:
        ContractError: a key is too short, has an unfit name, or the current one is missing.
    """
    if secret.lstrip().startswith("{"):
        try:
            keys = msgspec.json.decode(secret, type=Keys)
        except msgspec.DecodeError as error:
            raise ContractError(f"the secret of the unsubscribe keys: {error}. docs/mail.md shows its form.") from None
    else:
        keys = Keys("1", {"1": secret.strip()})
    if keys.current not in keys.keys:
        raise ContractError("the secret of the unsubscribe keys: `current` names no key of `keys`.")
    for key_id, key in keys.keys.items():
        if not re.fullmatch("[A-Za-z0-9_-]{1,32}", key_id) or len(key.encode()) < MIN_KEY_BYTES:
            raise ContractError(
                f"the secret of the unsubscribe keys: a key has a name of letters and digits and at least "
                f"{MIN_KEY_BYTES} bytes; one of them does not."
            )
    return keys


def sign(subscription: Subscription, keys: Keys) -> str:
    """The token of a recipient; the same for the same key."""
    body = f"{keys.current}.{_encoded(msgspec.json.encode(subscription))}"
    return f"{body}.{_encoded(_mac(keys.keys[keys.current], body))}"


def verify(token: str, keys: Keys) -> Subscription:
    """The recipient a token stands for.

    Raises:
        InvalidTokenError: forged, truncated, altered, of another deployment, or signed by a key that is gone.
    """
    body, _, signature = token.rpartition(".")
    key_id, _, payload = body.partition(".")
    key = keys.keys.get(key_id)
    if key is None or len(token) > MAX_TOKEN or not token.isascii():
        raise InvalidTokenError("the token was not signed by this deployment.")
    if not hmac.compare_digest(_encoded(_mac(key, body)), signature):
        raise InvalidTokenError("the token's signature does not fit.")
    try:
        subscription = msgspec.json.decode(_decoded(payload), type=Subscription)
    except (msgspec.DecodeError, binascii.Error) as error:
        raise InvalidTokenError("the token's payload cannot be read.") from error
    if not re.fullmatch(CAMPAIGN_NAME, subscription.campaign):
        raise InvalidTokenError("the token names no campaign.")
    return subscription


def sign_item(token: str, item_id: str, keys: Keys) -> str:
    """The mark beside a token of these keys that lets its recipient speak of one item."""
    key = keys.keys[token.partition(".")[0]]
    return _encoded(_mac(key, f"{token}\0{item_id}", _ITEM_PURPOSE)[:_MARK_BYTES])


def verify_item(token: str, item_id: str, mark: str, keys: Keys) -> Subscription:
    """The recipient whose message showed the item.

    Raises:
        InvalidTokenError: the token is not ours, or the mark is not of this token and item.
    """
    subscription = verify(token, keys)
    if not mark.isascii() or not hmac.compare_digest(sign_item(token, item_id, keys), mark):
        raise InvalidTokenError("the mark does not fit the token and the item.")
    return subscription


def _mac(key: str, body: str, purpose: bytes = _PURPOSE) -> bytes:
    return hmac.digest(key.encode(), purpose + body.encode("utf-8", "surrogatepass"), hashlib.sha256)


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
