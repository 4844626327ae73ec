"""End-of-day export of a closed date: the feeds `ledger_journal`, `ledger_balance`, `ledger_head`
(the signed heads) and `ledger_event` (the outbox); the last two are made in `evidence_feeds.py`.

The bytes depend on the closed date alone, so a date exported again, or by a ledger that resumed
after a crash, gives the same files.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import orjson

from ledger.adapters.data_files import load_chart, load_operations
from ledger.adapters.evidence_feeds import event_file, head_file
from ledger.adapters.heads import signing_key_id
from ledger.adapters.sql_reader import SqlReader
from ledger.adapters.storage import ledger_path, open_reader, place
from ledger.domain.chain import journal_id
from ledger.domain.chart import Chart, parts_of
from paylake.deliveries import DeliveryFile, write_delivery
from paylake.durable import named_writes
from paylake.errors import PermanentFailure
from paylake.settings import Settings

__all__ = ["Exported", "balance_file", "export_day", "journal_file", "ledger_path"]

BALANCE_COLUMNS = (
    "account_id", "account_code", "account_kind", "party_id", "currency_code", "opening_minor",
    "debit_minor", "credit_minor", "closing_minor",
)


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the delivery folders and their row counts."""

    business_date: date
    sequence: int
    journal_path: Path
    journal_rows: int
    balance_path: Path
    balance_rows: int
    head_path: Path
    head_rows: int
    event_path: Path
    event_rows: int


def export_day(
    settings: Settings, day: date, sequence: int = 1, *, sent_at: datetime
) -> Exported:
    """Write the deliveries of a closed date into the inbox.

    :param sequence: delivery sequence; the ledger sends a date once, as 1
    :param sent_at: the time that the control files carry, aware
    :raises PermanentFailure: when the date is not closed, the inbox holds other content, or a
        head's file is not the head in the database
    :raises DiskFull, EnvironmentFault: when the inbox takes no file; what is whole there stays
    """
    reader = open_reader(settings)
    try:
        with reader.snapshot():
            if reader.find_close(day.isoformat()) is None:
                raise PermanentFailure(
                    f"the ledger has not closed {day}", "close the date first",
                    where=place(settings),
                )
            chart = load_chart()
            made = (
                ("ledger_journal", *journal_file(reader, day, chart)),
                ("ledger_balance", *balance_file(reader, day, chart)),
                ("ledger_head", head_file(reader, day, settings.path("ledger", "heads")), {}),
                ("ledger_event", event_file(reader, day), {}),
            )
    finally:
        reader.close()
    with named_writes(settings.path("landing")):
        written = [
            (
                write_delivery(
                    settings, feed, day, sequence, [file], sent_at, signing_key_id(settings),
                    totals,
                ), file.rows,
            )
            for feed, file, totals in made
        ]
    return Exported(day, sequence, *(value for pair in written for value in pair))


def journal_file(
    reader: SqlReader, day: date, chart: Chart
) -> tuple[DeliveryFile, dict[str, Decimal]]:
    """JSON Lines, one leg a line, in chain order; and Σ amount by currency."""
    operations = load_operations().by_type
    lines: list[bytes] = []
    totals: dict[str, int] = {}
    for row in reader.day_entries(day.isoformat()):
        operation = operations.get(row[2])
        for number, leg in enumerate(orjson.loads(row[13]), 1):
            account_id, currency, direction, amount, component, reference = leg
            code, party = parts_of(account_id)
            totals[currency] = totals.get(currency, 0) + amount
            lines.append(orjson.dumps({
                "journal_id": journal_id(row[1]),
                "leg_number": number,
                "journal_type": operation.journal_type if operation else row[2],
                "business_key": row[6],
                "account_id": account_id,
                "account_code": code,
                "party_id": party or None,
                "direction": direction,
                "amount_minor": amount,
                "currency_code": currency,
                "component": component,
                "booking_date": row[10],
                "booked_at": row[9],
                "custodian_reference": reference,
                "chain_sequence": row[0],
                "chain_digest": row[16].hex(),
            }, option=orjson.OPT_APPEND_NEWLINE))
    name = f"ledger_journal_{day:%Y%m%d}.jsonl"
    return DeliveryFile(name, b"".join(lines), len(lines)), _in_units(totals, chart)


def balance_file(
    reader: SqlReader, day: date, chart: Chart
) -> tuple[DeliveryFile, dict[str, Decimal]]:
    """CSV of every account at the close, by account id; and Σ closing by currency."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(BALANCE_COLUMNS)
    totals: dict[str, int] = {}
    count = 0
    for account_id, currency, *amounts in reader.day_balances(day.isoformat()):
        code, party = parts_of(account_id)
        writer.writerow(
            (account_id, code, chart.classes[code].kind, party, currency, *amounts)
        )
        totals[currency] = totals.get(currency, 0) + amounts[-1]
        count += 1
    name = f"ledger_balance_{day:%Y%m%d}.csv"
    return DeliveryFile(name, text.getvalue().encode("utf-8"), count), _in_units(totals, chart)


def _in_units(totals: dict[str, int], chart: Chart) -> dict[str, Decimal]:
    """Minor units as units of their currency, with as many decimals as it has."""
    return {
        currency: Decimal(total).scaleb(-chart.currencies[currency])
        for currency, total in totals.items()
    }
