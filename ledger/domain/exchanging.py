"""Squaring the position of currency exchange with a bank, and the result of it.

A deal squares a part of what is open of two currencies at the average that customers were given.
What the bank gave more or less than that is the institution's: it stands in the reserve on 2302
until money is moved for it, a gain into own funds, a loss out of them. Position and difference are
thus in whole minor units of one currency each, and nothing is valued at a rate that nobody traded.
"""

from __future__ import annotations

from ledger.domain import shards
from ledger.domain.documents import Handler, Values, differs
from ledger.domain.operations import Context, Leg, Plan
from ledger.domain.positions import ACCOUNT, TABLE, open_of, part_of
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

#: Differences of exchange (汇兑差额) in the reserve; gains and losses (汇兑损益) in own books.
DIFFERENCE, RESULT = "2302", "6004"
_RESERVE, _OWN = "1001", "1101"


def _leg(
    account: str, currency: str, debit: int, component: str, reference: str | None = None
) -> list[Leg]:
    """One leg of so much debit; credit when it is negative, none when it is nothing."""
    if not debit:
        return []
    side = "D" if debit > 0 else "C"
    return [[account, currency, side, abs(debit), component, reference]]


def exchange_settled(state: State, v: Values, c: Context) -> Plan | Refusal:
    """The bank took one currency and gave another. The difference is in the chart's base currency
    where that is one of the two, else in the one that was bought: the amount in the other squares
    exactly as much of the position."""
    sold, bought = v["currency_code"], v["bought_currency_code"]
    took, gave, deal = v["amount_minor"], v["bought_minor"], v["movement_id"]
    if sold == bought:
        return Refusal("same_currency", f"both are {sold}", "bought_currency_code")
    there = open_of(state.table(TABLE), sold, bought)
    if sold == state.chart.base_currency:
        squares, name, most, currency = gave, "bought_minor", there["bought"], bought
    else:
        squares, name, most, currency = took, "amount_minor", there["sold"], sold
    if squares > most:
        return Refusal(
            "exceeds_position", f"{most} minor units of {currency} are open for {sold}/{bought}",
            name,
        )
    if currency == bought:
        of_sold, of_bought = part_of(there["sold"], gave, most), gave
    else:
        of_sold, of_bought = took, part_of(there["bought"], took, most)
    return Plan(
        [
            *_leg(ACCOUNT, sold, of_sold, "exchange"),
            *_leg(_RESERVE, sold, -took, "payout", deal),
            *_leg(DIFFERENCE, sold, took - of_sold, "exchange"),
            *_leg(_RESERVE, bought, gave, "deposit", deal),
            *_leg(ACCOUNT, bought, -of_bought, "exchange"),
            *_leg(DIFFERENCE, bought, of_bought - gave, "exchange"),
        ],
        effects=[["position", sold, bought, -of_sold, -of_bought]],
    )


def exchange_result(state: State, v: Values, c: Context) -> Plan | Refusal:
    """All of a currency's differences, as money: a gain leaves the reserve for own funds, a loss is
    made good out of them. Nobody chooses the amount."""
    currency, number = v["currency_code"], v["movement_id"]
    account = state.account(DIFFERENCE, currency)
    gain = 0 if account is None else shards.balance(state, account)
    if not gain:
        return differs(f"there is no difference of exchange in {currency}", "currency_code")
    moved = "payout" if gain > 0 else "deposit"
    return Plan([
        *_leg(DIFFERENCE, currency, gain, "exchange"),
        *_leg(_RESERVE, currency, -gain, moved, number),
        *_leg(_OWN, currency, gain, "exchange"),
        *_leg(RESULT, currency, -gain, "exchange"),
    ])


HANDLERS: dict[str, Handler] = {f.__name__: f for f in (exchange_settled, exchange_result)}
