"""The laws of the responses table, for the fake and for DynamoDB alike."""

import pytest
from msgspec.structs import replace

from shortlist.aws.responses import MAX_TIMES, DynamoResponses
from shortlist.contracts.records import Response
from shortlist.ports import Responses
from tests.fakes import MemoryResponses

NOON = "2026-01-05T12:00:00.000+00:00"
LATER = "2026-01-05T13:00:00.000+00:00"


@pytest.fixture(params=["memory", "dynamodb"])
def responses(request: pytest.FixtureRequest) -> Responses:
    if request.param == "memory":
        return MemoryResponses()
    return DynamoResponses(request.getfixturevalue("dynamodb"), "responses")


def click(user_id: str = "ann", item_id: str = "tea", *times: str, **fields: str) -> Response:
    given = {"kind": "clicked", "campaign": "weekly-picks", "run_id": "r1", **fields}
    return Response(user_id=user_id, item_id=item_id, times=times or (NOON,), **given)


def test_what_was_noted_is_found(responses):
    noted = [
        click("ann", "tea"),
        click("ann", "milk"),
        click("bob", "", LATER, kind="opened"),
        click("bé\n", "x" * 1024),
    ]

    for one in noted:
        responses.note(one)

    assert sorted(responses.all(), key=str) == sorted(noted, key=str)


def test_the_same_response_again_adds_its_time_and_nothing_else(responses):
    responses.note(click("ann", "tea", LATER))
    responses.note(click("ann", "tea", NOON))
    responses.note(click("ann", "tea", NOON))

    (found,) = responses.all()
    assert (found.times, found.at) == ((NOON, LATER), NOON)


def test_a_machine_that_comes_again_and_again_is_noted_so_many_times_and_no_more(responses):
    for minute in range(30):
        responses.note(click("ann", "tea", f"2026-01-05T12:{minute:02d}:00.000+00:00"))

    (found,) = responses.all()
    assert len(found.times) == MAX_TIMES


def test_responses_to_another_run_campaign_or_of_another_kind_stand_apart(responses):
    others = [click(run_id="r2"), click(campaign="films"), click(kind="not_interested")]
    for one in [click(), *others]:
        responses.note(one)

    assert list(responses.of_run("weekly-picks", "r2")) == [others[0]]
    assert len(list(responses.all())) == 4


def test_a_user_who_is_forgotten_leaves_nothing_and_others_stay(responses):
    for one in (click("ann", "tea"), click("ann", "milk"), click("bob", "tea")):
        responses.note(one)

    assert responses.forget("ann") == 2
    assert list(responses.all()) == [click("bob", "tea")]
    assert responses.forget("ann") == 0


def test_all_parts_of_a_large_table_are_read(responses):
    noted = [click(f"user-{number}", "tea") for number in range(200)]
    for one in noted:
        responses.note(one)

    assert sorted(one.user_id for one in responses.all()) == sorted(one.user_id for one in noted)
    assert replace(noted[0], user_id="nobody") not in set(responses.all())
