"""`shortlist preview` shows the message that is sent."""

import re
from datetime import datetime

import pytest

from shortlist.errors import ContractError
from shortlist.stages.preview import NOBODY, preview
from tests.mailing import RUN, Mailing, recipient

AS_OF = datetime.fromisoformat(RUN.as_of)


def without_link(mime: bytes) -> bytes:
    """The message with its unsubscribe links and the boundary made from them left out."""
    unfolded = mime.replace(b"=\r\n", b"").replace(b"=3D", b"=")
    return re.sub(rb"https://unsubscribe\.[^\s>\"]*|=_[0-9a-f]{40}", b"", unfolded)


def test_the_preview_is_what_is_sent_but_for_the_link() -> None:
    mailing = Mailing([recipient(number) for number in range(3)], per_shard=2)
    for key in mailing.keys:
        mailing.send(key)

    shown = preview(RUN.run_id, AS_OF, "user-00002", store=mailing.store)

    sent = mailing.transport.messages[2]
    assert without_link(shown.mime) == without_link(sent.mime)
    assert (shown.recipient, shown.tags) == (sent.recipient, sent.tags)
    assert b"unsubscribe.invalid" in shown.mime


def test_without_a_user_it_is_the_first_recipients() -> None:
    mailing = Mailing([recipient(number) for number in range(3)])

    assert preview(RUN.run_id, AS_OF, "", store=mailing.store).recipient == "user0@example.com"


def test_a_preview_to_nobody_names_nobody() -> None:
    mailing = Mailing([recipient(0, first_name="Philippa")])

    shown = preview(RUN.run_id, AS_OF, "", store=mailing.store, to=NOBODY)

    assert shown.recipient == "nobody@example.com"
    assert b"Philippa" not in shown.mime
    assert b"user0" not in shown.mime


@pytest.mark.parametrize(("recipients", "user_id"), [(2, "nobody"), (0, "")])
def test_a_user_who_gets_no_message_is_named(recipients: int, user_id: str) -> None:
    mailing = Mailing([recipient(number) for number in range(recipients)])

    with pytest.raises(ContractError, match=user_id or "no recipient"):
        preview(RUN.run_id, AS_OF, user_id, store=mailing.store)
