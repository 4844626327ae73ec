"""What goes to the banks of a date: the instruction file of bank-managed merchants, and the
fund-movement file of self-managed ones, which is empty with zero control totals (rules D0.3, D0.5).
The bank is told of payouts to merchants and of withdrawals that their users asked for (rule D0.1).
What a freeze keeps back is in neither (rule D0.17).

The bytes depend on the closed date alone. Each file has its SM3 digest, counts and totals in a
control file beside it, signed by the ledger's key.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import orjson

from ledger.adapters.signed_files import write_signed
from ledger.adapters.sql_reader import SqlReader
from ledger.adapters.storage import open_reader, place
from ledger.domain.chart import parts_of
from paylake.errors import PermanentFailure
from paylake.settings import Settings

FORMAT = "paylake-instructions/1"
COLUMNS = ("payout_id", "merchant_id", "amount_minor", "currency_code", "booking_date", "booked_at")
_FILES = {"bank": "bank_instructions", "self": "fund_movements"}
#: Accounts of bank-managed books: pending settlement, users.
_PENDING, _USERS = "9201", "9101"


@dataclass(frozen=True, slots=True)
class Written:
    """A file, its rows and its total in minor units by currency."""

    path: Path
    rows: int
    totals: dict[str, int]


def write_instructions(settings: Settings, day: date) -> list[Written]:
    """Write both files of a closed date into `<home>/ledger/instructions/<date>/`.

    :raises PermanentFailure: when the date is not closed
    """
    reader = open_reader(settings)
    try:
        with reader.snapshot():
            if reader.find_close(day.isoformat()) is None:
                raise PermanentFailure(
                    f"the ledger has not closed {day}", "close the date first",
                    where=place(settings),
                )
            rows = {
                "bank": [*_payouts(reader, day), *_withdrawals(reader, day)],
                "self": [],  # the institution takes no part: the books moved, no money does
            }
    finally:
        reader.close()
    folder = settings.path("ledger", "instructions", day.isoformat())
    return [_write(settings, folder, day, mode, listed) for mode, listed in rows.items()]


def _payouts(reader: SqlReader, day: date) -> list[tuple]:
    """Payouts of a date to bank-managed merchants."""
    found = []
    for row in reader.day_entries(day.isoformat()):
        if row[2] != "settlement":
            continue
        for account_id, currency, direction, amount, _, _ in orjson.loads(row[13]):
            account, merchant = parts_of(account_id)
            if account == _PENDING and direction == "D":
                found.append((row[6], merchant, amount, currency, row[10], row[9]))
    return found


def _withdrawals(reader: SqlReader, day: date) -> list[tuple]:
    """Withdrawals that were asked for on a date from bank-managed books, each under the merchant
    whose user's book it is: its number is the withdrawal's."""
    asked = []
    for row in reader.day_requests(day.isoformat(), "withdrawal"):
        holds = [effect[2] for effect in orjson.loads(row[14]) if effect[0] == "hold"]
        asked += [(row, hold) for hold in holds if parts_of(hold["account_id"])[0] == _USERS]
    if not asked:
        return []
    tenants = {
        key: document["tenant"] for _, key, document in reader.documents(["account"])
        if parts_of(key)[0] == _USERS
    }
    return [
        (row[6], tenants[f"{hold['account_id']}/{hold['currency_code']}"], hold["placed"],
         hold["currency_code"], row[10], row[9])
        for row, hold in asked
    ]


def _write(
    settings: Settings, folder: Path, day: date, mode: str, rows: list[tuple]
) -> Written:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    data = text.getvalue().encode("utf-8")
    totals: dict[str, int] = {}
    for row in rows:
        totals[row[3]] = totals.get(row[3], 0) + row[2]
    path = folder / f"{_FILES[mode]}_{day:%Y%m%d}.csv"
    write_signed(settings, path, data, {
        "format": FORMAT, "settlement_mode": mode, "booking_date": day.isoformat(),
        "rows": len(rows), "amount_totals_minor": totals or {"CNY": 0},
    })
    return Written(path, len(rows), totals)
