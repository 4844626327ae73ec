"""Malformed rows: which rows of the switch are spoilt, how, and how they should read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simulator.feeds import TRANSACTION_COLUMNS
from simulator.params import Params
from simulator.plan import MALFORMED, REPLAYED, Plan
from simulator.records import Day
from simulator.trade import Attempts

_COLUMN = {
    "missing_value": "merchant_id",
    "bad_number": "amount",
    "bad_scale": "amount",
    "bad_date": "event_at",
    "bad_enum": "status",
    "wrong_column_count": "goods_description",
}
_SPOIL: dict[str, Callable[[str], str]] = {
    "missing_value": lambda value: "",
    "bad_number": lambda value: value[:-1] + "O",  # the letter O for a digit
    "bad_scale": lambda value: value + "5",
    "bad_date": lambda value: value[:11] + "24:61:00",
    "bad_enum": lambda value: "sucess",
    # The unquoted comma makes one field too many.
    "wrong_column_count": lambda value: "套餐",
}

_LEAST_HELD = 4


@dataclass(frozen=True)
class BadRow:
    """One spoilt row: its place among the date's rows, and what was changed."""

    rule: str
    index: int
    column: str
    correct: str
    is_replayed: bool


def bad_row_indices(params: Params, plan: Plan, day: Day) -> list[tuple[str, int]]:
    """(rule, index among the attempts) of the rows that are spoilt on a date."""
    found: list[tuple[str, int]] = []
    for rule in plan.kinds_on(day.day):
        if rule in MALFORMED:
            count = 2 if params.txns >= 1_000 else 1
            candidates = _candidates(rule, day.attempts)
            taken = {index for _, index in found}
            rng = params.rng(f"spoil {rule}", day.day)
            for index in rng.permutation(candidates).tolist():
                if index not in taken and count:
                    found.append((rule, index))
                    count -= 1
    return found


def _candidates(rule: str, made: Attempts) -> np.ndarray:
    """Attempts without a refund; one whose line cannot be split must not have moved money."""
    plain = (made.refund_lag_1 < 0) & (made.late_days == 0) & (made.funding != 2)
    if rule == "wrong_column_count":
        return np.flatnonzero(plain & ~made.ok)
    return np.flatnonzero(plain & made.ok)


def spoil_rows(
    params: Params, plan: Plan, day: Day, rows: list[list[str]]
) -> list[BadRow]:
    """Change the rows in place; say what was changed."""
    done: list[BadRow] = []
    replayed: set[str] = set()
    for rule, index in bad_row_indices(params, plan, day):
        column = _COLUMN[rule]
        position = TRANSACTION_COLUMNS.index(column)
        correct = rows[index][position]
        rows[index][position] = _SPOIL[rule](correct)
        if rule == "wrong_column_count":
            rows[index].append("加饮料")
        done.append(BadRow(
            rule, index, column, correct, rule in REPLAYED and rule not in replayed
        ))
        replayed.add(rule)
    return done


def held_block(params: Params, day: Day) -> tuple[int, int]:
    """First and one past the last of the attempts that the switch forgets on the held date."""
    count = len(day.attempts)
    # Enough of them moved money for the gate to notice: it lets single stragglers pass.
    size = max(_LEAST_HELD * 2, count // 200)
    first = int(params.rng("held", day.day).integers(count // 3, count // 2))
    while first + size < count and day.attempts.ok[first:first + size].sum() < _LEAST_HELD:
        size += 1
    return first, min(count, first + size)
