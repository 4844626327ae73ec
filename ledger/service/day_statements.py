"""What a close says of single accounts and of fees: two lists, whose digests stand in the signed
head, so that the files written of them later can be held against it.

Fees accrue where they are booked: per order and per item when they are charged, penalties per
calendar day by the day's run (rules D0.21, D0.24 to D0.31). The list of fees says, by merchant and
item, what a date charged and what was paid, taken or put in; with the opening and closing balances
of the list of accounts it foots.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.chain import sm3
from ledger.domain.chart import parts_of
from ledger.service.faults import RequestRefused

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

#: Accounts that fees of a merchant stand in: for the next bill, due, prepaid, penalties.
FEE_CODES = ("1204", "1205", "2601", "1203")
#: The component by which a confirmed bill moves what accrued on 1204 to what is due on 1205.
_BILLED = "bill"
#: Those of them whose balance the merchant owes.
_OWED = ("1205", "1203")
ACCOUNT_COLUMNS = (
    "booking_date", "account_id", "currency_code", "opening_minor", "debit_minor",
    "credit_minor", "closing_minor",
)
FEE_COLUMNS = (
    "booking_date", "merchant_id", "currency_code", "account_code", "item", "charges",
    "charged_minor", "paid_minor",
)
#: name in the head -> columns
LISTS = {"accounts": ACCOUNT_COLUMNS, "fees": FEE_COLUMNS}


class Fees:
    """Fees of one date by merchant, currency, account code and item: how many charges, what was
    charged (debits) and what was paid, taken or put in (credits), minor units."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, str], list[int]] = {}

    def add(self, content: Any, legs: Iterable[list]) -> None:
        """Take a journal in.

        :param content: of its entry, as text
        """
        for account_id, currency, direction, amount, component, _ in legs:
            code, merchant = parts_of(account_id)
            if code not in FEE_CODES:
                continue
            item = orjson.loads(content).get("fee_item") or component
            line = self._found.setdefault((merchant, currency, code, item), [0, 0, 0])
            if direction == "D":
                line[0] += 1
                line[1] += amount
            else:
                line[2] += amount

    def rows(self, day: str) -> list[tuple]:
        """Rows of :data:`FEE_COLUMNS`, in order."""
        return [(day, *key, *line) for key, line in sorted(self._found.items())]

    def sums(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Charged and paid by account id and currency."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for (merchant, currency, code, _), (_, charged, paid) in self._found.items():
            name = (f"{code}:{merchant}", currency)
            before = found.get(name, (0, 0))
            found[name] = (before[0] + charged, before[1] + paid)
        return found


def as_csv(columns: tuple[str, ...], rows: Iterable[tuple]) -> bytes:
    """The exact bytes of a list."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def in_head(accounts: list[tuple], fees: list[tuple]) -> dict[str, Any]:
    """What the head says of the two lists: rows, digest, and of fees the totals by currency.

    :param accounts: rows of :data:`ACCOUNT_COLUMNS` by account id and currency
    """
    charged: dict[str, int] = {}
    owed: dict[str, int] = {}
    for row in fees:
        if row[3:5] != ("1205", _BILLED):  # a bill was charged before, item by item
            charged[row[2]] = charged.get(row[2], 0) + row[6]
    for row in accounts:
        if parts_of(row[1])[0] in _OWED:
            owed[row[2]] = owed.get(row[2], 0) + row[6]
    listed = {"accounts": sorted(accounts, key=lambda row: row[1:3]), "fees": fees}
    said: dict[str, Any] = {
        name: {"rows": len(rows), "sm3": sm3(as_csv(LISTS[name], rows)).hex()}
        for name, rows in listed.items()
    }
    said["fees"].update(charged_minor=charged, owed_minor=owed)
    return said


def of_day(reader: Any, day: str) -> dict[str, list[tuple]]:
    """Both lists of a closed date, read again from the log and the day's balances."""
    fees = Fees()
    for row in reader.day_entries(day):
        fees.add(row[12], orjson.loads(row[13]))
    return {
        "accounts": [(day, *row) for row in reader.day_balances(day)], "fees": fees.rows(day),
    }


def of_party(ledger: Ledger, party_id: str, day: str) -> dict[str, Any]:
    """A closed date of one party: its accounts, and its fees by item.

    :raises RequestRefused: 404 `date_open`
    """
    if ledger.store.find_close(day) is None:
        raise RequestRefused("date_open", f"{day} is not closed", 404)
    accounts = [a for a in ledger.state.all_accounts() if a.party_id == party_id]
    rows: Iterator[tuple | None] = (
        ledger.store.day_balance(day, a.account_id, a.currency_code) for a in accounts
    )
    fees = Fees()
    sequences: dict[int, None] = {}
    for account in accounts:
        if account.code in FEE_CODES:
            sequences.update(dict.fromkeys(ledger.history.sequences(
                ledger.store, account.account_id, account.currency_code, day, day
            )))
    for sequence in sequences:
        row = next(iter(ledger.store.entries(sequence, sequence)))
        fees.add(row[12], [
            leg for leg in orjson.loads(row[13]) if parts_of(leg[0])[1] == party_id
        ])
    return {
        "party_id": party_id, "booking_date": day,
        "accounts": [
            _named(ledger, ACCOUNT_COLUMNS, (day, *row)) for row in rows if row is not None
        ],
        "fees": [_named(ledger, FEE_COLUMNS, row) for row in fees.rows(day)],
    }


def _named(ledger: Ledger, columns: tuple[str, ...], row: tuple) -> Mapping[str, Any]:
    named = dict(zip(columns[1:], row[1:], strict=True))
    return {**named, "scale": ledger.chart.currencies[named["currency_code"]]}
