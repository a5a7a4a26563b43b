"""Schedule expressions of EventBridge Scheduler: `at(…)`, `rate(…)` or `cron(…)` in, the moments they name out.

Dialect: https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
Local time: a moment that the clock skips in spring is left out, one that it repeats in autumn comes once.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_WEEKDAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_UNITS = {"minute": 60, "hour": 3600, "day": 86_400}
_NUMBER = re.compile(r"\d{1,4}")


class Expression(Protocol):
    """When a schedule is due."""

    def after(self, moment: datetime, start: datetime) -> datetime | None:
        """The first moment (UTC) later than `moment`, of a schedule that began at `start`; None if there is none."""


def parse(expression: str, time_zone: str = "UTC") -> Expression:
    """Raises ValueError, with the reason, for what EventBridge Scheduler does not take."""
    zone = ZoneInfo(time_zone)
    found = re.fullmatch(r"(at|rate|cron)\((.+)\)", expression)
    if not found:
        raise ValueError(f"expected at(…), rate(…) or cron(…), not {expression!r}")
    kind, inner = found.groups()
    if kind == "at":
        return At(_resolved(datetime.strptime(inner, "%Y-%m-%dT%H:%M:%S"), zone))  # noqa: DTZ007 - local time
    if kind == "rate":
        rate = re.fullmatch(r"([1-9]\d*) (minute|hour|day)s?", inner)
        if not rate:
            raise ValueError(f"expected a whole number and minutes, hours or days, not {inner!r}")
        return Rate(timedelta(seconds=int(rate[1]) * _UNITS[rate[2]]))
    return Cron(inner, zone)


@dataclass(frozen=True, slots=True)
class At:
    """Once. `moment` is None for a local time that does not exist."""

    moment: datetime | None

    def after(self, moment: datetime, start: datetime) -> datetime | None:
        return self.moment if self.moment is not None and self.moment > moment else None


@dataclass(frozen=True, slots=True)
class Rate:
    """At the start, and every period from there."""

    period: timedelta

    def after(self, moment: datetime, start: datetime) -> datetime | None:
        return start if moment < start else start + ((moment - start) // self.period + 1) * self.period


class Cron:
    """Six fields: minutes, hours, day of month, month, day of week, year; one of the two days is `?`."""

    def __init__(self, fields: str, zone: ZoneInfo) -> None:
        parts = fields.upper().split()
        if len(parts) != 6:
            raise ValueError(f"expected six fields (minutes hours day-of-month month day-of-week year), not {fields!r}")
        minutes, hours, day, month, weekday, year = parts
        if (day == "?") == (weekday == "?"):
            raise ValueError(f"exactly one of day-of-month and day-of-week is ?, not {day} and {weekday}")
        self._zone = zone
        self._minutes = _values(minutes, 0, 59)
        self._hours = _values(hours, 0, 23)
        self._months = _values(month, 1, 12, _MONTHS)
        self._years = _values(year, 1970, 2199)
        self._day, self._weekday = day, weekday
        next(iter(self._days(2024, 1)), None)  # raises for days that cannot be read

    def after(self, moment: datetime, start: datetime) -> datetime | None:
        here = moment.astimezone(self._zone).replace(tzinfo=None)
        for local in self._local_times(here):
            found = _resolved(local, self._zone)
            if found is not None and found > moment:
                return found
        return None

    def _local_times(self, since: datetime) -> Iterator[datetime]:
        """Those from `since` on that the fields name, in order."""
        for year in self._years:
            for month in self._months:
                if (year, month) >= (since.year, since.month):
                    for day in self._days(year, month):
                        if day >= since.date():
                            yield from self._times_of(day, since)

    def _times_of(self, day: date, since: datetime) -> Iterator[datetime]:
        for hour in self._hours:
            if (day, hour) >= (since.date(), since.hour):
                for minute in self._minutes:
                    yield datetime.combine(day, time(hour, minute))

    def _days(self, year: int, month: int) -> Iterator[date]:
        """The days of the month that the two fields name, in order."""
        last = calendar.monthrange(year, month)[1]
        if self._weekday == "?":
            wanted = _days_of_month(self._day, year, month, last)
        else:
            wanted = _days_of_week(self._weekday, year, month, last)
        for day in sorted(wanted):
            if 1 <= day <= last:
                yield date(year, month, day)


def _resolved(local: datetime, zone: ZoneInfo) -> datetime | None:
    """The first moment at which the clock of the zone shows the local time; None if it skips it."""
    moment = local.replace(tzinfo=zone).astimezone(UTC)
    return moment if moment.astimezone(zone).replace(tzinfo=None) == local else None


def _days_of_month(field: str, year: int, month: int, last: int) -> set[int]:
    if field == "L":
        return {last}
    nearest = re.fullmatch(r"([1-9]|[12]\d|3[01])W", field)
    if nearest:
        return {_nearest_weekday(min(int(nearest[1]), last), year, month, last)}
    return set(_values(field, 1, 31))


def _nearest_weekday(day: int, year: int, month: int, last: int) -> int:
    """Monday to Friday, in the same month."""
    weekday = date(year, month, day).weekday()
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < last else day - 2
    return day


def _days_of_week(field: str, year: int, month: int, last: int) -> set[int]:
    first = date(year, month, 1).isoweekday() % 7 + 1  # 1 is Sunday
    if field == "L":
        field = "7"
    special = re.fullmatch(r"([1-7]|[A-Z]{3})(?:L|#([1-5]))", field)
    if not special:
        wanted = _values(field, 1, 7, _WEEKDAYS)
        return {day for day in range(1, last + 1) if (first + day - 2) % 7 + 1 in wanted}
    (weekday,) = _values(special[1], 1, 7, _WEEKDAYS)
    days = range(1 + (weekday - first) % 7, last + 1, 7)
    if special[2] is None:
        return {days[-1]}
    return {days[int(special[2]) - 1]} if int(special[2]) <= len(days) else set()


def _values(field: str, low: int, high: int, names: dict[str, int] | None = None) -> list[int]:
    """The numbers that a field of lists, ranges and steps names, in order."""
    values: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        begin = low if first == "*" else _number(first, names)
        end = _number(last, names) if dash else (high if slash or first == "*" else begin)
        every = _number(step, None) if slash else 1
        if not low <= begin <= end <= high or every < 1 or (dash and first == "*"):
            raise ValueError(f"{part!r} is not within {low} to {high}")
        values |= {*range(begin, end + 1, every)}
    return sorted(values)


def _number(text: str, names: dict[str, int] | None) -> int:
    if names and text in names:
        return names[text]
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no number" + (f" and none of {', '.join(names)}" if names else ""))
    return int(text)
