"""What a bank says of one account: a statement (对账单), its form and the digest of its content.

Amounts are minor units on the account's normal side: money in is positive, money out negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ledger.canonical import canonical
from ledger.domain.chain import sm3
from ledger.domain.fields import parse_day
from ledger.domain.money import AMOUNT_LIMIT

FORMAT = "paylake-bank-statement/1"
MOST_LINES = 200_000
ID_LIMIT, REFERENCE_LIMIT = 64, 128
_SIGNS = {"C": 1, "D": -1}
_NAMES = frozenset({"line_id", "value_date", "amount_minor", "direction", "reference"})


class StatementFault(Exception):
    """What is wrong with a statement: the reason, and where."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `line_id` is the bank's number of it, once in a statement."""

    line_id: str
    value_date: str
    amount: int
    reference: str | None


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement for a range of value dates, both included; its lines by date and number."""

    account_id: str
    currency_code: str
    first_date: str
    last_date: str
    opening: int
    closing: int
    lines: tuple[Line, ...]

    def sm3(self) -> str:
        """Digest (SM3, hexadecimal) of what it says, whatever the order of its lines was."""
        pieces = [
            FORMAT, self.account_id, self.currency_code, self.first_date, self.last_date,
            str(self.opening), str(self.closing), str(len(self.lines)),
        ]
        for line in self.lines:
            pieces += (line.line_id, line.value_date, str(line.amount), line.reference or "")
        return sm3(canonical(pieces)).hex()


def statement_of(
    account_id: str, currency_code: str, first_date: Any, last_date: Any, opening: Any,
    closing: Any, lines: Iterable[Any],
) -> Statement:
    """A statement of what was sent, each part checked.

    :param lines: objects with `line_id`, `value_date`, `amount_minor` and, if it has one,
        `reference`; `amount_minor` is signed, or from 1 beside a `direction` of C (in) or D (out)
    :raises StatementFault: `invalid_field`, `amount_out_of_range`, `too_many_lines`,
        `line_repeated` (a number of the bank stands twice), `statement_differs` (opening balance
        and lines do not give the closing balance)
    """
    first, last = parse_day(first_date), parse_day(last_date)
    if first is None or last is None or first > last:
        raise StatementFault(
            "invalid_field", "first_date and last_date are dates like 2026-09-12, in this order"
        )
    for name, value in (("opening_minor", opening), ("closing_minor", closing)):
        _whole(name, value)
    found: list[Line] = []
    for number, raw in enumerate(lines, 1):
        if number > MOST_LINES:
            raise StatementFault(
                "too_many_lines", f"the statement has more than {MOST_LINES} lines"
            )
        found.append(_line(number, raw, first, last))
    found.sort(key=lambda line: (line.value_date, line.line_id))
    seen: set[str] = set()
    for line in found:
        if line.line_id in seen:
            raise StatementFault(
                "line_repeated", f"line {line.line_id!r} stands twice in the statement"
            )
        seen.add(line.line_id)
    moved = sum(line.amount for line in found)
    if opening + moved != closing:
        raise StatementFault(
            "statement_differs", f"opening balance and lines give {opening + moved} minor units, "
            f"the closing balance is {closing}",
        )
    return Statement(account_id, currency_code, first, last, opening, closing, tuple(found))


def _whole(name: str, value: Any) -> None:
    if type(value) is not int or abs(value) > AMOUNT_LIMIT:
        raise StatementFault(
            "amount_out_of_range", f"{name} must be a whole number of minor units up to "
            f"{AMOUNT_LIMIT}",
        )


def _line(number: int, raw: Any, first: str, last: str) -> Line:
    where = f"line {number}"
    if not isinstance(raw, Mapping) or not raw.keys() <= _NAMES:
        raise StatementFault(
            "invalid_field", f"{where} must be an object with {', '.join(sorted(_NAMES))}"
        )
    line_id, reference = raw.get("line_id"), raw.get("reference")
    if reference == "":
        reference = None
    for name, text, limit in (
        ("line_id", line_id, ID_LIMIT), ("reference", reference, REFERENCE_LIMIT),
    ):
        if text is None and name == "reference":
            continue
        if not isinstance(text, str) or not 0 < len(text) <= limit or not text.isprintable():
            raise StatementFault(
                "invalid_field",
                f"{where}: {name} must be a printable text of up to {limit} characters",
            )
    day = parse_day(raw.get("value_date"))
    if day is None or not first <= day <= last:
        raise StatementFault(
            "invalid_field", f"{where}: value_date must be a date from {first} to {last}"
        )
    amount, direction = raw.get("amount_minor"), raw.get("direction")
    _whole(f"{where}: amount_minor", amount)
    if direction is not None:
        if not isinstance(direction, str) or direction not in _SIGNS:
            raise StatementFault("invalid_field", f"{where}: direction must be C (in) or D (out)")
        if amount < 0:
            raise StatementFault(
                "amount_out_of_range", f"{where}: beside a direction the amount has no sign"
            )
        amount *= _SIGNS[direction]
    if not amount:
        raise StatementFault("amount_out_of_range", f"{where}: amount_minor must not be 0")
    return Line(line_id, day, amount, reference)
