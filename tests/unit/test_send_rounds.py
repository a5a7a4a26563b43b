"""SendEmails in rounds: send windows in the recipients' own time, their wishes, and faults in between."""

import random
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.config import Mail, SendWindow
from shortlist.contracts.payloads import Run
from shortlist.errors import ContractError, TransientError
from shortlist.mail.address import address_hash
from shortlist.mail.window import opens_at
from tests.fakes import FixedClock
from tests.mailing import CAMPAIGN, MAIL, RUN, Killed, Mailing, RandomTransport, recipient

OFFICE = SendWindow(from_hour=9, until_hour=17, time_zone="Europe/Berlin")
ZONES = ("Asia/Tokyo", "Europe/Berlin", "America/New_York", "Pacific/Auckland", "", "Mars/Olympus")
WINTER = datetime(2026, 1, 5, 6, tzinfo=UTC)


def mailing_with(mail: Mail, zones: tuple[str, ...] = ZONES, *, run: Run = RUN, **parts: object) -> Mailing:
    people = [recipient(number, time_zone=zone) for number, zone in enumerate(zones)]
    return Mailing(people, campaign=msgspec.structs.replace(CAMPAIGN, mail=mail), run=run, **parts)


def in_office_hours() -> Mail:
    return msgspec.structs.replace(MAIL, send_window=OFFICE)


@pytest.mark.parametrize(
    ("zone", "now", "opens"),
    [
        ("Europe/Berlin", "2026-01-05T06:00", "2026-01-05T08:00"),
        ("Europe/Berlin", "2026-01-05T08:00", "2026-01-05T08:00"),
        ("Europe/Berlin", "2026-01-05T15:59", "2026-01-05T15:59"),
        ("Europe/Berlin", "2026-01-05T16:00", "2026-01-06T08:00"),
        ("Asia/Tokyo", "2026-01-05T06:00", "2026-01-05T06:00"),
        ("America/New_York", "2026-01-05T06:00", "2026-01-05T14:00"),
        ("Europe/Berlin", "2026-03-28T20:00", "2026-03-29T07:00"),  # the clocks go forward in the night
        ("Pacific/Auckland", "2026-01-05T06:00", "2026-01-05T20:00"),
        ("", "2026-01-05T06:00", "2026-01-05T08:00"),
        ("Mars/Olympus", "2026-01-05T06:00", "2026-01-05T08:00"),
        ("../../etc/passwd", "2026-01-05T06:00", "2026-01-05T08:00"),
    ],
)
def test_a_window_opens_at_its_hour_on_the_recipients_clock(zone: str, now: str, opens: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)

    assert opens_at(OFFICE, zone, moment) == datetime.fromisoformat(opens).replace(tzinfo=UTC)


@given(
    st.integers(0, 2 * 365 * 24 * 60).map(lambda minutes: WINTER + timedelta(minutes=minutes)),
    st.sampled_from(["Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Tehran"]),
)
def test_a_window_opens_within_a_day_and_is_open_then(now: datetime, zone: str) -> None:
    opens = opens_at(OFFICE, zone, now)

    assert now <= opens <= now + timedelta(hours=25)
    assert opens_at(OFFICE, zone, opens) == opens


def test_a_window_in_no_time_zone_is_refused() -> None:
    with pytest.raises(ContractError, match="send_window"):
        opens_at(SendWindow(time_zone="Nowhere"), "", WINTER)


def test_every_recipient_is_mailed_in_their_own_hours_round_by_round() -> None:
    mailing = mailing_with(in_office_hours())
    mailed_at: dict[str, datetime] = {}

    rounds = []
    while True:
        before = mailing.deliveries()
        manifest, _ = mailing.send()
        mailed_at |= {address: mailing.clock.now() for address in mailing.deliveries() - before}
        rounds.append((manifest.summary["sent"], manifest.summary["waiting"]))
        if not manifest.summary["waiting"]:
            break
        mailing.clock.time = datetime.fromisoformat(manifest.summary["resume_at"])

    assert rounds == [(1, 5), (4, 2), (5, 1), (6, 0)]
    assert mailing.deliveries() == {f"user{number}@example.com": 1 for number in range(6)}
    assert [mailed_at[f"user{number}@example.com"].hour for number in range(6)] == [6, 8, 14, 20, 8, 8]


def test_who_waits_is_named_with_the_reason() -> None:
    mailing = mailing_with(in_office_hours(), ("Asia/Tokyo", "America/New_York"))

    mailing.send()

    assert mailing.outcomes() == {"user-00000": "sent", "user-00001": "waiting"}


def test_nothing_is_read_for_a_shard_in_which_everybody_waits() -> None:
    mailing = mailing_with(in_office_hours(), ("America/New_York",))
    mailing.store.delete([key for key in mailing.store.objects if "/topx/" in key])

    manifest, _ = mailing.send()

    assert manifest.summary["waiting"] == 1


def test_a_recipient_who_paused_is_left_out_until_the_pause_is_over() -> None:
    mailing = mailing_with(MAIL, ("", ""))
    until = (mailing.clock.now() + timedelta(days=30)).isoformat()
    mailing.suppressions.prefer(address_hash("user0@example.com"), less_often=False, paused_until=until, at="")
    later = mailing_with(
        MAIL,
        ("", ""),
        run=msgspec.structs.replace(RUN, run_id="r2"),
        ledger=mailing.ledger,
        suppressions=mailing.suppressions,
        clock=FixedClock(mailing.clock.now() + timedelta(days=31)),
    )

    first, _ = mailing.send()
    second, _ = later.send()

    assert first.summary["suppressed_by_cause"] == {"paused": 1}
    assert second.summary["sent"] == 2


@pytest.mark.parametrize(("days", "sent"), [(7, 1), (27, 1), (29, 2)])
def test_who_wants_less_mail_gets_one_message_in_four_weeks_from_all_campaigns(days: int, sent: int) -> None:
    first = mailing_with(MAIL, ("", ""))
    first.suppressions.prefer(address_hash("user0@example.com"), less_often=True, paused_until="", at="")
    other = mailing_with(
        MAIL,
        ("", ""),
        run=msgspec.structs.replace(RUN, run_id="r2", campaign="new-arrivals"),
        ledger=first.ledger,
        suppressions=first.suppressions,
        clock=FixedClock(first.clock.now() + timedelta(days=days)),
    )
    first.send()

    manifest, _ = other.send()

    assert manifest.summary["sent"] == sent
    assert manifest.summary["suppressed_by_cause"] == ({} if sent == 2 else {"less_often": 1})


def test_rounds_under_random_faults_mail_nobody_twice_and_miss_nobody_unnamed() -> None:
    rng = random.Random(20260106)
    mail = msgspec.structs.replace(MAIL, items=1, send_window=OFFICE)
    mailing = mailing_with(mail, tuple(rng.choice(ZONES) for _ in range(2_000)), per_shard=250)
    mailing.transport = RandomTransport(rng, one_in=40)
    orders = ["go"] * 6 + ["pause"]

    for _ in range(60):  # rounds: an hour each, every shard once or twice, the campaign paused now and then
        mailing.ledger.give_order("weekly-picks", rng.choice(orders), "")
        for key in rng.sample(mailing.keys * 2, k=12):
            try:
                mailing.send(key)
            except (TransientError, Killed):
                continue
        mailing.clock.time += timedelta(hours=1)
    mailing.ledger.give_order("weekly-picks", "go", "")
    mailing.transport.one_in = 10**9
    for _ in range(26):
        waiting = sum(mailing.send(key)[0].summary["waiting"] for key in mailing.keys)
        mailing.clock.time += timedelta(hours=1)

    deliveries, outcomes = mailing.deliveries(), mailing.outcomes()
    received = {f"user-{int(address[4:].partition('@')[0]):05d}" for address in deliveries}
    assert waiting == 0
    assert max(deliveries.values()) == 1
    assert len(outcomes) == 2_000
    assert {user_id for user_id, outcome in outcomes.items() if outcome == "sent"} <= received
    assert {outcomes[user_id] for user_id in set(outcomes) - received} <= {"rejected", "in_doubt"}
