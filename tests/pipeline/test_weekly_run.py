"""The whole weekly run on the embedded AWS: a shop's tables in, published lists and one mail a recipient out."""

import msgspec
import pytest

from shortlist.contracts.keys import RunKeys
from shortlist.contracts.report import Report
from tests.pipeline.weekly_run import WeeklyRun, addresses, user_ids
from tests.shop import Shop, make_shop, shuffled


@pytest.fixture(scope="package")
def shop() -> Shop:
    return make_shop()


@pytest.fixture(scope="package")
def finished(weekly: WeeklyRun, shop: Shop) -> str:
    """A run of the campaign `whole` that ended well."""
    weekly.open_shop("whole", shop)
    ended = weekly.start("whole", "whole-1")
    assert ended["status"] == "SUCCEEDED", ended
    return "whole-1"


def test_every_user_has_a_full_list(weekly: WeeklyRun, shop: Shop, finished: str) -> None:
    stored = weekly.stored(finished, shop)

    assert sorted(stored) == user_ids(shop)
    assert all(len({entry.item_id for entry in lists.items}) == 6 for lists in stored.values())
    assert weekly.published("whole") == finished


def test_every_mailable_user_has_one_message(weekly: WeeklyRun, shop: Shop, finished: str) -> None:
    assert weekly.mails(finished) == addresses(shop)


def test_the_report_tells_what_happened(weekly: WeeklyRun, shop: Shop, finished: str) -> None:
    report = msgspec.json.decode(weekly.store.read(RunKeys(finished).report_json), type=Report)

    assert report.status == "completed"
    assert report.lists_written == shop.n_users
    assert report.mails_sent == len(shop.mailable)


def test_running_it_again_does_nothing_twice(weekly: WeeklyRun, shop: Shop, finished: str) -> None:
    before = weekly.manifests(finished)

    ended = weekly.start("whole", finished, execution="whole-1-again")

    assert ended["status"] == "SUCCEEDED"
    assert weekly.manifests(finished) == before
    assert weekly.mails(finished) == addresses(shop)


def test_a_run_can_be_asked_not_to_mail(weekly: WeeklyRun, shop: Shop) -> None:
    weekly.open_shop("quiet", shop)

    ended = weekly.start("quiet", "quiet-1", send=False)

    assert ended["status"] == "SUCCEEDED"
    assert weekly.published("quiet") == "quiet-1"
    assert not weekly.mails("quiet-1")


def test_a_model_that_learned_nothing_is_held_back(weekly: WeeklyRun, shop: Shop) -> None:
    # GIVEN a shop whose purchases were mixed up, and a team that listens
    weekly.open_shop("shuffled", shuffled(shop))
    heard = weekly.listen()

    # WHEN it runs
    ended = weekly.start("shuffled", "shuffled-1")

    # THEN nothing is published or mailed, and the team gets the figures
    assert ended["status"] == "SUCCEEDED"
    assert weekly.published("shuffled") == ""
    assert not weekly.stored("shuffled-1", shop)
    assert not weekly.mails("shuffled-1")
    told = "\n".join(heard())
    assert "shuffled-1" in told
    assert "popularity" in told
    record = weekly.runs_table.get("shuffled", "shuffled-1")
    assert record is not None
    assert record.status == "held_back"


def test_a_failed_run_is_told_with_state_and_cure(weekly: WeeklyRun, shop: Shop) -> None:
    # GIVEN a shop that forgot a column
    weekly.open_shop("broken", shop)
    weekly.store.write("input/broken/interactions/interactions.csv", b"user_id,timestamp\nu,2025-01-01\n")
    heard = weekly.listen()

    # WHEN it runs
    ended = weekly.start("broken", "broken-1")

    # THEN the team reads which state failed, the file, the missing column and how to go on
    assert ended["status"] == "FAILED"
    told = "\n".join(heard())
    for words in ("Prepare", "interactions.csv", "item_id", "shortlist rerun broken-1"):
        assert words in told
    assert weekly.published("broken") == ""
