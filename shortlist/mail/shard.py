"""The objects of a recipient shard in: its recipients, and the list each of them is mailed, out."""

from collections.abc import Mapping

import msgspec

from shortlist.contracts.lists import ListedItem, ListKind, Recipient, UserLists
from shortlist.errors import ContractError


class _Owner(msgspec.Struct):
    """The one field of a line of lists that says whether the rest of it is needed."""

    user_id: str


def recipients_of(raw: bytes, key: str) -> list[Recipient]:
    """The lines of `recipients/<shard>-<part>.jsonl`, each user once.

    Raises:
        ContractError: a line is no recipient; names the object.
    """
    try:
        recipients: list[Recipient] = msgspec.json.Decoder(Recipient).decode_lines(raw)
    except msgspec.DecodeError as error:
        raise ContractError(f"{key}: {error}. Re-run the run from Prepare.") from error
    return list({recipient.user_id: recipient for recipient in recipients}.values())


def lists_of(raw: bytes, kinds: Mapping[str, ListKind]) -> dict[str, tuple[ListedItem, ...]]:
    """user_id -> list, of the lines of `topx/<shard>.jsonl`, without items that nobody could tell by a title.

    Of other users' lines only the id is decoded.

    Args:
        kinds: which list of each user.
    """
    owner, whole = msgspec.json.Decoder(_Owner), msgspec.json.Decoder(UserLists)
    found: dict[str, tuple[ListedItem, ...]] = {}
    for line in raw.split(b"\n"):
        if line and owner.decode(line).user_id in kinds:
            lists = whole.decode(line)
            listed = lists.lists.get(kinds[lists.user_id], ())
            found[lists.user_id] = tuple(item for item in listed if item.title)
    return found
