"""The ledger's one clock, and the booking date of a moment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

from ledger.domain.fields import utc_text
from ledger.domain.refusals import Refusal
from ledger.domain.settling import Calendar, WorkingDay


class Clock:
    """System time, or in a simulated ledger the time that the simulator sets.

    :param simulated: whether commands bring their time and the clock is set from outside
    :param date_of: the kernel's business date of an aware moment (zone and cut-off applied)
    :param working_day: the kernel's working calendar
    :param calendar: the same for payouts, with its public holidays
    :param now: the simulated time as stored, or None
    """

    def __init__(
        self, simulated: bool, date_of: Callable[[datetime], date],
        working_day: WorkingDay, calendar: Calendar, now: str | None = None,
    ) -> None:
        self.working_day = working_day
        self.calendar = calendar
        self.simulated = simulated
        self._date_of = date_of
        self._now = now if simulated else None
        self._dates: dict[str, str] = {}

    def now(self) -> str | None:
        """The time as UTC text; None in a simulated ledger whose clock was never set."""
        return self._now if self.simulated else utc_text(datetime.now(UTC))

    def set(self, now: str) -> None:
        """Set the simulated clock (the caller has checked that the ledger is simulated)."""
        self._now = now

    def booking_date(self, moment: str) -> str:
        """Business date of a UTC text. The cut-off falls on a whole minute, so one look-up a
        minute is enough."""
        minute = moment[:16]
        day = self._dates.get(minute)
        if day is None:
            if len(self._dates) > 100_000:
                self._dates.clear()
            day = self._date_of(datetime.fromisoformat(minute + ":00+00:00")).isoformat()
            self._dates[minute] = day
        return day

    def time_of(
        self, occurred_at: str | None, last_closed: str | None, last_booked_at: str
    ) -> tuple[str, str] | Refusal:
        """(booked at, booking date) of a command, or why it may not be booked.

        Simulated: the command's own time, not later than the clock. Otherwise the clock, never
        earlier than the posting before it.
        """
        now = self.now()
        if now is None:
            return Refusal("clock_not_set", "the simulated clock was never set")
        if self.simulated:
            booked_at = occurred_at or ""
            if booked_at > now:
                return Refusal("ahead_of_clock", f"the ledger's clock is {now}", "occurred_at")
        else:
            booked_at = max(now, last_booked_at)
        day = self.booking_date(booked_at)
        if last_closed is not None and day <= last_closed:
            return Refusal("date_closed", f"{day} is closed", "occurred_at")
        return booked_at, day
