"""The world's own books: what each date does to the balances.

They are kept from what the world does, never from what the ledger answers, so that the two can be
compared. One date is one vectorised step from an opening :class:`State` to a closing one.
"""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from paylake import dates
from simulator import fees, shape
from simulator.params import Params
from simulator.plan import Plan
from simulator.population import Population
from simulator.records import (
    DISPUTE,
    FEE,
    PAYMENT,
    REFUND,
    SETTLEMENT,
    Day,
    Dispute,
    RefundRows,
    Rows,
    State,
)
from simulator.trade import Attempts, PlannedRefund, planned_refunds, transaction_ids
from simulator.treasury import close, move_user_money

_PAYOUT_SECOND = 9 * 3600 + 1800  # 08:30
_FEE_SECOND = 23 * 3600  # 22:00
_DISPUTE_SECOND = 23 * 3600 - 900  # 21:45
_LAST_SECOND = shape.DAY_SECONDS - 1


def _origin_columns(
    plan: PlannedRefund, made: dict[date, Attempts], names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Columns of the payments that refunds refer to, aligned with the refunds."""
    found = {name: np.zeros(len(plan.index), dtype=np.int64) for name in names}
    for ordinal in np.unique(plan.day_ordinal):
        here = plan.day_ordinal == ordinal
        origin = made[date.fromordinal(int(ordinal))]
        for name in names:
            found[name][here] = getattr(origin, name)[plan.index[here]]
    return found


def refund_origin(plan: PlannedRefund, made: dict[date, Attempts]) -> dict[str, np.ndarray]:
    """What a refund row repeats of its payment."""
    return _origin_columns(plan, made, (
        "merchant", "terminal", "card", "user", "way", "funding", "channel", "amount",
        "issuer_fee", "network_fee", "acquirer_fee", "entry_mode",
    ))


def _covered(
    start: np.ndarray, merchant: np.ndarray, second: np.ndarray, change: np.ndarray
) -> np.ndarray:
    """Which changes a merchant's balance can bear, taken in order of time.

    A debit that would make the balance negative is refused.

    :param start: what each merchant has free when the date opens, shape (merchants,).
    :returns: accepted, shape of `change`.
    """
    order = np.lexsort((change < 0, second, merchant))
    sorted_merchant, sorted_change = merchant[order], change[order]
    running = np.cumsum(sorted_change)
    first = np.searchsorted(sorted_merchant, np.arange(len(start)), side="left")
    base = np.where(first > 0, running[first - 1], 0)
    balance = running - base[sorted_merchant] + start[sorted_merchant]
    accepted = np.ones(len(change), dtype=bool)
    for index in np.unique(sorted_merchant[balance < 0]):
        left = int(start[index])
        stop = first[index + 1] if index + 1 < len(first) else len(order)
        for position in order[first[index]:stop]:
            if change[position] < 0 and left + change[position] < 0:
                accepted[position] = False
            else:
                left += int(change[position])
    return accepted


def run_day(
    params: Params, people: Population, plan: Plan, state: State, day: date,
    made: dict[date, Attempts],
) -> Day:
    """Fold one date.

    :param made: attempts of the date and of the days before it that may be refunded.
    """
    rows = Rows()
    today = made[day]
    paid = np.flatnonzero(today.ok)
    net = (today.amount - today.issuer_fee - today.network_fee - today.acquirer_fee)[paid]
    rows.add(
        PAYMENT, today.second[paid], today.ids(paid), today.merchant[paid], today.amount[paid],
        user=today.user[paid], channel=today.channel[paid], issuer_fee=today.issuer_fee[paid],
        network_fee=today.network_fee[paid], acquirer_fee=today.acquirer_fee[paid],
    )

    # Settlement: what was due when the date opened goes out in the morning, but for holidays.
    minimum = people.minimum_payout_on(day)
    pays = not dates.is_public_holiday(day)
    pays_today = ((people.cycle_of == 2) & pays) | (
        (people.cycle_of == 1) & dates.is_working_day(day)
    )
    due = np.where(
        pays_today & (state.pending >= np.maximum(minimum, 1)), state.pending, 0
    )
    free = state.pending - due

    refunds, debits = _debits(people, day, made, free, today.merchant[paid], today.second[paid],
                              net, state, rows)
    dispute = _dispute(plan, day, made, free, paid, net, debits)
    if dispute is not None:
        rows.add(
            DISPUTE, np.array([dispute.second]), np.array([dispute.transaction_id]),
            np.array([dispute.merchant]), np.array([dispute.amount]),
            origin=transaction_ids(
                "P", dispute.origin_day, np.array([dispute.origin_index])
            ).astype("U20"),
        )
    move_user_money(params, people, state, day, today, rows)

    # T+0 merchants are paid at the end of the date, out of what is left.
    pending = state.pending - due
    np.add.at(pending, today.merchant[paid], net)
    for merchant, change in debits:
        np.add.at(pending, merchant, change)
    if dispute is not None:
        pending[dispute.merchant] -= dispute.amount
    same_day = np.where(
        (people.cycle_of == 0) & pays & (pending >= np.maximum(minimum, 1)), pending, 0
    )
    payers = np.concatenate([np.flatnonzero(due), np.flatnonzero(same_day)])
    seconds = np.concatenate([
        np.full(np.count_nonzero(due), _PAYOUT_SECOND),
        np.full(np.count_nonzero(same_day), _LAST_SECOND),
    ])
    payouts = np.concatenate([due[due > 0], same_day[same_day > 0]])
    rows.add(SETTLEMENT, seconds + 0, transaction_ids("S", day, np.arange(len(payers))), payers,
             payouts)

    operations = rows.table()
    closing, movements = close(people, plan, state, day, operations, refunds)
    return Day(day, today, refunds, dispute, operations, movements, due, state, closing)


def _debits(
    people: Population, day: date, made: dict[date, Attempts], free: np.ndarray,
    paid_merchant: np.ndarray, paid_second: np.ndarray, net: np.ndarray, state: State,
    rows: Rows,
) -> tuple[RefundRows, list[tuple[np.ndarray, np.ndarray]]]:
    """Refunds and terminal fees, as far as each merchant's balance covers them."""
    wanted = planned_refunds(day, made)
    # A second part is not asked for when the first was refused.
    keep = np.array([
        part == 1 or (ordinal, index) not in state.refused
        for ordinal, index, part in zip(
            wanted.day_ordinal.tolist(), wanted.index.tolist(), wanted.part.tolist(), strict=True
        )
    ], dtype=bool)
    wanted = PlannedRefund(*(column[keep] for column in vars(wanted).values()))
    origin = refund_origin(wanted, made)
    back = {
        name: fees.returned(origin[name], origin["amount"], wanted.before, wanted.amount)
        for name in ("issuer_fee", "network_fee", "acquirer_fee")
    }
    refund_change = -(wanted.amount - sum(back.values()))

    rented = np.flatnonzero(
        (np.arange(len(people.merchants)) % 28 + 1 == day.day) & people.trading_on(day)
    )
    terminals = np.bincount(people.terminal_owner, minlength=len(people.merchants))[rented]
    rent = terminals * fees.TERMINAL_FEE

    merchant = np.concatenate([paid_merchant, origin["merchant"], rented])
    second = np.concatenate([paid_second, wanted.second, np.full(len(rented), _FEE_SECOND)])
    change = np.concatenate([net, refund_change, -rent])
    accepted = _covered(free, merchant, second, change)
    refunded = accepted[len(net):len(net) + len(wanted.index)]
    charged = accepted[len(net) + len(wanted.index):]

    ids = transaction_ids("R", day, np.arange(len(wanted.index)))
    origin_ids = np.empty(len(wanted.index), "U20")
    for ordinal in np.unique(wanted.day_ordinal):
        here = wanted.day_ordinal == ordinal
        origin_ids[here] = transaction_ids(
            "P", date.fromordinal(int(ordinal)), wanted.index[here]
        )
    rows.add(
        REFUND, wanted.second[refunded], ids[refunded], origin["merchant"][refunded],
        wanted.amount[refunded], origin=origin_ids[refunded], user=origin["user"][refunded],
        channel=origin["channel"][refunded],
        **{name: values[refunded] for name, values in back.items()},
    )
    rows.add(
        FEE, np.full(int(charged.sum()), _FEE_SECOND),
        transaction_ids("F", day, np.arange(int(charged.sum()))), rented[charged], rent[charged],
    )
    return RefundRows(wanted, refunded, ids, origin_ids), [
        (origin["merchant"][refunded], refund_change[refunded]), (rented[charged], -rent[charged]),
    ]


def _dispute(
    plan: Plan, day: date, made: dict[date, Attempts], free: np.ndarray, paid: np.ndarray,
    net: np.ndarray, debits: list[tuple[np.ndarray, np.ndarray]],
) -> Dispute | None:
    """The planted chargeback: a credit card payment of three days ago that its merchant covers.

    The amount must be free at 21:45 even if everything after it went wrong, so that nothing else
    on the date changes.
    """
    if plan.on("dispute") != day:
        return None
    today, origin_day = made[day], day - timedelta(days=3)
    origin = made[origin_day]
    safe = free.copy()
    early = today.second[paid] < _DISPUTE_SECOND
    np.add.at(safe, today.merchant[paid][early], net[early])
    for merchant, change in debits:
        np.add.at(safe, merchant, change)
    candidates = np.flatnonzero(
        origin.ok & (origin.funding == 1) & (origin.refund_lag_1 < 0)
        & (origin.amount <= safe[origin.merchant])
    )
    if not len(candidates):
        return None
    index = int(candidates[np.argmax(origin.amount[candidates])])
    return Dispute(
        f"D{day:%Y%m%d}00000001", _DISPUTE_SECOND, origin_day, index,
        int(origin.merchant[index]), int(origin.amount[index]),
    )


