"""E-mail addresses in, their one normal form and the hash that the suppression list knows them by out."""

import hashlib
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from shortlist.errors import MessageRejectedError


@lru_cache(maxsize=4_096)
def normalised(address: str) -> str:
    """The address as it is sent to: NFC, lower case, internationalised domains in their ASCII form.

    The local part is lowered too. RFC 5321 lets a server tell `Ann@` from `ann@`; no large one does, and taking the two
    for one person is the error that never mails somebody against their will.

    Raises:
        MessageRejectedError: no mail can be sent to this address. The message does not repeat it.
    """
    try:
        checked = validate_email(address.strip(), check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise MessageRejectedError(f"the address cannot be mailed: {type(error).__name__}.") from None
    return f"{checked.local_part}@{checked.ascii_domain}".lower()


def address_hash(address: str) -> str:
    """SHA-256 (hex) of the normal form.

    Not keyed, on purpose: the suppression list must outlive every key, and lists of other mail tools, which exchange
    the same hash, can be taken over. Whoever holds the table and guesses an address can confirm the guess, so the
    table is readable by the mailing functions alone.

    Raises:
        MessageRejectedError: no mail can be sent to this address.
    """
    return hashlib.sha256(normalised(address).encode()).hexdigest()
