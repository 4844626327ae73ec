"""Payment accounts and the custodian: top-ups, withdrawals, and closing a date against the bank."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from simulator import fees, shape
from simulator import reference as ref
from simulator.params import Params
from simulator.plan import Plan
from simulator.population import Population
from simulator.records import (
    DISPUTE,
    FEE,
    PAYMENT,
    REFUND,
    SETTLEMENT,
    TOP_UP,
    WITHDRAWAL,
    Movement,
    Operations,
    RefundRows,
    Rows,
    State,
)
from simulator.trade import REFUND_DAYS, Attempts, transaction_ids

_BALANCE, _INTERNAL = ref.FUNDINGS.index("balance"), ref.CHANNELS.index("internal")
_LAST_SECOND = shape.DAY_SECONDS - 1
_CLEARING_SECOND = shape.DAY_SECONDS - 30
_WITHDRAWAL_LEAST, _TOP_UP_LEAST, _YUAN = 50_00, 10_00, 100
_RECEIPT_LATER, _RECEIPT_UNKNOWN = 500_00, 1_288_00
_RECEIPT_SECOND = 16 * 3600


def clearing_reference(channel: int, day: date) -> str:
    """What the custodian writes on a channel's sum of a date."""
    return f"CLR-{ref.CHANNELS[channel]}-{day:%Y%m%d}"


def move_user_money(
    params: Params, people: Population, state: State, day: date, today: Attempts, rows: Rows
) -> None:
    """Top-ups that precede what users spend, and withdrawals of those who do not spend."""
    rng = params.rng("users", day)
    extra = rng.exponential(300_00, people.users).astype(np.int64)
    lead = rng.integers(60, 3600, people.users)
    leaves = rng.random(people.users)
    share = rng.uniform(0.3, 0.95, people.users)
    when = rng.integers(8 * 3600, 22 * 3600, people.users)

    own = np.flatnonzero(today.ok & (today.funding == _BALANCE))
    spent = np.bincount(
        today.user[own], weights=today.amount[own], minlength=people.users
    ).astype(np.int64)  # exact: sums stay far below 2^53 minor units
    first = np.full(people.users, _LAST_SECOND)
    np.minimum.at(first, today.user[own], today.second[own])
    short = np.flatnonzero(spent > state.users)
    need = spent[short] - state.users[short] + extra[short]
    amount = np.maximum(_TOP_UP_LEAST, -(-need // _YUAN) * _YUAN)
    second = np.maximum(0, first[short] - lead[short])
    order = np.lexsort((short, second))
    rows.add(TOP_UP, second[order], transaction_ids("T", day, np.arange(len(order))),
             short[order], amount[order])

    # A transfer that the bank had before the books knew whose it was.
    for reference, (user, cents, booked_on) in state.awaited_top_ups.items():
        if booked_on == day.isoformat():
            rows.add(TOP_UP, np.array([11 * 3600]), np.array([reference]), np.array([user]),
                     np.array([cents]))

    balance = state.users
    whole = (balance * share).astype(np.int64) // _YUAN * _YUAN
    goes = (spent == 0) & (leaves < 0.06) & (whole >= _WITHDRAWAL_LEAST)
    goes &= whole + fees.withdrawal_fee(whole) <= balance
    chosen = np.flatnonzero(goes)
    order = np.lexsort((chosen, when[chosen]))
    chosen = chosen[order]
    rows.add(WITHDRAWAL, when[chosen], transaction_ids("W", day, np.arange(len(chosen))), chosen,
             whole[chosen], acquirer_fee=fees.withdrawal_fee(whole[chosen]))


def _clearing_sums(operations: Operations) -> list[int]:
    """What each clearing house owes for a date: payments less refunds, net of its fees."""
    sign = np.where(operations.kind == PAYMENT, 1, np.where(operations.kind == REFUND, -1, 0))
    net = sign * (operations.amount - operations.issuer_fee - operations.network_fee)
    return [int(net[operations.channel == channel].sum()) for channel in range(_INTERNAL)]


def _own_movements(day: date, operations: Operations) -> list[Movement]:
    """What the custodian would book if every instruction arrived on its date."""
    found = [
        Movement(clearing_reference(channel, day), total, _CLEARING_SECOND, "clearing")
        for channel, total in enumerate(_clearing_sums(operations)) if total
    ]
    for kind, sign, name in (
        (TOP_UP, 1, "top_up"), (WITHDRAWAL, -1, "withdrawal"), (SETTLEMENT, -1, "settlement"),
    ):
        part = operations.only(kind)
        found += [
            Movement(key, sign * amount, second, name, party if kind == SETTLEMENT else -1)
            for key, amount, second, party in zip(
                part.key.tolist(), part.amount.tolist(), part.second.tolist(),
                part.party.tolist(), strict=True,
            )
        ]
    return found


def _custodian_day(
    plan: Plan, state: State, day: date, own: list[Movement], transit: dict, awaited: dict,
) -> list[Movement]:
    """The custodian's lines of a date: its own view, with what is planted to arrive apart.

    Changes `transit` (differences that stay at the end of the date) and `awaited`.
    """
    lines = list(own)

    def since(kind: str, days: int) -> bool:
        planted = plan.on(kind)
        return planted is not None and planted + timedelta(days=days) == day

    def withhold(line: Movement, cause: str) -> None:
        lines.remove(line)
        transit[line.reference] = (line.amount, cause, day.isoformat())

    # What was withheld arrives.
    for kind, days, cause in (
        ("clearing_late", 1, "book_in_bank_not"), ("payout_late", 2, "book_out_bank_not"),
    ):
        if since(kind, days):
            planted = (day - timedelta(days=days)).isoformat()
            for reference, (amount, why, first) in list(transit.items()):
                if why == cause and first == planted:
                    name = "clearing" if kind == "clearing_late" else "settlement"
                    lines.append(Movement(reference, amount, 10 * 3600, name))
                    del transit[reference]
    for line in own:  # a transfer that the bank had booked before
        if line.reference in awaited:
            lines.remove(line)
            del awaited[line.reference], transit[line.reference]

    if since("clearing_late", 0):
        withhold(next(x for x in own if x.kind == "clearing"), "book_in_bank_not")
    if since("payout_late", 0):
        payouts = [x for x in own if x.kind == "settlement"]
        if payouts:
            withhold(min(payouts, key=lambda x: (x.amount, x.reference)), "book_out_bank_not")
    if since("receipt_booked_later", 0):
        reference = transaction_ids("T", day, np.array([90_000_000]))[0]
        user = int(np.argmax(state.users))
        lines.append(Movement(str(reference), _RECEIPT_LATER, _RECEIPT_SECOND, "top_up"))
        transit[str(reference)] = (-_RECEIPT_LATER, "bank_in_book_not", day.isoformat())
        awaited[str(reference)] = (user, _RECEIPT_LATER, (day + timedelta(days=2)).isoformat())
    if since("receipt_unknown", 0):
        reference = f"B{day:%Y%m%d}00000001"
        lines.append(Movement(reference, _RECEIPT_UNKNOWN, _RECEIPT_SECOND, "unknown"))
        transit[reference] = (-_RECEIPT_UNKNOWN, "bank_in_book_not", day.isoformat())
    return sorted(lines, key=lambda x: (x.second, x.reference))


def close(
    people: Population, plan: Plan, state: State, day: date, operations: Operations,
    refunds: RefundRows,
) -> tuple[State, list[Movement]]:
    """Balances after a date's operations, and the custodian's lines of it.

    :raises AssertionError: when the books do not balance or something went below zero.
    """
    users, pending, disputed = state.users.copy(), state.pending.copy(), state.disputed.copy()
    fee_pending = state.fee_pending
    for kind, sign in ((PAYMENT, 1), (REFUND, -1)):
        part = operations.only(kind)
        net = part.amount - part.issuer_fee - part.network_fee - part.acquirer_fee
        np.add.at(pending, part.party, sign * net)
        own = part.user >= 0
        np.add.at(users, part.user[own], -sign * part.amount[own])
        fee_pending += sign * int(part.acquirer_fee.sum())
    for kind in (FEE, SETTLEMENT, DISPUTE):
        part = operations.only(kind)
        np.add.at(pending, part.party, -part.amount)
        if kind == FEE:
            fee_pending += int(part.amount.sum())
        if kind == DISPUTE:
            np.add.at(disputed, part.party, part.amount)
    top_ups, withdrawals = operations.only(TOP_UP), operations.only(WITHDRAWAL)
    np.add.at(users, top_ups.party, top_ups.amount)
    np.add.at(users, withdrawals.party, -(withdrawals.amount + withdrawals.acquirer_fee))
    fee_pending += int(withdrawals.acquirer_fee.sum())

    own = _own_movements(day, operations)
    transit, awaited = dict(state.transit), dict(state.awaited_top_ups)
    lines = _custodian_day(plan, state, day, own, transit, awaited)
    book = state.book + sum(line.amount for line in own)
    custodian = state.custodian + sum(line.amount for line in lines)

    oldest = (day - timedelta(days=REFUND_DAYS)).toordinal()
    newly = {
        (int(o), int(i))
        for o, i in zip(
            refunds.plan.day_ordinal[~refunds.accepted], refunds.plan.index[~refunds.accepted],
            strict=True,
        )
    }
    closing = replace(
        state, day=day, users=users, pending=pending, disputed=disputed, fee_pending=fee_pending,
        book=book, custodian=custodian, transit=transit, awaited_top_ups=awaited,
        refused={entry for entry in state.refused if entry[0] >= oldest} | newly,
    )
    _assert_balanced(closing)
    return closing, lines


def _assert_balanced(state: State) -> None:
    owed = int(state.users.sum() + state.pending.sum() + state.disputed.sum()) + state.fee_pending
    assert owed == state.book, f"{state.day}: liabilities {owed} are not the book {state.book}"
    apart = sum(amount for amount, _, _ in state.transit.values())
    assert state.book - state.custodian == apart, f"{state.day}: transit does not explain"
    assert state.users.min() >= 0 and state.pending.min() >= 0, f"{state.day}: below zero"
    assert state.custodian >= 0, f"{state.day}: the custodian is overdrawn"
