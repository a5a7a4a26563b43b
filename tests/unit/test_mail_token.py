"""Unsubscribe tokens: whatever was signed comes back, and nothing else is believed."""

import base64
import json
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shortlist.errors import ContractError
from shortlist.mail.token import InvalidTokenError, Keys, Subscription, keys_from_secret, sign, verify

KEYS = Keys("2", {"1": "a" * 64, "2": "b" * 64})
ANN = Subscription("weekly-picks", "ann", "0" * 64)
TOKEN = sign(ANN, KEYS)

subscriptions = st.builds(
    Subscription,
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    st.text("0123456789abcdef", min_size=64, max_size=64),
)


@given(subscriptions)
def test_what_was_signed_comes_back(subscription: Subscription) -> None:
    token = sign(subscription, KEYS)

    assert verify(token, KEYS) == subscription
    assert set(token) <= set(string.ascii_letters + string.digits + "-_.")


@given(subscriptions, st.integers(0, 10_000), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_character_can_be_changed(subscription: Subscription, position: int, other: str) -> None:
    token = sign(subscription, KEYS)
    position %= len(token)
    assume(token[position] != other)

    with pytest.raises(InvalidTokenError):
        verify(token[:position] + other + token[position + 1 :], KEYS)


@pytest.mark.parametrize("length", range(len(TOKEN)))
def test_a_truncated_token_is_refused(length: int) -> None:
    with pytest.raises(InvalidTokenError):
        verify(TOKEN[:length], KEYS)


@given(st.text(max_size=200))
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidTokenError):
        verify(text, KEYS)


@given(subscriptions, subscriptions)
def test_a_signature_of_one_user_is_none_of_another(one: Subscription, other: Subscription) -> None:
    assume(one != other)
    forged = sign(one, KEYS).rpartition(".")[0] + "." + sign(other, KEYS).rpartition(".")[2]

    with pytest.raises(InvalidTokenError):
        verify(forged, KEYS)


def test_a_token_of_another_deployment_is_refused() -> None:
    with pytest.raises(InvalidTokenError):
        verify(sign(ANN, Keys("2", {"2": "c" * 64})), KEYS)


def test_a_token_cannot_be_moved_to_another_key() -> None:
    with pytest.raises(InvalidTokenError):
        verify("1" + TOKEN[1:], KEYS)


def test_a_token_longer_than_any_of_ours_is_refused_unread() -> None:
    long = sign(Subscription("weekly-picks", "u" * 4_000, "0" * 64), KEYS)

    with pytest.raises(InvalidTokenError):
        verify(long, KEYS)


def test_the_longest_user_id_still_fits() -> None:
    longest = Subscription("weekly-picks", "ü" * 512, "0" * 64)

    assert verify(sign(longest, KEYS), KEYS) == longest


def test_old_mails_still_unsubscribe_after_a_rotation() -> None:
    before = keys_from_secret("p" * 64)
    token = sign(ANN, before)

    after = keys_from_secret(json.dumps({"current": "2", "keys": {"1": "p" * 64, "2": "q" * 64}}))

    assert verify(token, after) == ANN
    assert sign(ANN, after) != token


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "short",
        "{",
        '{"current": "k1"}',
        json.dumps({"current": "k2", "keys": {"k1": "a" * 64}}),
        json.dumps({"current": "k1", "keys": {"k1": "short"}}),
        json.dumps({"current": "k.1", "keys": {"k.1": "a" * 64}}),
        json.dumps({"current": "k1", "keys": {"k1": "a" * 64}, "more": 1}),
    ],
)
def test_a_secret_that_cannot_sign_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(ContractError) as raised:
        keys_from_secret(secret)

    assert "a" * 64 not in str(raised.value)


def test_a_signed_payload_of_another_shape_is_refused() -> None:
    odd = sign(Subscription("weekly-picks", "ann", "0" * 64), KEYS).split(".")
    payload = base64.urlsafe_b64encode(b'{"campaign":"x"}').decode().rstrip("=")

    with pytest.raises(InvalidTokenError):
        verify(f"{odd[0]}.{payload}.{odd[2]}", KEYS)
