"""What a customer asks: the movements of an account in a window of three calendar months, by
time, type, amount, number or counterparty (rules D1.14, D2.7)."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from ledger.domain.chart import parts_of
from ledger.domain.fields import parse_day
from ledger.service import queries
from ledger.service.faults import RequestRefused
from ledger.service.movement_lines import Lines

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

WINDOW_MONTHS = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters of a query; None does not filter. Dates are business dates, both included;
    amounts in minor units."""

    first: str | None = None
    last: str | None = None
    type: str | None = None
    least: int | None = None
    most: int | None = None
    number: str | None = None
    counterparty: str | None = None


def window_start(today: date) -> date:
    """The first day of the window: so many calendar months back from the day of the query, that
    day included; where a month lacks it, the month's last day."""
    month = today.year * 12 + today.month - 1 - WINDOW_MONTHS
    year, number = divmod(month, 12)
    for day in (today.day, 30, 29, 28):
        try:
            return date(year, number + 1, day)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def statement(
    ledger: Ledger, account_id: str, currency_code: str | None, asked: Asked, after: int, limit: int
) -> dict[str, Any]:
    """A page of an account's movements and of the orders that moved nothing yet, or failed, oldest
    first; `next` continues it. An order that is answered while someone pages comes again, as what
    it has become.

    :raises RequestRefused: `account_not_open`, `clock_not_set`, `invalid_field`, `outside_window`
    """
    account = queries.open_account(ledger, account_id, currency_code)
    currency_code = account.currency_code
    day = queries.today(ledger)
    today, begin = day.isoformat(), window_start(day).isoformat()
    for name in (asked.first, asked.last):
        if name is not None and parse_day(name) is None:
            raise RequestRefused("invalid_field", "dates are like 2026-09-12")
    first, last = asked.first or begin, asked.last or today
    if first < begin:
        raise RequestRefused(
            "outside_window",
            f"the window of {WINDOW_MONTHS} calendar months begins on {begin}",
        )
    lines = Lines(ledger, account)
    moved = ledger.history.sequences(ledger.store, account_id, currency_code, first, last)
    orders = lines.orders(first, last)
    found: list[dict[str, Any]] = []
    for sequence in heapq.merge(moved, orders):
        if sequence <= after:
            continue
        row = next(iter(ledger.store.entries(sequence, sequence)))
        status = orders.get(sequence)
        line = lines.moved(row) if status is None else lines.ordered(row, status)
        if line is not None and _matches(*line, asked):
            found.append(line[0])
            if len(found) > limit:
                break
    page = found[:limit]
    lines.tell(page)
    return {
        "account_id": account_id, "currency_code": currency_code,
        "scale": ledger.chart.currencies[currency_code], "first": first, "last": last,
        "movements": page, "next": page[-1]["sequence"] if len(found) > limit else None,
    }


def _matches(line: dict[str, Any], types: frozenset[str], asked: Asked) -> bool:
    amount = line["amount_minor"]  # None: nobody knows it yet
    return (
        (asked.type is None or asked.type in types)
        and (asked.least is None or (amount is not None and abs(amount) >= asked.least))
        and (asked.most is None or (amount is not None and abs(amount) <= asked.most))
        and (asked.number is None or asked.number in (line["number"], line["result_number"]))
        and (
            asked.counterparty is None
            or any(parts_of(name)[1] == asked.counterparty
                   for name in line["counterparties"])
        )
    )
