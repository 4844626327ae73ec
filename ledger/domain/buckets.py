"""What of a settlement account or a claim is of which business date, in minor units, and what rests
for a disputed payment. A bucket's name: :mod:`ledger.domain.settling`."""

from __future__ import annotations

from datetime import date, timedelta

from ledger.domain.account import Account
from ledger.domain.undo import Undo

#: Calendar days without dispute before a released payment settles (rule D0.11).
QUIET_DAYS = 30
#: Last quiet date of what rests while a dispute on its payment is open: it is never over.
OPEN_END = date.max.isoformat()


def quiet_through(ended: str) -> str:
    """The last date on which rests what a dispute that ended on a date kept back (rule D0.11)."""
    return (date.fromisoformat(ended) + timedelta(QUIET_DAYS)).isoformat()


def end_added(ends: list[str] | None, last: str | None, day: str) -> list[str]:
    """The dates on which disputes of a payment ended, with one more.

    :param last: the last of them, which alone templates of before kept
    """
    there = ends if ends is not None else [last] if last else []
    return sorted([*there, day])


def end_taken(
    ends: list[str] | None, last: str | None, day: str, before: str | None
) -> list[str]:
    """Those dates without one: that end was none. The ends of other disputes stay, whichever of
    them came last.

    >>> end_taken(["2026-09-14", "2026-09-15"], "2026-09-15", "2026-09-14", None)
    ['2026-09-15']

    :param before: what was the last end before it, by templates that kept the last one alone
    """
    if ends is None:
        return [end for end in ([last] if last != day else [before]) if end]
    left = list(ends)
    if day in left:
        left.remove(day)
    return left


def last_end(ends: list[str]) -> str | None:
    """The last of the dates; None: there is none."""
    return max(ends, default=None)


def _add(undo: Undo, account: Account, name: str, amount: int) -> None:
    undo.set(account.buckets, name, account.buckets.get(name, 0) + amount or None)


def age(undo: Undo, account: Account, signed: int, booking_date: str) -> None:
    """A claim grows on its date and is paid oldest first (rule D0.23)."""
    for day in sorted(account.buckets):
        if signed < 0 < account.buckets[day]:
            part = min(account.buckets[day], -signed)
            signed += part
            _add(undo, account, day, -part)
    if signed:
        _add(undo, account, booking_date, signed)


def of_date(undo: Undo, account: Account, booking_date: str, day: str, amount: int) -> None:
    """So much of what came on a booking date is of another date."""
    _add(undo, account, booking_date, -amount)
    _add(undo, account, day, amount)


def pay_out(undo: Undo, account: Account, amount: int, booking_date: str) -> None:
    """Take a payout from the oldest dates first; what no date has is owed by the newest. `taken`
    keeps what was paid out of the booking date itself: it ends the time for voids."""
    for day in sorted(account.buckets):
        have = account.buckets[day]
        if amount and have > 0:
            part = min(have, amount)
            amount -= part
            undo.set(account.buckets, day, have - part or None)
            if day == booking_date:
                before = account.taken.get(day, 0)
                undo.attribute(account, "taken", {day: before + part})
    if amount:
        _add(undo, account, booking_date, -amount)


def pays_out(account: Account, instructed: int, day: str) -> bool:
    """Whether money of a date was paid out within it, or will be by what a bank was instructed to
    pay and has not answered (rules D2.8, D0.3): the oldest dates come first.

    :param instructed: minor units of such instructions
    """
    return bool(account.taken.get(day)) or instructed > sum(
        have for name, have in account.buckets.items() if have > 0 and name < day
    )


def quiet(
    undo: Undo, account: Account, booking_date: str, payment: str, amount: int,
    rests: str | None = None,
) -> None:
    """A released dispute rests for the quiet days, a new one on the same payment ends the rest of
    as much and keeps back what else rests of it; the count of all of it begins with the end of the
    last (rule D0.11)."""
    if rests is not None:
        _rest_anew(undo, account, payment, amount, booking_date, rests)
        return
    if amount > 0:  # by a template of before
        _add(undo, account, booking_date, -amount)
        _add(undo, account, f"quiet/{quiet_through(booking_date)}/{payment}", amount)
        return
    for name in sorted(account.buckets):
        if amount and name.startswith("quiet/") and name.endswith(f"/{payment}"):
            back = min(-amount, account.buckets[name])
            amount += back
            _add(undo, account, name, -back)
            _add(undo, account, booking_date, back)


def _rest_anew(
    undo: Undo, account: Account, payment: str, amount: int, booking_date: str, rests: str
) -> None:
    """All that rests of a payment, so much more or less, rests as long as a dispute on it is open,
    from now on for the quiet days, or through the date that is given, as it did before."""
    names = [
        name for name in account.buckets
        if name.startswith("quiet/") and name.endswith(f"/{payment}")
    ]
    there = sum(account.buckets[name] for name in names)
    moved = max(amount, -there)
    for name in names:
        undo.set(account.buckets, name, None)
    until = rests
    if rests == "open":
        until = OPEN_END
    elif rests == "ended":
        until = quiet_through(booking_date)
    _add(undo, account, booking_date, -moved)
    _add(undo, account, f"quiet/{until}/{payment}", there + moved)
