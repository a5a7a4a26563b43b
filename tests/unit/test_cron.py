"""Schedule expressions against the examples of the documentation and against looking at every minute."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.cron import parse

START = datetime(2024, 1, 1, tzinfo=UTC)


def fires(expression, count, time_zone="UTC", since="2024-01-01T00:00:00"):
    """The first times at which the expression is due, as the zone's clock shows them."""
    zone, found = ZoneInfo(time_zone), []
    moment = datetime.fromisoformat(since).replace(tzinfo=zone).astimezone(UTC)
    schedule = parse(expression, time_zone)
    for _ in range(count):
        moment = schedule.after(moment, START)
        if moment is None:
            break
        found.append(moment.astimezone(zone).strftime("%Y-%m-%d %H:%M"))
    return found


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("cron(0 6 ? * MON *)", ["2024-01-01 06:00", "2024-01-08 06:00", "2024-01-15 06:00"]),
        ("cron(15 10 * * ? *)", ["2024-01-01 10:15", "2024-01-02 10:15", "2024-01-03 10:15"]),
        ("cron(0/15 8-9 ? * 2-6 *)", ["2024-01-01 08:00", "2024-01-01 08:15", "2024-01-01 08:30"]),
        ("cron(0 18 ? * MON-FRI *)", ["2024-01-01 18:00", "2024-01-02 18:00", "2024-01-03 18:00"]),
        ("cron(0 0 L * ? *)", ["2024-01-31 00:00", "2024-02-29 00:00", "2024-03-31 00:00"]),
        ("cron(0 0 31 * ? *)", ["2024-01-31 00:00", "2024-03-31 00:00", "2024-05-31 00:00"]),
        ("cron(0 9 3W * ? *)", ["2024-01-03 09:00", "2024-02-02 09:00", "2024-03-04 09:00"]),
        ("cron(0 9 1W * ? *)", ["2024-01-01 09:00", "2024-02-01 09:00", "2024-03-01 09:00"]),
        ("cron(0 9 31W * ? *)", ["2024-01-31 09:00", "2024-02-29 09:00", "2024-03-29 09:00"]),
        ("cron(0 9 ? * 6L *)", ["2024-01-26 09:00", "2024-02-23 09:00", "2024-03-29 09:00"]),
        ("cron(0 9 ? * FRIL *)", ["2024-01-26 09:00", "2024-02-23 09:00", "2024-03-29 09:00"]),
        ("cron(0 9 ? * 3#2 *)", ["2024-01-09 09:00", "2024-02-13 09:00", "2024-03-12 09:00"]),
        ("cron(0 9 ? * MON#5 *)", ["2024-01-29 09:00", "2024-04-29 09:00", "2024-07-29 09:00"]),
        ("cron(0 9 ? * L *)", ["2024-01-06 09:00", "2024-01-13 09:00", "2024-01-20 09:00"]),
        ("cron(30 4 1,15 FEB,AUG ? 2024)", ["2024-02-01 04:30", "2024-02-15 04:30", "2024-08-01 04:30"]),
        ("cron(0 0 29 2 ? *)", ["2024-02-29 00:00", "2028-02-29 00:00", "2032-02-29 00:00"]),
        ("cron(0 0 1 1 ? 2023)", []),
        ("at(2024-05-01T09:30:00)", ["2024-05-01 09:30"]),
        ("at(2023-05-01T09:30:00)", []),
        ("rate(5 minutes)", ["2024-01-01 00:05", "2024-01-01 00:10", "2024-01-01 00:15"]),
        ("rate(1 day)", ["2024-01-02 00:00", "2024-01-03 00:00", "2024-01-04 00:00"]),
    ],
)
def test_the_times_of_an_expression(expression, times):
    assert fires(expression, 3) == times


def test_a_rate_begins_at_its_start():
    rate = parse("rate(2 hours)")

    assert rate.after(START - timedelta(seconds=1), START) == START


def test_local_time_follows_the_zone_through_the_year():
    winter, summer = fires("cron(0 6 ? 1,7 MON#1 2024)", 2, "Europe/Berlin")
    moment = parse("cron(0 6 ? 7 MON#1 2024)", "Europe/Berlin").after(START, START)

    assert (winter, summer) == ("2024-01-01 06:00", "2024-07-01 06:00")
    assert moment == datetime(2024, 7, 1, 4, tzinfo=UTC)


def test_a_time_that_the_clock_skips_in_spring_is_left_out():
    assert fires("cron(30 2 * * ? *)", 2, "Europe/Berlin", since="2024-03-30T02:30:00") == [
        "2024-04-01 02:30",
        "2024-04-02 02:30",
    ]
    assert fires("at(2024-03-31T02:30:00)", 1, "Europe/Berlin") == []


def test_a_time_that_the_clock_repeats_in_autumn_comes_once():
    assert fires("cron(30 2 * * ? *)", 2, "Europe/Berlin", since="2024-10-26T12:00:00") == [
        "2024-10-27 02:30",
        "2024-10-28 02:30",
    ]


@pytest.mark.parametrize(
    "expression",
    [
        "cron(0 6 * * MON *)",
        "cron(0 6 ? * ? *)",
        "cron(0 6 ? * MON)",
        "cron(60 6 ? * MON *)",
        "cron(0 24 ? * MON *)",
        "cron(0 6 0 * ? *)",
        "cron(0 6 32 * ? *)",
        "cron(0 6 ? 13 MON *)",
        "cron(0 6 ? * 8 *)",
        "cron(0 6 ? * MON#6 *)",
        "cron(0 6 ? * MONDAY *)",
        "cron(0 6 ? * MON 1969)",
        "cron(0/0 6 ? * MON *)",
        "cron(9-3 6 ? * MON *)",
        "cron(,5 6 ? * MON *)",
        "cron(0 6 L-1 * ? *)",
        "cron(0 6 ? * * *) ",
        "rate(0 minutes)",
        "rate(5 seconds)",
        "rate(1.5 hours)",
        "at(2024-05-01)",
        "at(2024-05-01T09:30:00Z)",
        "every monday",
        "",
    ],
)
def test_what_the_scheduler_does_not_take_is_refused(expression):
    with pytest.raises(ValueError, match=r"."):
        parse(expression)


def field(low, high):
    """A field of a cron expression and the values it means."""
    numbers = st.integers(low, high)
    single = numbers.map(lambda n: (str(n), {n}))
    spans = st.tuples(numbers, numbers).map(sorted).map(lambda ab: (f"{ab[0]}-{ab[1]}", {*range(ab[0], ab[1] + 1)}))
    steps = st.tuples(numbers, st.integers(1, 9)).map(lambda ab: (f"{ab[0]}/{ab[1]}", {*range(ab[0], high + 1, ab[1])}))
    every = st.just(("*", {*range(low, high + 1)}))
    part = st.one_of(single, spans, steps)
    several = st.lists(part, min_size=1, max_size=3).map(
        lambda parts: (",".join(text for text, _ in parts), set().union(*(values for _, values in parts)))
    )
    return st.one_of(every, several)


@settings(max_examples=12, deadline=None)
@given(
    minutes=field(0, 59),
    hours=field(0, 23),
    weekdays=field(1, 7),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    begin=st.sampled_from(
        ["2024-03-08T20:00", "2024-03-30T12:00", "2024-04-06T03:00", "2024-10-26T12:00", "2024-11-02T12:00"]
    ),
)
def test_it_fires_exactly_in_the_minutes_that_every_field_names(minutes, hours, weekdays, zone, begin):
    schedule = parse(f"cron({minutes[0]} {hours[0]} ? * {weekdays[0]} *)", zone)
    first = datetime.fromisoformat(begin).replace(tzinfo=UTC)
    last = first + timedelta(hours=20)

    found, moment = [], schedule.after(first, START)
    while moment is not None and moment <= last:
        found.append(moment)
        moment = schedule.after(moment, START)

    expected, shown = [], set()
    for minute in range(-120, 20 * 60 + 1):  # from before, to have seen what a clock put back shows again
        local = (first + timedelta(minutes=minute)).astimezone(ZoneInfo(zone))
        again = (local.date(), local.hour, local.minute) in shown
        shown.add((local.date(), local.hour, local.minute))
        named = local.minute in minutes[1] and local.hour in hours[1] and local.isoweekday() % 7 + 1 in weekdays[1]
        if minute > 0 and named and not again:
            expected.append(first + timedelta(minutes=minute))
    assert found == expected
    assert all(earlier < later for earlier, later in pairwise(found))
