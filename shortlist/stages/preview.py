"""A ranked run and a user in; the message that SendEmails sends them, byte for byte but their unsubscribe link, out."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from shortlist.contracts.keys import RunKeys, shard_of, user_shard_of
from shortlist.contracts.lists import Recipient
from shortlist.errors import ContractError
from shortlist.mail.compose import Composer
from shortlist.mail.experiment import list_of
from shortlist.mail.shard import lists_of, recipients_of
from shortlist.mail.token import Keys
from shortlist.ports import ObjectStore, OutgoingMessage
from shortlist.stages.resume import read_campaign

NOBODY: Final = "nobody@example.com"
ENDPOINT: Final = "https://unsubscribe.invalid/"
_KEYS: Final = Keys("preview", {"preview": "not a secret: a preview unsubscribes nobody"})


def preview(
    run_id: str, as_of: datetime, user_id: str, *, store: ObjectStore, to: str = "", test: bool = False
) -> OutgoingMessage:
    """The message of a run for a user; for the first recipient who has a list where `user_id` is empty.

    The unsubscribe link leads nowhere: a preview is shown around, and a link that works would unsubscribe its owner.

    Args:
        to: make the message out to this address, and without a name unless `user_id` was chosen.
        test: mark it as a message to a seed list.

    Raises:
        ContractError: the campaign mails nobody, or the user is no recipient of the run or has no list in it.
    """
    campaign = read_campaign(run_id, store=store)
    composer = Composer(
        campaign,
        run_id=run_id,
        as_of=as_of,
        unsubscribe_url=ENDPOINT,
        keys=_KEYS,
        test=test,
    )
    for shard, recipients in _shards(run_id, store):
        wanted = [one for one in recipients if not user_id or one.user_id == user_id]
        if not wanted:
            continue
        topx = store.read(RunKeys(run_id).topx(user_shard_of(shard)))
        lists = lists_of(topx, {one.user_id: list_of(campaign, one.user_id) for one in wanted})
        for recipient in wanted:
            if items := lists.get(recipient.user_id):
                if to:
                    name = recipient.first_name if user_id else ""
                    recipient = msgspec.structs.replace(recipient, email=to, first_name=name)
                return composer.compose(recipient, items)
    whom = (
        f"user {user_id!r} is no recipient of run {run_id}, or has no list in it"
        if user_id
        else (f"run {run_id} has no recipient with a list")
    )
    raise ContractError(f"{whom}. Recipients have an address and are subscribed in the users table.")


def _shards(run_id: str, store: ObjectStore) -> Iterator[tuple[str, list[Recipient]]]:
    for stored in store.list(RunKeys(run_id).recipient_shards):
        yield shard_of(stored.key), recipients_of(store.read(stored.key), stored.key)
