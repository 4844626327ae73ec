"""What a payout of pending settlement must keep to, whoever sends it: minimum, date, quiet days,
and what the merchant owes of a negative net."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

from ledger.domain import grades
from ledger.domain.account import Account
from ledger.domain.buckets import OPEN_END
from ledger.domain.refusals import Refusal
from ledger.domain.settling import Calendar, due_date, minimum, resting
from ledger.domain.state import State


def payout(
    state: State, leaving: Iterable[tuple[str, str, int]], contract: Mapping[str, Any],
    booking_date: str, calendar: Calendar,
) -> Refusal | None:
    """Whoever sends a payout, it is no less than the minimum (rule D0.8), takes nothing before its
    cycle's date (rule D0.7), nothing that rests for the quiet days of a disputed payment (rule
    D0.11) and nothing that a bank was instructed to pay already (rule D0.3), and waits until a
    negative net of before is taken back (rule D0.9).

    :param leaving: account, currency and minor units of what the payout takes, or will take once
        the bank says so
    :param contract: the merchant's, empty when it has none
    """
    for account_id, currency, amount in leaving:
        account = state.account(account_id, currency)
        if account is None or not account.line.settles:
            continue
        party_id = account.party_id or ""
        least = minimum(
            contract, state.get("party", party_id), currency, state.chart.base_currency
        ) if contract else 0
        if amount < least:
            return Refusal(
                "below_minimum", f"the contract pays {least} minor units at the least",
                "amount_minor",
            )
        early = _early(
            account, amount, contract.get("settlement_cycle"), booking_date, calendar,
            delay(state, account, booking_date),
            state.instructed.get((account_id, currency), 0),
        )
        if early is not None:
            return Refusal("not_due", f"of {account_id} {early}", "amount_minor")
        refusal = _owing(state, account)
        if refusal is not None:
            return refusal
    return None


def exchange(
    state: State, account_id: str, currency: str, amount: int, booking_date: str
) -> Refusal | None:
    """Pending settlement that is exchanged is pending in the other currency from that date on, so
    it is paid no earlier. But what rests for a disputed payment goes on resting (rule D0.11), and a
    negative net is taken back first (rule D0.9), as if it were paid out.

    :param amount: minor units that leave the account
    """
    account = state.account(account_id, currency)
    if account is None:
        return None  # its guards say so
    rests = _rests(
        account, amount, booking_date, state.instructed.get((account_id, currency), 0)
    )
    if rests is not None:
        return Refusal("not_due", f"of {account_id} {rests}", "amount_minor")
    return _owing(state, account)


def split(
    state: State, account_id: str, currency: str, amount: int, booking_date: str
) -> Refusal | None:
    """Pending settlement that is split is other merchants', who may be paid it at once. So what
    rests for a disputed payment stays, as in a payout (rule D0.11), and so does as much as the
    merchant owes of a negative net (rule D0.9): others than it do not wait for that, but what is
    taken back first is not given away before.

    :param amount: minor units that leave the account
    """
    account = state.account(account_id, currency)
    if account is None:
        return None  # its guards say so
    instructed = state.instructed.get((account_id, currency), 0)
    rests = _rests(account, amount, booking_date, instructed)
    if rests is not None:
        return Refusal("not_due", f"of {account_id} {rests}", "amount_minor")
    kept = sum(left for _, left in resting(account, booking_date))
    if account.balance - instructed - kept - amount < owes(state, account):
        return _owing(state, account)
    return None


def _owing(state: State, account: Account) -> Refusal | None:
    owed = owes(state, account)
    return Refusal(
        "older_due", f"1201:{account.party_id} owes {owed} minor units of a negative net, which "
        "are offset first",
    ) if owed else None


def _rests(account: Account, amount: int, booking_date: str, instructed: int) -> str | None:
    """Whether so much of an account would take of what rests, in words, or None."""
    found = resting(account, booking_date)
    total = sum(left for _, left in found)
    if found and account.balance - instructed - amount < total:
        first = min(found)[0]
        until = "while a dispute is open" if first == OPEN_END else f"the first through {first}"
        return f"{total} minor units of disputed payments rest, {until}"
    return None


def _early(
    account: Account, amount: int, cycle: str | None, booking_date: str, calendar: Calendar,
    late: int, instructed: int,
) -> str | None:
    """Why so much of an account is not yet due, or None."""
    rests = _rests(account, amount, booking_date, instructed)
    if rests is not None or cycle is None:
        return rests
    there = account.balance - instructed
    day = date.fromisoformat(booking_date)
    if calendar.holiday(day):
        return f"nothing is paid on {booking_date}: a public holiday, or not in the calendar yet"
    due = sum(
        left for bucket, left in account.buckets.items()
        if due_date(bucket, cycle, calendar, late) <= day
    ) - instructed
    if due < amount <= there:  # more than there is: its floor refuses it
        return f"{max(due, 0)} minor units are due through {booking_date} ({cycle})"
    return None


def delay(state: State, account: Account, day: str) -> int:
    """Working days by which the grade of an account's merchant is paid later."""
    return grades.terms(state, account.party_id, day).get("delay_days", 0)


def owes(state: State, account: Account) -> int:
    """What a merchant owes that is taken first from the next cycles of this account of pending
    settlement, minor units (rule D0.9)."""
    owed = state.account(f"1201:{account.party_id}", account.currency_code)
    return 0 if account.code != "2201" or owed is None else max(owed.balance, 0)


#: What moves pending settlement elsewhere than to its merchant's bank, and what it keeps to: by
#: type; the first leg takes the money.
MOVES_PENDING: Mapping[str, Callable[[State, str, str, int, str], Refusal | None]] = {
    "merchant_exchange": exchange, "split": split,
}
