"""Cut-off, run time, working days, the calendar's end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from paylake import dates, settings
from paylake.errors import PermanentFailure, UsageFault


@pytest.fixture
def demo(tmp_path):
    return settings.load({"PAYLAKE_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("utc", "expected"),
    [
        (datetime(2026, 9, 12, 14, 59, 59, tzinfo=UTC), date(2026, 9, 12)),  # 22:59:59 local
        (datetime(2026, 9, 12, 15, 0, 0, tzinfo=UTC), date(2026, 9, 13)),  # 23:00:00 local
        (datetime(2026, 9, 12, 16, 0, 0, tzinfo=UTC), date(2026, 9, 13)),  # midnight local
    ],
)
def test_the_cutoff_moves_to_the_next_business_date(utc, expected, demo):
    assert dates.business_date(utc, demo) == expected


def test_a_midnight_cutoff_means_local_days(tmp_path):
    plain = settings.load({"PAYLAKE_HOME": str(tmp_path), "PAYLAKE_CUTOFF": "00:00"})
    late = datetime(2026, 9, 12, 15, 59, 59, tzinfo=UTC)
    assert dates.business_date(late, plain) == date(2026, 9, 12)
    assert dates.business_date(late.replace(hour=16, minute=0), plain) == date(2026, 9, 13)


def test_a_naive_time_is_refused(demo):
    with pytest.raises(ValueError):
        dates.business_date(datetime(2026, 9, 12), demo)


def test_run_time_is_eight_on_the_next_day(demo):
    assert dates.run_time(date(2026, 9, 12), demo) == datetime(2026, 9, 13, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(("cutoff", "end"), [
    ("23:00", datetime(2026, 9, 12, 15, 0, tzinfo=UTC)),
    ("00:00", datetime(2026, 9, 12, 16, 0, tzinfo=UTC)),
])
def test_a_date_ends_with_its_cut_off_or_the_next_midnight(demo, cutoff, end):
    found = dates.date_end(date(2026, 9, 12), replace(demo, cutoff=cutoff))
    assert found == end
    assert dates.business_date(found - timedelta(seconds=1), replace(demo, cutoff=cutoff)) == (
        date(2026, 9, 12)
    )


def test_national_day_2026_and_its_make_up_days():
    assert not dates.is_working_day(date(2026, 10, 1))
    assert dates.day_kind(date(2026, 10, 1)) == "holiday"
    made_up = [
        day for day in dates.date_range(date(2026, 9, 12), date(2026, 10, 18))
        if dates.day_kind(day) == "make_up"
    ]
    assert made_up and all(day.weekday() >= 5 and dates.is_working_day(day) for day in made_up)
    assert dates.next_working_day(date(2026, 9, 30)) > date(2026, 10, 1)


def test_beyond_the_calendar_is_an_error_by_name():
    with pytest.raises(PermanentFailure, match="calendar does not know"):
        dates.is_working_day(date(2040, 1, 1))


@pytest.mark.parametrize("text", ["None", "12.09.2026", "2026-02-30", ""])
def test_what_is_not_a_date_is_refused(text):
    with pytest.raises(UsageFault):
        dates.parse_date(text)


def test_a_range_that_ends_before_it_begins_is_refused():
    with pytest.raises(UsageFault):
        dates.date_range(date(2026, 9, 13), date(2026, 9, 12))
