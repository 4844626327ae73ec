"""Lines of a customer's statement: what moved on an account, and what was ordered and moved
nothing, or not yet.

A withdrawal and every other order that somebody answers later is one line of the business that it
is, under the customer's own number: under way and failed where it was ordered, done where the
answer booked it. So it is found by the number that the customer knows, whatever became of it, and
the lines with a journal still add up to the balance. Rule D1.14.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.chain import journal_id, journal_of
from ledger.service.originals import item_of

if TYPE_CHECKING:
    from ledger.domain.account import Account
    from ledger.service.ledger import Ledger

#: Of a line: under way, failed (or rejected by a checker), booked, sent back by the bank, and
#: corrected by a reversal.
STATUSES = ("under_way", "failed", "posted", "returned", "reversed")
_EMPTY: Mapping[str, Any] = {}
#: A line, and the types under which it is found.
Found = tuple[dict[str, Any], frozenset[str]]


class Lines:
    """The lines of one account."""

    def __init__(self, ledger: Ledger, account: Account) -> None:
        self.ledger = ledger
        self.operations = ledger.operations
        self.account = account
        self._name = (account.account_id, account.currency_code)

    def orders(self, first: str, last: str) -> dict[int, str]:
        """Status by sequence of what the account's party ordered on dates from first to last and
        is no movement: under way, or failed."""
        party = self.account.party_id
        if party is None:
            return {}
        listed = self.ledger.store.orders_of(party, first, last)
        counters = self._counters(number for _, number in listed if number is not None)
        found = {}
        for sequence, number in listed:
            if number is None:
                status = self._reviewed(sequence)
            else:
                result = counters[number].get("result")
                status = None if result == "succeeded" else (
                    "failed" if result == "failed" else "under_way")
            if status is not None:
                found[sequence] = status
        return found

    def _reviewed(self, sequence: int) -> str | None:
        """The status of what waited for a checker; None: approved, it is an entry of its own."""
        if self.ledger.state.get("pending", str(sequence)) is not None:
            return "under_way"
        decision = self.ledger.store.decision(sequence)
        return "failed" if decision is not None and decision[2] == "reject" else None

    def ordered(self, row: tuple, status: str) -> Found | None:
        """The line of an order that moved nothing; None where it is not of this account."""
        operation = self.operations.by_type[row[2]]
        content = orjson.loads(row[12])
        original = content.get(operation.original_field)
        held = [e[2] for e in orjson.loads(row[14]) if e[0] == "hold"]
        here = [hold for hold in held if (hold["account_id"], hold["currency_code"]) == self._name]
        if not (here if held else self._moves_what(original)):
            return None
        answer = None if row[6] is None else self._answer(row[6])
        types = {row[2], self.operations.orders[row[2]]}
        return {
            **_line(row), "type": self.operations.orders[row[2]],
            "number": content[operation.business_key],
            "result_number": None if answer is None else answer[6],
            "amount_minor": -sum(hold["placed"] for hold in here) if here else None,
            "counterparties": [], "status": status, "original": original,
        }, frozenset(types if answer is None else {*types, answer[2]})

    def _moves_what(self, original: str | None) -> bool:
        """Whether an order that holds nothing is about what left this account."""
        row = None if original is None else self._row(original)
        return row is not None and (
            any((leg[0], leg[1]) == self._name for leg in orjson.loads(row[13]))
            or any((e[2]["account_id"], e[2]["currency_code"]) == self._name
                   for e in orjson.loads(row[14]) if e[0] == "hold")
        )

    def _answer(self, number: str) -> tuple | None:
        """The last answer to an order that moved nothing either."""
        found = [
            row for row in self.ledger.store.later_of(number)
            if row[2] in self.operations.answers and row[4] == "posted" and row[1] is None
        ]
        return found[-1] if found else None

    def moved(self, row: tuple) -> Found:
        """The line of a journal. That of an order's success is the order's, under its number."""
        name, side = self._name, self.account.line.normal_side
        amount = 0
        others: list[str] = []
        for leg_account, leg_currency, direction, minor, _, _ in orjson.loads(row[13]):
            if (leg_account, leg_currency) == name:
                amount += minor if direction == side else -minor
            elif ":" in leg_account:
                others.append(leg_account)
        operation = self.operations.by_type.get(row[2])
        field = None if operation is None else operation.original_field
        line = {
            **_line(row), "type": row[2], "number": row[6], "result_number": None,
            "amount_minor": amount, "counterparties": sorted(set(others)), "status": "posted",
            "original": orjson.loads(row[12]).get(field),
        }
        if operation is None or row[2] not in self.operations.answers:
            return line, frozenset({row[2]})
        number = line["original"]
        line.update(
            type=operation.journal_type, number=number, result_number=row[6],
            original=self._original_of(number, operation.original_types),
        )
        return line, operation.original_types | {row[2], operation.journal_type}

    def _original_of(self, number: str, types: Iterable[str]) -> str | None:
        """What an order is itself about, as a redemption about its purchase."""
        fields = {self.operations.by_type[type_].original_field for type_ in types} - {None}
        row = self._row(number) if fields else None
        content = _EMPTY if row is None else orjson.loads(row[12])
        return next((content[field] for field in fields if field in content), None)

    def tell(self, page: Sequence[dict[str, Any]]) -> None:
        """Say what became of movements: sent back, reversed."""
        journals = {
            line["sequence"]: item_of(number) for line in page
            if (number := journal_of(line["journal_id"] or "")) is not None
        }
        counters = self._counters(
            {*journals.values(), *(line["number"] for line in page if line["number"] is not None)}
        )
        for line in page:
            if line["sequence"] not in journals:
                continue
            if counters[journals[line["sequence"]]].get("reversed"):
                line["status"] = "reversed"
            elif counters.get(line["number"], _EMPTY).get("returned"):
                line["status"] = "returned"

    def _counters(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        wanted = list(keys)
        kept, since = self.ledger.store.items(wanted), self.ledger.state.items
        return {key: {**kept.get(key, _EMPTY), **since.get(key, _EMPTY)} for key in wanted}

    def _row(self, number: str) -> tuple | None:
        return self.ledger.store.find_by_business_key([number]).get(number)


def _line(row: tuple) -> dict[str, Any]:
    return {
        "sequence": row[0], "journal_id": None if row[1] is None else journal_id(row[1]),
        "time": row[9], "booking_date": row[10], "value_date": row[11],
    }
