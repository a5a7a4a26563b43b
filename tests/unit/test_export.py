"""topx.csv: every place of every list is a row, whatever is in a title."""

import csv
import io

import msgspec

from shortlist.export import COLUMNS, write_csv
from tests.finished_run import user_lists


def exported(*users):
    shard = b"".join(msgspec.json.encode(user_lists(number)) + b"\n" for number in users)
    out = io.StringIO(newline="")
    count = write_csv([shard, b""], out)
    out.seek(0)
    return count, list(csv.DictReader(out))


def test_a_row_says_whose_list_which_place_what_and_why():
    users, rows = exported(0, 1)

    assert users == 2
    assert len(rows) == 8
    assert tuple(rows[0]) == COLUMNS
    assert rows[0] == {
        "user_id": "household,0",
        "list": "everything",
        "rank": "1",
        "item_id": "milk-0",
        "title": 'Milk, "whole"\n1 l',
        "score": "1.5",
        "reason": "You bought it 3 times",
        "price": "1.29",
        "currency": "USD",
        "category": "Dairy",
        "brand": "",
        "url": "",
        "image_url": "",
        "offer_until": "",
        "filled": "",
    }


def test_what_the_shop_did_not_say_is_empty_and_what_was_filled_in_is_marked():
    _, rows = exported(0)

    bread = rows[1]
    assert (bread["rank"], bread["item_id"], bread["price"], bread["filled"]) == ("2", "bread", "", "yes")


def test_no_lists_are_a_file_with_columns_only():
    users, rows = exported()

    assert (users, rows) == (0, [])
