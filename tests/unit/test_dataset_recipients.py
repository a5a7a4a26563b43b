"""Who may be mailed as far as the input says, and how recipients are cut into parts."""

import msgspec
import pyarrow as pa
import pytest

from shortlist.contracts.lists import Recipient
from shortlist.dataset.entities import Entities, no_entities
from shortlist.dataset.recipients import audience, recipient_parts, sound_address


def users(emails: list[str | None], subscribed: list[bool | None] | None = None) -> Entities:
    empty = no_entities("users")
    n = len(emails)
    columns = {name: pa.nulls(n, array.type) for name, array in empty.columns.items()}
    columns["email"] = pa.array(emails, pa.string())
    if subscribed is not None:
        columns["subscribed"] = pa.array(subscribed, pa.bool_())
    return Entities(
        ids=pa.array([f"u{n}" for n in range(n)], pa.string()),
        columns=columns,
        features={},
        kinds={},
        present=frozenset({"email", "subscribed"} if subscribed is not None else {"email"}),
        superseded=0,
    )


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("Ada.Lovelace+picks@Example.COM", "Ada.Lovelace+picks@example.com"),
        ("ada@bücher.example.com", "ada@xn--bcher-kva.example.com"),
        ("ada", None),
        ("ada@localhost", None),
        ("Ada <ada@example.com>", None),
        ("ada@example.com\nBcc: all@example.com", None),
        ("ada@example.com, ben@example.com", None),
        ("ädä@example.com", None),
    ],
)
def test_an_address_is_taken_only_as_ses_can_take_it(address, expected):
    assert sound_address(address) == expected


def test_every_user_is_counted_once():
    result = audience(users(["a@example.com", None, " ", "nonsense", "b@example.com"], [True, True, True, True, False]))

    assert [recipient.user_id for recipient in result.recipients] == ["u0"]
    assert (result.no_address, result.invalid_address, result.unsubscribed) == (2, 1, 1)


def test_without_a_column_everybody_is_subscribed_and_with_one_an_empty_cell_means_no():
    unasked = audience(users(["a@example.com", "b@example.com"]))
    asked = audience(users(["a@example.com", "b@example.com"], [True, None]))

    assert [recipient.user_row for recipient in unasked.recipients] == [0, 1]
    assert [recipient.user_row for recipient in asked.recipients] == [0]


def test_parts_stay_within_the_rows_of_their_shard():
    recipients = [Recipient(user_id=f"u{row}", user_row=row, email=f"u{row}@example.com") for row in (0, 1, 2, 9, 10)]

    parts = list(recipient_parts(recipients, n_users=15, users_per_shard=5, recipients_per_part=2))

    read = {
        (shard, part): [msgspec.json.decode(line, type=Recipient).user_row for line in body.splitlines()]
        for shard, part, body in parts
    }
    assert read == {("00000", 0): [0, 1], ("00000", 1): [2], ("00001", 0): [9], ("00002", 0): [10]}


def test_nobody_to_mail_makes_no_part():
    assert list(recipient_parts([], n_users=3, users_per_shard=1, recipients_per_part=1)) == []
