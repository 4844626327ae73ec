"""Business dates, run times and working days.

Every calendar day is a business date. The business date of an instant is its local day in the
settings' zone, moved on by one from the cut-off time (23:00 by default) onwards. Working days come
from the calendar seed (`dbt/seeds/calendar_working_day.csv`) with make-up days and a known end.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from paylake.errors import PermanentFailure, UsageFault
from paylake.settings import ROOT, Settings

CALENDAR = ROOT / "dbt" / "seeds" / "calendar_working_day.csv"


def parse_date(text: str) -> date:
    """An ISO date from a command line or a file.

    :raises UsageFault: for anything else, the text "None" of schedulers included.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageFault(f"{text!r} is not a date", "Write it as 2026-09-12.") from None


def date_range(first: date, last: date) -> list[date]:
    """Every date from first to last, both included.

    :raises UsageFault: when last is before first.
    """
    if last < first:
        raise UsageFault(f"The range ends ({last}) before it begins ({first})", "Swap the dates.")
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _wall_time(text: str, name: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise UsageFault(f"{name} {text!r} is not a time of day", "Write it as 23:00.") from None


def business_date(moment: datetime, settings: Settings) -> date:
    """The business date of an aware instant.

    A cut-off of 00:00 means that business dates are plain local days.
    """
    if moment.tzinfo is None:
        raise ValueError("business_date needs an aware datetime")
    local = moment.astimezone(ZoneInfo(settings.zone))
    cutoff = _wall_time(settings.cutoff, "cutoff")
    later = cutoff != time(0) and local.time() >= cutoff
    return local.date() + timedelta(days=1) if later else local.date()


def date_end(day: date, settings: Settings) -> datetime:
    """When a business date ends (UTC): its cut-off, or the next midnight where that is 00:00."""
    wall = _wall_time(settings.cutoff, "cutoff")
    last = day + timedelta(days=1) if wall == time(0) else day
    return datetime.combine(last, wall, ZoneInfo(settings.zone)).astimezone(UTC)


def run_time(day: date, settings: Settings) -> datetime:
    """When the run for a business date takes place (UTC): `run_time` on the next calendar day."""
    wall = _wall_time(settings.run_time, "run_time")
    local = datetime.combine(day + timedelta(days=1), wall, ZoneInfo(settings.zone))
    return local.astimezone(UTC)


@lru_cache(maxsize=1)
def _calendar() -> dict[date, tuple[bool, str]]:
    with CALENDAR.open(encoding="utf-8", newline="") as file:
        return {
            date.fromisoformat(row["calendar_date"]): (
                row["is_working_day"].lower() in ("true", "1"),
                row["kind"],
            )
            for row in csv.DictReader(file)
        }


def _entry(day: date) -> tuple[bool, str]:
    calendar = _calendar()
    if day not in calendar:
        raise PermanentFailure(
            f"The working-day calendar does not know {day}: it runs from {min(calendar)} to "
            f"{max(calendar)}",
            "Add the year to the seed once the State Council's notice is out.",
            where=str(CALENDAR.relative_to(ROOT)),
        )
    return calendar[day]


def is_working_day(day: date) -> bool:
    """:raises PermanentFailure: beyond the calendar's end."""
    return _entry(day)[0]


def day_kind(day: date) -> str:
    """`weekday`, `weekend`, `holiday` or `make_up` (a weekend day that is worked)."""
    return _entry(day)[1]


def is_public_holiday(day: date) -> bool:
    """Whether the State Council's notice names the day, weekend days of a holiday included.

    :raises PermanentFailure: beyond the calendar's end.
    """
    return day_kind(day) == "holiday"


def working_days_after(day: date) -> Iterator[date]:
    """Working days after `day`, in order, up to the calendar's end."""
    while True:
        day += timedelta(days=1)
        if is_working_day(day):
            yield day


def next_working_day(day: date, count: int = 1) -> date:
    """The `count`-th working day after `day`.

    :raises PermanentFailure: beyond the calendar's end.
    """
    following = working_days_after(day)
    result = day
    for _ in range(count):
        result = next(following)
    return result
