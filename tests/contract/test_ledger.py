"""The laws of the send ledger and the suppression list, for the fakes and for DynamoDB alike."""

import pytest
from msgspec.structs import replace

from shortlist.aws.ledger import DynamoLedger
from shortlist.aws.suppressions import DynamoSuppressions
from shortlist.contracts.records import (
    Delivery,
    DeliveryState,
    MailingState,
    Standing,
)
from shortlist.ports import Ledger, Suppressions
from tests.fakes import MemoryLedger, MemorySuppressions

NOON = "2026-01-05T12:00:00.000+00:00"
LATER = "2026-01-05T13:00:00.000+00:00"
RUN = "weekly-picks#r1"


@pytest.fixture(params=["memory", "dynamodb"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    return DynamoLedger(request.getfixturevalue("dynamodb"), "deliveries")


@pytest.fixture(params=["memory", "dynamodb"])
def suppressions(request: pytest.FixtureRequest) -> Suppressions:
    if request.param == "memory":
        return MemorySuppressions()
    return DynamoSuppressions(request.getfixturevalue("dynamodb"), "suppressions")


def claimed(user_id: str = "ann", by: str = "attempt-1/1", run: str = RUN, at: str = NOON) -> Delivery:
    return Delivery(campaign_run=run, user_id=user_id, state="claimed", claimed_at=at, claimed_by=by)


def test_a_user_is_claimed_once(ledger: Ledger) -> None:
    first = ledger.claim(claimed(), address_hash="a", since=NOON)

    second = ledger.claim(claimed(by="attempt-2/1"), address_hash="a", since=NOON)

    assert first is None
    assert second == claimed()


def test_a_repeated_call_of_the_same_claim_is_the_same_claim(ledger: Ledger) -> None:
    ledger.claim(claimed(), address_hash="a", since=NOON)

    assert ledger.claim(claimed(), address_hash="a", since=NOON) is None


def test_a_released_claim_is_free_again(ledger: Ledger) -> None:
    ledger.claim(claimed(), address_hash="a", since=NOON)
    ledger.record(replace(claimed(), state="released"))

    assert ledger.claim(claimed(by="attempt-2/1"), address_hash="a", since=NOON) is None
    assert ledger.find(RUN, ["ann"])["ann"].claimed_by == "attempt-2/1"


@pytest.mark.parametrize("state", ["sent", "rejected", "suppressed"])
def test_an_outcome_is_not_claimed_again(ledger: Ledger, state: DeliveryState) -> None:
    ledger.claim(claimed(), address_hash="a", since=NOON)
    done = replace(claimed(), state=state, message_id="m1", detail="why")
    ledger.record(done)

    assert ledger.claim(claimed(by="attempt-2/1"), address_hash="a", since=NOON) == done


def test_only_the_claimer_records(ledger: Ledger) -> None:
    ledger.claim(claimed(), address_hash="a", since=NOON)

    ledger.record(replace(claimed(by="attempt-2/1"), state="sent"))

    assert ledger.find(RUN, ["ann"]) == {"ann": claimed()}


def test_one_address_is_mailed_once_in_a_run_however_many_users_share_it(ledger: Ledger) -> None:
    ledger.claim(claimed("ann"), address_hash="a", since=LATER)

    standing = ledger.claim(claimed("bob", by="attempt-1/2"), address_hash="a", since=LATER)

    assert standing is not None
    assert (standing.campaign_run, standing.user_id) == (RUN, "ann")
    assert ledger.find(RUN, ["bob"]) == {}


@pytest.mark.parametrize(("since", "granted"), [(NOON, False), (LATER, True)])
def test_another_run_waits_until_the_last_message_is_old_enough(ledger: Ledger, since: str, granted: bool) -> None:
    ledger.claim(claimed(), address_hash="a", since=NOON)

    standing = ledger.claim(claimed(run="other#r2", by="attempt-2/1", at=LATER), address_hash="a", since=since)

    assert (standing is None) is granted
    assert bool(ledger.find("other#r2", ["ann"])) is granted


@pytest.mark.parametrize(("state", "granted"), [("released", True), ("rejected", True), ("sent", False)])
def test_an_address_whose_message_was_not_taken_is_free_for_another_run(
    ledger: Ledger, state: DeliveryState, granted: bool
) -> None:
    ledger.claim(claimed(), address_hash="a", since=NOON)
    ledger.record(replace(claimed(), state=state))

    standing = ledger.claim(claimed("bob", run="other#r2", by="attempt-2/1", at=LATER), address_hash="a", since=NOON)
    same_run = ledger.claim(claimed("cy", by="attempt-3/1", at=LATER), address_hash="a", since=NOON)

    assert (standing is None) is granted
    assert same_run is not None
    assert same_run.campaign_run == ("other#r2" if granted else RUN)


def test_an_address_that_is_claimed_again_is_not_free_for_what_became_of_the_claim_before(ledger: Ledger) -> None:
    ledger.claim(claimed(), address_hash="a", since=NOON)
    ledger.record(replace(claimed(), state="released"))
    ledger.claim(claimed(by="attempt-2/1", at=LATER), address_hash="a", since=NOON)

    standing = ledger.claim(claimed(run="other#r2", by="attempt-3/1", at=LATER), address_hash="a", since=NOON)

    assert standing is not None
    assert standing.campaign_run == RUN


def test_a_claim_without_an_address_takes_no_address(ledger: Ledger) -> None:
    entry = replace(claimed(), state="suppressed", detail="unsubscribed")

    assert ledger.claim(entry, address_hash="", since="") is None
    assert ledger.claim(claimed("bob"), address_hash="a", since=NOON) is None
    assert ledger.find(RUN, ["ann"]) == {"ann": entry}


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (["delivered"], "delivered"),
        (["delivered", "complained"], "complained"),
        (["complained", "delivered"], "complained"),
        (["delivered", "bounced", "delivered"], "bounced"),
    ],
)
def test_events_in_any_order_leave_the_worst_news(ledger: Ledger, events: list[DeliveryState], state: str) -> None:
    ledger.claim(claimed(), address_hash="a", since=NOON)

    for event in events:
        ledger.settle(RUN, "ann", event, "detail")

    assert ledger.find(RUN, ["ann"])["ann"].state == state


def test_a_late_record_does_not_undo_an_event(ledger: Ledger) -> None:
    ledger.claim(claimed(), address_hash="a", since=NOON)
    ledger.settle(RUN, "ann", "bounced", "hard")

    ledger.record(replace(claimed(), state="sent"))

    assert ledger.find(RUN, ["ann"])["ann"].state == "bounced"


def test_an_event_about_an_unknown_message_changes_nothing(ledger: Ledger) -> None:
    assert ledger.settle(RUN, "nobody", "delivered", "") is None
    assert list(ledger.entries(RUN)) == []


def test_an_event_tells_what_was_known_before(ledger: Ledger) -> None:
    ledger.claim(claimed(), address_hash="a", since=NOON)

    assert [ledger.settle(RUN, "ann", state, "") for state in ("sent", "delivered", "delivered")] == [
        "claimed",
        "sent",
        None,
    ]


def test_counts_add_up(ledger: Ledger) -> None:
    ledger.count(RUN, {"delivered": 3, "claimed": -3}, NOON)
    ledger.count(RUN, {"delivered": -1, "bounced": 1}, NOON)

    state = ledger.mailing_state("weekly-picks", RUN)

    assert state == MailingState(order="go", delivered=2, bounced=1)
    assert ledger.mailing_state("weekly-picks", "weekly-picks#r2") == MailingState()


def test_the_last_order_of_a_campaign_counts(ledger: Ledger) -> None:
    ledger.give_order("weekly-picks", "stop", NOON)
    ledger.give_order("weekly-picks", "pause", LATER)

    assert ledger.mailing_state("weekly-picks", RUN).order == "pause"
    assert ledger.mailing_state("other", "other#r1").order == "go"


def test_entries_of_a_run_come_in_the_order_of_the_users(ledger: Ledger) -> None:
    users = ["b", "é", "a", "Z", "用户,1", "a\nb"]
    for number, user_id in enumerate(users):
        ledger.claim(claimed(user_id, by=f"x/{number}"), address_hash=f"h{number}", since=NOON)
    ledger.claim(claimed(run="weekly-picks#r2"), address_hash="other", since=NOON)

    assert [entry.user_id for entry in ledger.entries(RUN)] == sorted(users, key=str.encode)


def test_more_users_than_one_read_holds_are_found(ledger: Ledger) -> None:
    users = [f"u{number}" for number in range(230)]
    for user_id in users[::2]:
        ledger.claim(replace(claimed(user_id), state="suppressed"), address_hash="", since="")

    assert sorted(ledger.find(RUN, users)) == sorted(users[::2])


def test_a_user_is_forgotten_in_every_run_and_others_are_not(ledger: Ledger) -> None:
    other = "weekly-picks#r2"
    for user_id, run in (("ann", RUN), ("ann", other), ("bo", RUN)):
        ledger.claim(claimed(user_id, run=run), address_hash=f"{user_id}{run}", since=NOON)

    forgotten = ledger.forget("ann", [RUN, other, "weekly-picks#r3"], [f"ann{RUN}"])

    assert forgotten == 2
    assert ledger.find(RUN, ["ann", "bo"]).keys() == {"bo"}
    assert ledger.find(other, ["ann"]) == {}
    assert ledger.claim(claimed("cy"), address_hash=f"ann{RUN}", since=NOON) is None


def test_erasing_leaves_the_cause_alone(suppressions: Suppressions) -> None:
    suppressions.prefer("a", less_often=True, paused_until=LATER, at=NOON)
    suppressions.add("b", "bounced", NOON)
    suppressions.add_soft_bounce("a", "e1", NOON)

    for known_by in ("a", "b", "c"):
        suppressions.erase(known_by, LATER)

    assert suppressions.standing(["a", "b", "c"]) == {
        "a": Standing(cause="erased"),
        "b": Standing(cause="bounced"),
        "c": Standing(cause="erased"),
    }
    assert suppressions.add_soft_bounce("a", "e2", LATER) == 1


def test_the_first_cause_of_a_suppression_stays(suppressions: Suppressions) -> None:
    suppressions.add("a", "unsubscribed", NOON)
    suppressions.add("a", "bounced", LATER)

    assert suppressions.standing(["a", "b", "a"]) == {"a": Standing(cause="unsubscribed")}


def test_no_addresses_are_no_question(suppressions: Suppressions) -> None:
    assert suppressions.standing([]) == {}


def test_soft_bounces_are_counted_once_each_and_suppress_nobody(suppressions: Suppressions) -> None:
    counts = [suppressions.add_soft_bounce("a", event, NOON) for event in ("e1", "e2", "e2")]

    assert counts == [1, 2, 2]
    assert suppressions.standing(["a"]) == {}


def test_a_suppression_outlives_the_soft_bounces_before_it(suppressions: Suppressions) -> None:
    suppressions.add_soft_bounce("a", "e1", NOON)

    suppressions.add("a", "bounced", LATER)

    assert suppressions.standing(["a"]) == {"a": Standing(cause="bounced")}


def test_what_a_recipient_prefers_is_known_and_replaces_what_they_preferred_before(suppressions: Suppressions) -> None:
    noted = suppressions.prefer("a", less_often=True, paused_until="", at=NOON)
    before = suppressions.standing(["a"])
    suppressions.prefer("a", less_often=False, paused_until=LATER, at=LATER)

    assert noted
    assert before == {"a": Standing(less_often=True)}
    assert suppressions.standing(["a"]) == {"a": Standing(paused_until=LATER)}


def test_a_preference_lifts_no_suppression_and_a_suppression_ends_every_preference(suppressions: Suppressions) -> None:
    suppressions.prefer("a", less_often=True, paused_until="", at=NOON)
    suppressions.add("a", "unsubscribed", NOON)

    noted = suppressions.prefer("a", less_often=False, paused_until="", at=LATER)

    assert not noted
    assert suppressions.standing(["a"])["a"].cause == "unsubscribed"


def test_counts_of_soft_bounces_expire_and_what_a_recipient_said_never_does(dynamodb) -> None:
    suppressions = DynamoSuppressions(dynamodb, "suppressions")
    suppressions.prefer("a", less_often=True, paused_until="", at=NOON)
    suppressions.add_soft_bounce("a", "e1", NOON)
    suppressions.add("b", "bounced", LATER)

    items = {item["address_hash"]["S"]: item for item in dynamodb.scan(TableName="suppressions")["Items"]}

    assert {key for key, item in items.items() if "expires_at" in item} == {"soft#a"}
    assert set(items) == {"a", "b", "soft#a"}
