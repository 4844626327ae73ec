"""The kernel's working calendar, as payouts need it."""

from __future__ import annotations

from datetime import date

from ledger.domain.settling import Calendar
from paylake.dates import is_public_holiday, next_working_day
from paylake.errors import PermanentFailure


def payout_calendar() -> Calendar:
    """The kernel's calendar for payouts. On a date that it does not know yet nothing is paid: a
    payout is late rather than early (rule D0.7)."""

    def working_day(day: date, count: int) -> date:
        try:
            return next_working_day(day, count)
        except (PermanentFailure, OverflowError):  # beyond its end, or already `date.max`
            return date.max

    def holiday(day: date) -> bool:
        try:
            return is_public_holiday(day)
        except PermanentFailure:
            return True

    return Calendar(working_day, holiday)
