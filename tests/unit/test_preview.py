"""`shortlist preview` shows the message that is sent."""

import re

import pytest

from shortlist.commands.preview import preview
from shortlist.contracts.records import RunRecord
from shortlist.errors import ContractError
from tests.mailing import RUN, Mailing, recipient

RECORD = RunRecord(campaign="weekly-picks", run_id="r1", status="published", started_at="", as_of=RUN.as_of)


def without_link(mime: bytes) -> bytes:
    """The message with its unsubscribe links and the boundary made from them left out."""
    unfolded = mime.replace(b"=\r\n", b"").replace(b"=3D", b"=")
    return re.sub(rb"https://unsubscribe\.[^\s>\"]*|=_[0-9a-f]{40}", b"", unfolded)


def test_the_preview_is_what_is_sent_but_for_the_link() -> None:
    mailing = Mailing([recipient(number) for number in range(3)], per_shard=2)
    for key in mailing.keys:
        mailing.send(key)

    shown = preview(RECORD, "user-00002", store=mailing.store)

    sent = mailing.transport.messages[2]
    assert without_link(shown.mime) == without_link(sent.mime)
    assert (shown.recipient, shown.tags) == (sent.recipient, sent.tags)
    assert b"unsubscribe.invalid" in shown.mime


def test_without_a_user_it_is_the_first_recipients() -> None:
    mailing = Mailing([recipient(number) for number in range(3)])

    assert preview(RECORD, "", store=mailing.store).recipient == "user0@example.com"


@pytest.mark.parametrize(("recipients", "user_id"), [(2, "nobody"), (0, "")])
def test_a_user_who_gets_no_message_is_named(recipients: int, user_id: str) -> None:
    mailing = Mailing([recipient(number) for number in range(recipients)])

    with pytest.raises(ContractError, match=user_id or "no recipient"):
        preview(RECORD, user_id, store=mailing.store)
