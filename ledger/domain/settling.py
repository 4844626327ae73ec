"""What a merchant is due on a date: cycles, minimum, holds, quiet days. Pure; the run that books
it is :mod:`ledger.service.day_run`.

A bucket of a pending-settlement account is named by the business date whose payments it holds, or
`quiet/<date>/<payment>` for a disputed payment that was released and rests: it is due after that
date (rule D0.11), which is the last that there is while another dispute on the payment is open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ledger.domain.account import Account
from ledger.domain.money import half_up

LISTED_AFTER_DAYS = 30
#: (date, number of working days) -> the working day so many later
WorkingDay = Callable[[date, int], date]
#: States of a party in which what is left is paid out, however little (rule D4a.10).
_LAST = frozenset({"leaving", "cancelled"})
#: Statuses of an account that let nothing out of it (rule D1.7).
_KEEPS = frozenset({"no_debit", "frozen", "closed"})


@dataclass(frozen=True, slots=True)
class Calendar:
    """The working calendar, make-up days included.

    `holiday` says whether a date is a public holiday (a weekend that the State Council's notice
    does not name is none), or beyond the calendar's end; a working day beyond it is `date.max`.
    """

    working_day: WorkingDay
    holiday: Callable[[date], bool]


@dataclass(frozen=True, slots=True)
class Due:
    """What the run of a date finds for one account, minor units.

    `payable` is what will be paid; when it is 0, `reason` says why (`below_minimum`, `held`,
    `holiday`, `negative`, `nothing_due`). `old` are dates whose payments have been rolled for long.
    """

    due: int
    payable: int
    reason: str | None
    old: tuple[str, ...]


def due_date(bucket: str, cycle: str, calendar: Calendar, delay: int = 0) -> date:
    """The first date on which a bucket may be paid out, never earlier (rule D0.7).

    T+0: the business date itself; D+1: the calendar day after; T+1: the next working day. A public
    holiday pushes each of them on to the next working day.

    :param delay: working days by which the merchant's grade is paid later
    """
    if bucket.startswith("quiet/"):
        last = date.fromisoformat(bucket[6:16])
        if last == date.max:
            return last  # a dispute on the payment is open
        day = last + timedelta(1)
    else:
        day = date.fromisoformat(bucket)
        if cycle == "T+1":
            day = calendar.working_day(day, 1)
        elif cycle == "D+1":
            day += timedelta(1)
    if delay:
        return calendar.working_day(day, delay)
    return calendar.working_day(day, 1) if calendar.holiday(day) else day


def minimum(
    contract: Mapping[str, Any], party: Mapping[str, Any] | None, currency: str, base: str
) -> int:
    """The least that is paid out, minor units (rule D0.8); of a merchant that leaves or has left
    the final payout is whatever it is (rule D4a.10).

    :param currency: of the account
    :param base: the chart's base currency, in which a contract says the minimum: of others whatever
        is due is paid
    """
    leaves = party is not None and party["state"] in _LAST
    return 0 if leaves or currency != base else contract["minimum_minor"]


def resting(account: Account, day: str) -> list[tuple[str, int]]:
    """What of an account rests on a date after a dispute was released: the last quiet date and the
    minor units of each (rule D0.11)."""
    return [
        (name[6:16], left) for name, left in account.buckets.items()
        if name.startswith("quiet/") and name[6:16] >= day
    ]


def due_on(
    account: Account, cycle: str, least: int, day: date, calendar: Calendar, delay: int,
    instructed: int,
) -> Due:
    """What a date's run pays of one account (rules D0.7 to D0.9, D0.11, D0.13).

    The sum of what is due; nothing on a public holiday; nothing below the minimum, which then joins
    the next cycle; never more than is available above the account's floor, so that money under a
    hold stays and a hold that is not yet full is filled before anything is paid; nothing while the
    account's status or a hold on the whole of it keeps what is there; and never of what rests, when
    later refunds took the rest.

    :param least: the minimum, minor units
    :param delay: working days by which the merchant's grade is paid later
    :param instructed: of it a bank was instructed to pay already and has not answered, minor units
    """
    total, old = 0, []
    for bucket, amount in account.buckets.items():
        if due_date(bucket, cycle, calendar, delay) <= day:
            total += amount
            name = bucket[6:16] if bucket.startswith("quiet/") else bucket
            if amount > 0 and (day - date.fromisoformat(name)).days > LISTED_AFTER_DAYS:
                old.append(name)
    listed = tuple(sorted(old))
    if instructed and total - instructed <= 0:
        return Due(0, 0, "nothing_due", listed)
    total -= instructed
    if total < 0:
        return Due(total, 0, "negative", listed)
    if not total:
        return Due(0, 0, "nothing_due", listed)
    if calendar.holiday(day):
        return Due(total, 0, "holiday", listed)
    rests = sum(left for _, left in resting(account, day.isoformat()))
    free = account.available - (account.floor or 0)
    payable = min(total, free, account.balance - instructed - rests)
    if payable <= 0 or account.frozen or account.status in _KEEPS:
        return Due(total, 0, "held", listed)
    if payable < least:
        return Due(total, 0, "below_minimum", listed)
    return Due(total, payable, None, listed)


def arrives_on(asked: date, via: str, working_day: WorkingDay) -> tuple[date, date]:
    """When a withdrawal arrives, counted from the business date of its request, and the outer
    bound: by bank on the next working day, by a third party at once; three working days at the
    most (rule D1.12)."""
    expected = working_day(asked, 1) if via == "bank" else asked
    return expected, working_day(asked, 3)


def penalty(unpaid_at_start_minor: int) -> int:
    """Penalty of one calendar day on an advance: 1 % of what is unpaid at the day's start, half up
    to the minor unit (rule D0.21)."""
    return half_up(unpaid_at_start_minor, 100)
