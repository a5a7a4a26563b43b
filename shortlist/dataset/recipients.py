"""The users table along the vocabulary in; the users who may be mailed, and why the others may not, out."""

from collections.abc import Iterator, Sequence

import msgspec
from email_validator import EmailNotValidError, validate_email

from shortlist.contracts.arrays import shard_bounds
from shortlist.contracts.keys import shard_name
from shortlist.contracts.lists import Recipient
from shortlist.dataset.entities import Entities


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """Users by what the input says of mailing them; the counts add up to all users."""

    recipients: tuple[Recipient, ...]
    no_address: int
    invalid_address: int
    unsubscribed: int


def audience(users: Entities) -> Audience:
    """Who may be mailed: a sound address (RFC 5321 syntax, no look-up) and subscribed.

    Without a `subscribed` column everybody with an address is; with one, an empty cell means no.
    """
    asked = "subscribed" in users.present
    columns = [users.columns[name].to_pylist() for name in ("email", "subscribed", "first_name", "locale", "time_zone")]
    recipients: list[Recipient] = []
    no_address = invalid_address = unsubscribed = 0
    for row, (user_id, email, subscribed, first_name, locale, time_zone) in enumerate(
        zip(users.ids.to_pylist(), *columns, strict=True)
    ):
        address = (email or "").strip()
        if not address:
            no_address += 1
        elif asked and not subscribed:
            unsubscribed += 1
        elif (sound := sound_address(address)) is None:
            invalid_address += 1
        else:
            recipients.append(
                Recipient(
                    user_id=user_id,
                    user_row=row,
                    email=sound,
                    first_name=first_name or "",
                    locale=locale or "",
                    time_zone=time_zone or "",
                )
            )
    return Audience(
        recipients=tuple(recipients),
        no_address=no_address,
        invalid_address=invalid_address,
        unsubscribed=unsubscribed,
    )


def sound_address(address: str) -> str | None:
    """The address in ASCII, the domain in punycode where need be; None where SES could not take it."""
    try:
        return validate_email(address, check_deliverability=False, allow_smtputf8=False).ascii_email
    except EmailNotValidError:
        return None


def recipient_parts(
    recipients: Sequence[Recipient], n_users: int, users_per_shard: int, recipients_per_part: int
) -> Iterator[tuple[str, int, bytes]]:
    """Shard name, part number and JSON lines of every part; parts of a shard lie within its user rows."""
    encoder = msgspec.json.Encoder()
    position = 0
    for number, (_, stop) in enumerate(shard_bounds(n_users, users_per_shard)):
        first = position
        while position < len(recipients) and recipients[position].user_row < stop:
            position += 1
        for part, start in enumerate(range(first, position, recipients_per_part)):
            chosen = recipients[start : min(start + recipients_per_part, position)]
            yield shard_name(number), part, b"".join(encoder.encode(recipient) + b"\n" for recipient in chosen)
