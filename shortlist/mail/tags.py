"""Campaign, run and user in, the message tags that SES repeats in every event about a message out, and back."""

import base64
from collections.abc import Mapping
from typing import Final

TAG_LENGTH: Final = 256
"""SES limits the value of a tag to so many letters, digits, hyphens and underscores."""
_USER_TAGS: Final = 8
"""Enough for a user id of contracts.records.MAX_ID_BYTES."""


def tags(campaign: str, run_id: str, user_id: str) -> dict[str, str]:
    """Which campaign, which run, and whose entry in the ledger.

    The user id is base64url, so that any id fits the alphabet of tags, in as many tags as it needs.
    """
    encoded = base64.urlsafe_b64encode(user_id.encode()).decode().rstrip("=")
    parts = [encoded[start : start + TAG_LENGTH] for start in range(0, len(encoded), TAG_LENGTH)]
    return {"campaign": campaign, "run": run_id, **{f"user{number}": part for number, part in enumerate(parts)}}


def test_tags(campaign: str) -> dict[str, str]:
    """Of a message to a seed list: no run and no user, so that its events belong to no entry in the ledger."""
    return {"campaign": campaign, "test": "yes"}


def user_of(tags: Mapping[str, str]) -> str:
    """The user id that `tags` put there; empty where there is none."""
    encoded = "".join(tags.get(f"user{number}", "") for number in range(_USER_TAGS))
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except ValueError:
        return ""
