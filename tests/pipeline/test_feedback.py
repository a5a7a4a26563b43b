"""What recipients do with a mailing comes back: through SES's events and our page, into the next run and its report."""

import json
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from shortlist.aws.responses import DynamoResponses
from shortlist.contracts.arrays import RESPONSE_CODES
from shortlist.contracts.attribution import Attribution
from shortlist.contracts.keys import RunKeys
from shortlist.contracts.records import Response
from shortlist.contracts.report import Report
from shortlist.dataset.dataset import Dataset
from tests.pipeline.weekly_run import CAMPAIGN, WeeklyRun
from tests.shop import make_shop

MAIL = CAMPAIGN["mail"] | {"control_share": 0.25}


def eventually(responses: DynamoResponses, campaign: str, count: int) -> list[Response]:
    """So many responses of a campaign, once the events' function has noted them."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = [one for one in responses.all() if one.campaign == campaign]
        if len(found) >= count:
            return found
        time.sleep(0.25)
    raise TimeoutError(f"{count} responses of {campaign} did not come")


@pytest.fixture(scope="package")
def second_run(weekly: WeeklyRun) -> tuple[Response, ...]:
    """A run whose first recipient opens, clicks, and is scanned; and another run after it."""
    weekly.open_shop("answered", make_shop(), mail=MAIL)
    assert weekly.start("answered", "answered-1")["status"] == "SUCCEEDED"
    posted = map(json.loads, (weekly.aws.mailbox / "mailbox.jsonl").read_text().splitlines())
    message = next(one for one in posted if one["tags"]["campaign"] == "answered")
    readers, later = weekly.aws.ses.readers, datetime.now(UTC) + timedelta(hours=2)
    link = next(link for link in readers.links(message["message_id"]) if "utm_content=item-" in link)
    readers.open(message["message_id"], at=later)
    readers.click(message["message_id"], link, at=later)
    readers.click(message["message_id"], link, at=later, user_agent="Barracuda Sentinel")
    responses = DynamoResponses(weekly.aws.client("dynamodb"), weekly.deployment.responses_table)
    found = eventually(responses, "answered", 3)
    assert weekly.start("answered", "answered-2")["status"] == "SUCCEEDED"
    assert {parse_qs(urlsplit(link).query)["utm_content"][0]} == {one.item_id for one in found if one.kind == "clicked"}
    return tuple(found)


def test_events_of_readers_become_responses_and_machines_are_told_apart(second_run: tuple[Response, ...]) -> None:
    assert sorted(one.kind for one in second_run) == ["clicked", "opened", "scanned"]
    assert {one.run_id for one in second_run} == {"answered-1"}


def test_the_next_run_knows_the_click_of_the_person(weekly: WeeklyRun, second_run: tuple[Response, ...]) -> None:
    keys = RunKeys("answered-2")
    dataset = Dataset.from_files(lambda name: weekly.store.read(keys.dataset(name)))

    rows = dataset.responses

    (clicked,) = (one for one in second_run if one.kind == "clicked")
    assert (rows.kind.tolist(), len(rows)) == ([RESPONSE_CODES["clicked"]], 1)
    assert dataset.user_ids[int(rows.user_row[0])] == clicked.user_id
    assert dataset.item_ids[int(rows.item_row[0])] == clicked.item_id


def test_the_next_runs_report_tells_of_the_mailing(weekly: WeeklyRun, second_run: tuple[Response, ...]) -> None:
    keys = RunKeys("answered-2")
    (told,) = msgspec.json.decode(weekly.store.read(keys.attribution), type=list[Attribution])
    first = msgspec.json.decode(weekly.store.read(RunKeys("answered-1").report_json), type=Report)
    second = msgspec.json.decode(weekly.store.read(keys.report_json), type=Report)

    assert (told.run_id, told.clicked, told.opened) == ("answered-1", 1, 1)
    assert told.held_out.recipients == first.mails_held_out > 0
    assert told.mailed["a"].recipients == first.mails_sent
    assert first.mails_sent + first.mails_held_out + first.mails_suppressed == first.mailable
    assert [one.attribution.run_id for one in second.mailings] == ["answered-1"]
    assert 0 < second.mailings[0].delivered <= first.mails_sent
    assert b"Earlier mailings" in weekly.store.read(keys.report_html)
