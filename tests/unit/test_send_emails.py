"""SendEmails under faults, with counted deliveries: nobody receives two, nobody is missed without being named."""

import random
import threading
import time
from datetime import datetime, timedelta

import msgspec
import pytest

from shortlist.config import Campaign
from shortlist.contracts.records import Delivery, MailingState
from shortlist.errors import (
    ContractError,
    DailyQuotaError,
    MailingStoppedError,
    OutOfTimeError,
    TransientError,
)
from shortlist.mail.address import address_hash
from shortlist.ports import OutgoingMessage, SendQuota
from tests.fakes import FixedClock, MemoryLedger, MemoryTransport
from tests.mailing import (
    CAMPAIGN,
    MAIL,
    ONE_SENDER,
    FaultyTransport,
    Killed,
    Mailing,
    RandomTransport,
    recipient,
)


def people(count: int) -> list:
    return [recipient(number) for number in range(count)]


def test_every_recipient_gets_one_message_and_is_accounted_for() -> None:
    mailing = Mailing(people(7))

    manifest, skipped = mailing.send()

    assert not skipped
    assert mailing.deliveries() == {f"user{number}@example.com": 1 for number in range(7)}
    assert manifest.summary["sent"] == manifest.summary["recipients"] == 7
    assert set(mailing.outcomes().values()) == {"sent"}
    assert {entry.state for entry in mailing.ledger.entries("weekly-picks#r1")} == {"sent"}


def test_an_outcome_says_which_items_a_sent_message_showed() -> None:
    mailing = Mailing(people(2))
    mailing.suppressions.add(address_hash("user1@example.com"), "bounced", "2026-01-01T00:00:00Z")

    mailing.send()

    sent, suppressed = mailing.outcome_lines()
    assert sent["items"] == ["item-0", "item-1", "item-2"]
    assert "items" not in suppressed


def test_the_first_list_of_the_campaign_is_mailed_as_far_as_the_message_shows_it() -> None:
    mailing = Mailing(people(1))

    mailing.send()

    text = mailing.transport.messages[0].mime.decode()
    assert [f"Product {number}" in text for number in range(4)] == [True, True, True, False]
    assert "Product 9" not in text


def test_an_item_without_a_title_is_not_mailed_and_the_next_moves_up() -> None:
    mailing = Mailing(people(1), untitled=(1,))

    mailing.send()

    (outcome,) = mailing.outcome_lines()
    assert outcome["items"] == ["item-0", "item-2", "item-3"]
    assert b">item-1<" not in mailing.transport.messages[0].mime


def test_a_finished_shard_is_skipped() -> None:
    mailing = Mailing(people(3))
    mailing.send()

    _, skipped = mailing.send()

    assert skipped
    assert mailing.deliveries().total() == 3


def test_a_shard_whose_lists_were_made_again_mails_nobody_again() -> None:
    mailing = Mailing(people(3))
    mailing.send()
    mailing.write_rank_manifest(inputs="changed")

    manifest, skipped = mailing.send()

    assert not skipped
    assert mailing.deliveries().total() == 3
    assert (manifest.summary["sent"], manifest.summary["already_sent"]) == (3, 3)


@pytest.mark.parametrize("cause", ["unsubscribed", "bounced", "complained"])
def test_the_suppressed_are_not_mailed_and_counted_by_cause(cause: str) -> None:
    mailing = Mailing(people(3))
    mailing.suppressions.add(address_hash("USER1@example.com"), cause, "2026-01-01")

    manifest, _ = mailing.send()

    assert mailing.deliveries() == {"user0@example.com": 1, "user2@example.com": 1}
    assert manifest.summary["suppressed"] == 1
    assert manifest.summary["suppressed_by_cause"] == {cause: 1}
    assert mailing.outcomes()["user-00001"] == "suppressed"


def test_who_unsubscribes_while_the_shard_is_being_sent_is_not_mailed() -> None:
    mailing = Mailing(people(60))

    class UnsubscribesMeanwhile(MemoryTransport):
        def send(self, message: OutgoingMessage) -> str:
            mailing.suppressions.add(address_hash("user59@example.com"), "unsubscribed", "2026-01-05")
            return super().send(message)

    mailing.transport = UnsubscribesMeanwhile(max_per_second=ONE_SENDER)

    mailing.send()

    assert "user59@example.com" not in mailing.deliveries()


def test_two_users_of_one_address_get_one_message() -> None:
    mailing = Mailing([recipient(0, email="Both@example.com"), recipient(1, email="both@EXAMPLE.com")])

    manifest, _ = mailing.send()

    assert mailing.deliveries() == {"both@example.com": 1}
    assert manifest.summary["suppressed_by_cause"] == {"same_address": 1}


def test_a_second_run_within_the_pause_mails_nobody_a_second_time() -> None:
    mailing = Mailing(people(3))
    mailing.send()
    other = Mailing(people(4), run=msgspec.structs.replace(mailing.run, run_id="r2"), ledger=mailing.ledger)

    manifest, _ = other.send()

    assert other.deliveries() == {"user3@example.com": 1}
    assert manifest.summary["suppressed_by_cause"] == {"mailed_recently": 3}


def test_an_address_that_cannot_be_mailed_is_rejected_and_named() -> None:
    mailing = Mailing([recipient(0, email="no address"), recipient(1)])

    manifest, _ = mailing.send()

    assert mailing.deliveries() == {"user1@example.com": 1}
    assert manifest.summary["rejected"] == 1
    assert mailing.outcomes()["user-00000"] == "rejected"


def test_a_recipient_without_a_list_is_named() -> None:
    mailing = Mailing(people(2), campaign=msgspec.structs.replace(CAMPAIGN, lists=("everything",)))

    manifest, _ = mailing.send()

    assert mailing.deliveries().total() == 0
    assert manifest.summary["without_list"] == 2
    assert mailing.outcomes() == {"user-00000": "without_list", "user-00001": "without_list"}


class LedgerThatDies(MemoryLedger):
    """Kills the sender when it is about to claim, or to record, for one user; once."""

    def __init__(self, user_id: str, *, at: str) -> None:
        super().__init__()
        self._user_id = user_id
        self._at = at

    def claim(self, delivery: Delivery, *, address_hash: str, since: str) -> Delivery | None:
        self._die("claim", delivery)
        return super().claim(delivery, address_hash=address_hash, since=since)

    def record(self, delivery: Delivery) -> None:
        self._die("record", delivery)
        super().record(delivery)

    def _die(self, at: str, delivery: Delivery) -> None:
        if (at, delivery.user_id) == (self._at, self._user_id):
            self._at = ""
            raise Killed


def test_killed_before_the_claim_is_sent_by_the_next_attempt() -> None:
    mailing = Mailing(people(5), ledger=LedgerThatDies("user-00002", at="claim"))
    with pytest.raises(Killed):
        mailing.send()

    manifest, _ = mailing.send()

    assert mailing.deliveries() == {f"user{number}@example.com": 1 for number in range(5)}
    assert (manifest.summary["sent"], manifest.summary["already_sent"], manifest.summary["in_doubt"]) == (5, 2, 0)


def test_killed_between_claim_and_send_is_in_doubt_and_never_sent_blindly() -> None:
    mailing = Mailing(people(5), transport=FaultyTransport({"user2@example.com": "killed_before"}))
    with pytest.raises(Killed):
        mailing.send()

    manifest, _ = mailing.send()

    assert mailing.deliveries() == {f"user{number}@example.com": 1 for number in (0, 1, 3, 4)}
    assert (manifest.summary["sent"], manifest.summary["in_doubt"]) == (4, 1)
    assert mailing.outcomes()["user-00002"] == "in_doubt"


def test_killed_between_send_and_record_is_in_doubt_and_received_once() -> None:
    mailing = Mailing(people(5), ledger=LedgerThatDies("user-00002", at="record"))
    with pytest.raises(Killed):
        mailing.send()

    manifest, _ = mailing.send()

    assert mailing.deliveries() == {f"user{number}@example.com": 1 for number in range(5)}
    assert (manifest.summary["sent"], manifest.summary["in_doubt"]) == (4, 1)


def test_a_shard_in_doubt_is_looked_at_again_and_settled_by_the_event() -> None:
    mailing = Mailing(people(3), transport=FaultyTransport({"user1@example.com": "lost"}))
    doubtful, _ = mailing.send()
    mailing.ledger.settle("weekly-picks#r1", "user-00001", "delivered", "")

    settled, skipped = mailing.send()

    assert doubtful.summary["in_doubt"] == 1
    assert not skipped
    assert (settled.summary["sent"], settled.summary["in_doubt"]) == (3, 0)
    assert mailing.deliveries() == {f"user{number}@example.com": 1 for number in range(3)}


def test_a_throttled_message_is_tried_again_under_its_claim() -> None:
    mailing = Mailing(people(3), transport=FaultyTransport({"user1@example.com": "throttled"}))

    manifest, _ = mailing.send()

    assert manifest.summary["sent"] == 3
    assert mailing.deliveries() == {f"user{number}@example.com": 1 for number in range(3)}


class Closed(MemoryTransport):
    """Answers everything with one error until it is opened."""

    def __init__(self, error: Exception) -> None:
        super().__init__(max_per_second=ONE_SENDER)
        self.error: Exception | None = error

    def send(self, message: OutgoingMessage) -> str:
        if self.error:
            raise self.error
        return super().send(message)


@pytest.mark.parametrize("error", [TransientError("slow down"), ContractError("sender")])
def test_what_was_certainly_not_taken_is_sent_later(error: Exception) -> None:
    transport = Closed(error)
    mailing = Mailing(people(3), transport=transport)
    with pytest.raises(type(error)):
        mailing.send()
    transport.error = None

    manifest, _ = mailing.send()

    assert manifest.summary["sent"] == 3
    assert mailing.deliveries().total() == 3


def test_a_service_that_does_not_answer_costs_three_messages_in_doubt_and_no_more() -> None:
    transport = Closed(ConnectionError("reset"))
    mailing = Mailing(people(10), transport=transport)
    with pytest.raises(TransientError, match="in a row"):
        mailing.send()
    transport.error = None

    manifest, _ = mailing.send()

    assert (manifest.summary["sent"], manifest.summary["in_doubt"]) == (7, 3)


def test_a_rejected_message_is_recorded_and_not_tried_again() -> None:
    mailing = Mailing(people(3), transport=FaultyTransport({"user1@example.com": "rejected"}))
    mailing.send()
    mailing.write_rank_manifest(inputs="changed")

    manifest, _ = mailing.send()

    assert (manifest.summary["sent"], manifest.summary["rejected"]) == (2, 1)
    assert mailing.deliveries() == {"user0@example.com": 1, "user2@example.com": 1}


def test_it_stops_before_the_deadline_and_goes_on_where_it_stopped() -> None:
    mailing = Mailing(people(6))
    mailing.remaining_s = lambda: 31.0 if len(mailing.transport.messages) < 4 else 29.0
    with pytest.raises(OutOfTimeError):
        mailing.send()
    sent_first = mailing.deliveries().total()
    mailing.remaining_s = lambda: 900.0

    manifest, _ = mailing.send()

    assert sent_first == 4
    assert (manifest.summary["sent"], manifest.summary["already_sent"]) == (6, 4)
    assert mailing.deliveries().total() == 6


def test_the_rate_of_the_account_is_shared_by_the_shards_that_run_at_once() -> None:
    mailing = Mailing(people(101), transport=MemoryTransport(max_per_second=20))
    started = mailing.clock.now()

    mailing.send()

    assert (mailing.clock.now() - started).total_seconds() == pytest.approx(100 / (20 / 5), rel=0.01)


class Slow(MemoryTransport):
    """Answers after 20 ms, as a service across a network does; counts how many calls wait at once."""

    def __init__(self, max_per_second: float) -> None:
        super().__init__(max_per_second)
        self.waiting = self.most = 0
        self._lock = threading.Lock()

    def send(self, message: OutgoingMessage) -> str:
        with self._lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
        time.sleep(0.02)
        with self._lock:
            self.waiting -= 1
            return super().send(message)


@pytest.mark.parametrize(("max_per_second", "most"), [(14, 1), (1_000, 8)])
def test_a_fast_account_is_served_by_several_threads(max_per_second: float, most: int) -> None:
    mailing = Mailing(people(50), transport=Slow(max_per_second))

    manifest, _ = mailing.send()

    assert mailing.transport.most == most
    assert manifest.summary["sent"] == 50
    assert max(mailing.deliveries().values()) == 1
    assert list(mailing.outcomes()) == [person.user_id for person in mailing.recipients]


def test_threads_stop_at_an_error_and_nobody_is_mailed_twice_afterwards() -> None:
    class FullAfterTen(Slow):
        def send(self, message: OutgoingMessage) -> str:
            if len(self.messages) >= 10 and mailing.attempts == 1:
                raise DailyQuotaError("tomorrow")
            return super().send(message)

    mailing = Mailing(people(60), transport=FullAfterTen(1_000))
    first, _ = mailing.send()
    sent_first = mailing.deliveries().total()

    manifest, _ = mailing.send()

    assert 10 <= sent_first <= 18
    assert (first.summary["sent"], first.summary["waiting"]) == (sent_first, 60 - sent_first)
    assert (manifest.summary["sent"], manifest.summary["in_doubt"]) == (60, 0)
    assert max(mailing.deliveries().values()) == 1


class SmallAccount(MemoryTransport):
    """Ten messages in 24 hours."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__()
        self.clock = clock
        self.sent_at: list[datetime] = []

    def send(self, message: OutgoingMessage) -> str:
        self.sent_at.append(self.clock.now())
        return super().send(message)

    def quota(self) -> SendQuota:
        day_ago = self.clock.now() - timedelta(days=1)
        return SendQuota(
            max_per_second=100, max_per_day=10, sent_last_day=float(sum(at > day_ago for at in self.sent_at))
        )


def test_the_daily_quota_is_respected_and_the_mailing_goes_on_the_next_day() -> None:
    clock = FixedClock()
    mailing = Mailing(people(30), transport=SmallAccount(clock), clock=clock)
    first, _ = mailing.send()
    rounds = 1
    while (last := mailing.send()[0].summary)["waiting"]:
        clock.time = datetime.fromisoformat(last["resume_at"])
        rounds += 1

    sent_at = mailing.transport.sent_at
    assert first.summary["sent"] == 2  # a fifth of the account's, as four other shards may be sending
    assert first.summary["resume_at"].startswith("2026-01-05T07:00:00")
    assert max(sum(start <= at < start + timedelta(days=1) for at in sent_at) for start in sent_at) <= 10
    assert mailing.deliveries() == {f"user{number}@example.com": 1 for number in range(30)}
    assert rounds > 24


def test_a_paused_campaign_mails_nobody_until_it_may_go_on() -> None:
    mailing = Mailing(people(3))
    mailing.ledger.give_order("weekly-picks", "pause", "2026-01-05")
    paused, _ = mailing.send()
    sent_while_paused = mailing.deliveries().total()
    mailing.ledger.give_order("weekly-picks", "go", "2026-01-05")

    manifest, _ = mailing.send()

    assert sent_while_paused == 0
    assert (paused.summary["waiting"], paused.summary["resume_at"]) == (3, "2026-01-05T06:15:00+00:00")
    assert manifest.summary["sent"] == 3


def test_a_campaign_is_stopped_while_it_is_being_sent() -> None:
    mailing = Mailing(people(60))

    class StoppedMeanwhile(MemoryTransport):
        def send(self, message: OutgoingMessage) -> str:
            mailing.ledger.give_order("weekly-picks", "stop", "2026-01-05")
            return super().send(message)

    mailing.transport = StoppedMeanwhile(max_per_second=ONE_SENDER)

    with pytest.raises(MailingStoppedError, match="was stopped"):
        mailing.send()

    assert mailing.deliveries().total() == 25  # one batch: the order is looked up before each


@pytest.mark.parametrize(
    ("state", "stops"),
    [
        (MailingState(), False),
        (MailingState(delivered=0, bounced=9), False),
        (MailingState(delivered=190, bounced=10), False),
        (MailingState(delivered=189, bounced=10), True),
        (MailingState(delivered=100, complained=2), False),
        (MailingState(delivered=2_997, complained=3), False),
        (MailingState(delivered=2_996, complained=3), True),
    ],
)
def test_a_mailing_stops_itself_above_its_share_of_bounces_or_complaints(state: MailingState, stops: bool) -> None:
    mailing = Mailing(people(3))
    mailing.ledger.mailing_state = lambda campaign, campaign_run: state

    if stops:
        with pytest.raises(MailingStoppedError, match="stopped itself"):
            mailing.send()
    else:
        mailing.send()

    assert mailing.deliveries().total() == (0 if stops else 3)


def test_two_executions_at_once_share_the_work() -> None:
    mailing = Mailing(people(40))

    class Interleaved(MemoryTransport):
        """The other execution sends the whole shard while this one is in its third message."""

        def send(self, message: OutgoingMessage) -> str:
            if len(self.messages) == 2 and mailing.attempts == 1:
                other, _ = mailing.send()
                assert other.summary["in_doubt"] == 1  # ours, which is on its way
            return super().send(message)

    mailing.transport = Interleaved(max_per_second=ONE_SENDER)

    manifest, _ = mailing.send()

    assert mailing.attempts == 2
    assert mailing.deliveries() == {f"user{number}@example.com": 1 for number in range(40)}
    assert (manifest.summary["sent"], manifest.summary["in_doubt"]) == (40, 0)


def test_no_address_or_name_is_in_what_is_kept_about_a_shard() -> None:
    mailing = Mailing([recipient(0, first_name="Philippa"), recipient(1, email="not an address")])

    manifest, _ = mailing.send()

    outcomes = next(iter(manifest.outputs))
    for kept in (msgspec.json.encode(manifest), mailing.store.read(outcomes), repr(mailing.ledger.deliveries).encode()):
        assert b"@example" not in kept
        assert b"not an address" not in kept
        assert b"Philippa" not in kept


def test_a_campaign_without_mail_cannot_be_sent() -> None:
    mailing = Mailing(people(1), campaign=Campaign(name="weekly-picks", mail=None))

    with pytest.raises(ContractError, match="has no `mail`"):
        mailing.send()


def test_ten_thousand_recipients_under_random_faults() -> None:
    rng = random.Random(20260105)
    mail = msgspec.structs.replace(MAIL, items=1)
    mailing = Mailing(people(10_000), campaign=msgspec.structs.replace(CAMPAIGN, mail=mail))
    mailing.transport = RandomTransport(rng, one_in=40)
    for number in range(0, 10_000, 97):
        mailing.suppressions.add(address_hash(f"user{number}@example.com"), "unsubscribed", "2026-01-01")

    waiting = list(mailing.keys)
    while waiting:
        key = waiting.pop(rng.randrange(len(waiting)))
        try:
            mailing.send(key)
        except (TransientError, Killed):
            waiting.append(key)
        else:
            if rng.random() < 0.2:
                waiting.append(key)  # a shard delivered twice

    deliveries, outcomes = mailing.deliveries(), mailing.outcomes()
    entries = {entry.user_id: entry.state for entry in mailing.ledger.entries("weekly-picks#r1")}
    received = {f"user-{int(address[4:].partition('@')[0]):05d}" for address in deliveries}
    assert max(deliveries.values()) == 1
    assert len(outcomes) == len(entries) == 10_000
    assert {user_id for user_id, outcome in outcomes.items() if outcome == "sent"} <= received
    missed = set(outcomes) - received
    assert {outcomes[user_id] for user_id in missed} == {"suppressed", "rejected", "in_doubt"}
    assert sum(outcome == "suppressed" for outcome in outcomes.values()) == 104
    assert not {user_id for user_id, outcome in outcomes.items() if outcome == "suppressed"} & received
    assert 100 < sum(outcome == "in_doubt" for outcome in outcomes.values()) < 300
