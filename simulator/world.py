"""A world: parameters in, dates out. Any date can be asked for; the same seed gives the same."""

from __future__ import annotations

from datetime import date, timedelta

from paylake.errors import UsageFault
from simulator.books import run_day
from simulator.params import Params
from simulator.plan import Plan, make_plan
from simulator.population import Population
from simulator.records import Day, State
from simulator.trade import REFUND_DAYS, Attempts, attempts

#: Dates kept in memory hold at most this many attempts together; older ones are made again.
_KEEP_ATTEMPTS = 2_000_000


class World:
    """The fictional institution.

    :param params: what it is made from.
    :param plan: planted problems; those of :func:`make_plan` when left out.
    """

    def __init__(self, params: Params, plan: Plan | None = None) -> None:
        self.params = params
        self.plan = make_plan(params) if plan is None else plan
        self.people = Population(params)
        self._attempts: dict[date, Attempts] = {}
        self._states: dict[date, State] = {
            params.start - timedelta(days=1): State.opening(params, self.people)
        }
        self._days: dict[date, Day] = {}

    def attempts(self, day: date) -> Attempts:
        """The payment attempts of a date, made from the seed and the date alone."""
        if day not in self._attempts:
            self._attempts[day] = attempts(
                self.params, self.people, day,
                outage=self.plan.on("waived") == day, late=self.plan.on("late_row") == day,
            )
        return self._attempts[day]

    def recent(self, day: date) -> dict[date, Attempts]:
        """Attempts of a date and of those before it that may still be refunded."""
        first = max(self.params.start, day - timedelta(days=REFUND_DAYS))
        return {
            d: self.attempts(d)
            for d in (first + timedelta(days=n) for n in range((day - first).days + 1))
        }

    def day(self, day: date) -> Day:
        """Everything that happens on a date.

        :raises UsageFault: for a date outside the world's period.
        """
        if not self.params.start <= day <= self.params.last:
            raise UsageFault(
                f"{day} is not simulated: the world runs from {self.params.start} to "
                f"{self.params.last}",
                "Give a date in that period, or another START and DAYS.",
            )
        if day not in self._days:
            opening = self.state(day - timedelta(days=1))
            made = run_day(self.params, self.people, self.plan, opening, day, self.recent(day))
            self._states[day] = made.closing
            self._days[day] = made
            self._forget(day)
        return self._days[day]

    def state(self, day: date) -> State:
        """Balances at the end of a date (the day before the start: all zero)."""
        known = max(d for d in self._states if d <= day)
        while known < day:
            known += timedelta(days=1)
            self.day(known)
        return self._states[day]

    def _forget(self, day: date) -> None:
        held = sorted(self._days)
        while len(held) > 1 and sum(len(self._days[d].attempts) for d in held) > _KEEP_ATTEMPTS:
            del self._days[held.pop(0)]
        keep_from = min(held[0], day) - timedelta(days=REFUND_DAYS)
        for old in [d for d in self._attempts if d < keep_from]:
            del self._attempts[old]
