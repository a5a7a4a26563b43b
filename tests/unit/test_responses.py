"""People told from machines, and what they said of items laid along the rows of the dataset."""

import numpy as np
import pyarrow as pa
import pytest

from shortlist.contracts.arrays import RESPONSE_CODES
from shortlist.contracts.records import Response
from shortlist.dataset.responses import response_rows
from shortlist.responses import by_machine, of_people

BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile Safari/604.1"


def at(second: int, minute: int = 0) -> str:
    return f"2026-01-05T12:{minute:02d}:{second:02d}.000+00:00"


def said(user_id: str = "ann", item_id: str = "tea", *times: str, **fields: str) -> Response:
    given = {"kind": "clicked", "campaign": "weekly-picks", "run_id": "r1", **fields}
    return Response(user_id=user_id, item_id=item_id, times=times or (at(0),), **given)


@pytest.mark.parametrize(
    ("user_agent", "after_s", "machine"),
    [
        (BROWSER, 3_600, False),
        (BROWSER, 11, False),
        (BROWSER, 2, True),
        ("", 3_600, True),
        ("python-requests/2.32", 3_600, True),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 3_600, True),
        ("Mozilla/5.0 HeadlessChrome/126.0", 3_600, True),
        ("Mozilla/5.0 (Windows NT 10.0) Barracuda Sentinel (EE)", 3_600, True),
    ],
)
def test_a_machine_is_known_by_its_name_or_its_haste(user_agent, after_s, machine):
    assert by_machine(user_agent, after_s) is machine


def test_links_that_are_all_followed_at_once_were_followed_by_a_machine():
    burst = [said("ann", item, at(second)) for second, item in enumerate(("tea", "milk", "jam", "oats"))]
    slow = [said("bob", item, at(0, minute)) for minute, item in enumerate(("tea", "milk", "jam", "oats"))]

    assert list(of_people(burst)) == []
    assert sorted(one.item_id for one in of_people(slow)) == ["jam", "milk", "oats", "tea"]


def test_a_person_who_clicks_after_the_scanner_is_heard():
    scanned = [said("ann", item, at(second)) for second, item in enumerate(("milk", "jam"))]
    both = said("ann", "tea", at(2), at(0, 30))

    assert list(of_people([*scanned, both])) == [said("ann", "tea", at(0, 30))]


def test_two_links_at_once_and_links_of_two_messages_are_a_persons():
    two = [said("ann", "tea", at(0)), said("ann", "milk", at(1))]
    other_run = [said("ann", "jam", at(2), run_id="r2")]

    assert sorted(of_people([*two, *other_run]), key=str) == sorted([*two, *other_run], key=str)


def test_what_machines_did_is_left_out_and_buttons_stay():
    scanned, button, opened = said(kind="scanned"), said(kind="not_interested"), said("ann", "", kind="opened")

    assert list(of_people([scanned, button, opened])) == [button, opened]


def test_responses_lie_along_the_rows_each_with_its_newest_time():
    users, items = pa.array(["ann", "bob"]), pa.array(["jam", "milk", "tea"])
    given = [
        said("bob", "tea", at(5), at(9)),
        said("bob", "tea", at(7), run_id="r2"),
        said("bob", "tea", kind="not_interested"),
        said("ann", "milk", at(3)),
        said("ann", "", kind="opened"),
        said("nobody", "tea"),
        said("ann", "nothing"),
    ]

    rows = response_rows(given, users, items, as_of=2_000_000_000)

    assert rows.user_row.tolist() == [0, 1, 1]
    assert rows.item_row.tolist() == [1, 2, 2]
    assert rows.kind.tolist() == [
        RESPONSE_CODES["clicked"],
        RESPONSE_CODES["not_interested"],
        RESPONSE_CODES["clicked"],
    ]
    assert (rows.timestamp - 1_767_614_400).tolist() == [3, 0, 9]
    assert rows.of(RESPONSE_CODES["not_interested"]).item_row.tolist() == [2]


def test_a_response_after_the_moment_the_run_looks_at_counts_as_of_then():
    rows = response_rows([said()], pa.array(["ann"]), pa.array(["tea"]), as_of=1_500_000_000)

    assert rows.timestamp.tolist() == [1_500_000_000]


def test_without_responses_there_are_no_rows():
    rows = response_rows([], pa.array(["ann"]), pa.array(["tea"]), as_of=0)

    assert len(rows) == 0
    assert [getattr(rows, name).dtype for name in rows.__slots__] == [np.int32, np.int32, np.int8, np.int64]
