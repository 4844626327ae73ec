"""Postings valued on a past date must not make the past impossible: an account that would have
been below its floor on a date since then refuses them, as it would have refused them then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import orjson

from ledger.domain.operations import Leg, Operation
from ledger.domain.refusals import Refusal
from ledger.domain.state import Account, State
from ledger.service.history import shown

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

#: Everything that is known.
_NOW = "9999-12-31T23:59:59Z"


def below_floor_since(
    ledger: Ledger, planned: Sequence[tuple], operation: Operation, legs: Iterable[Leg],
    value_date: str, day: str,
) -> Refusal | None:
    """Why legs valued on a date before their booking date cannot be: the first account that they
    put below its floor at the end of a date from then to the day before.

    :param planned: entries that are not in the history yet, of this unit and those before it
    """
    for account, change in _lowered(ledger.state, operation, legs):
        assert account.floor is not None
        for then in _dates(ledger, planned, account, value_date, day):
            left = _balance(ledger, planned, account, then) + change
            if left < account.floor:
                return Refusal(
                    "below_floor", f"account {account.account_id} would have been at {left} minor "
                    f"units on {then}, below {account.floor}", "value_date",
                )
    return None


def _lowered(
    state: State, operation: Operation, legs: Iterable[Leg]
) -> Iterator[tuple[Account, int]]:
    changes: dict[Account, int] = {}
    for account_id, currency, direction, amount, *_ in legs:
        account = state.accounts[currency][account_id]
        signed = amount if (direction == "D") == (account.debit_sign > 0) else -amount
        changes[account] = changes.get(account, 0) + signed
    for account, change in changes.items():
        if change < 0 and account.floor is not None and (
            operation.journal_type not in account.line.below_floor_by
        ):
            yield account, change


def _dates(
    ledger: Ledger, planned: Sequence[tuple], account: Account, first: str, day: str
) -> list[str]:
    """The dates on which the balance can be at its lowest: the first, and those that moved it."""
    found = {first, *(row[11] for row in planned)}
    found |= {
        segment.value_date for segment in ledger.history.segments(
            ledger.pipeline.reads.reader, account.account_id, account.currency_code
        )
    }
    return sorted(then for then in found if first <= then < day)


def _balance(ledger: Ledger, planned: Sequence[tuple], account: Account, then: str) -> int:
    """Balance at the end of a value date, as known now."""
    name = (account.account_id, account.currency_code)
    total = ledger.history.balance(ledger.pipeline.reads.reader, *name, then, _NOW)
    for row in planned:
        if row[11] <= then:
            for account_id, currency, direction, amount, *_ in orjson.loads(row[13]):
                if (account_id, currency) == name:
                    total += amount if direction == "D" else -amount
    return shown(total, account.line.normal_side)
