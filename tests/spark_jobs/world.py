"""A small bronze layer by seed: ties, half-cents, nulls, late and shuffled rows, people who leave.

Not the simulator: this is what a reader may hand over at its worst, not what an institution does.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from paylake import contracts
from paylake.lake import Lake
from paylake.settings import Settings
from tests.spark_jobs.helpers import day

Rows = dict[str, list[dict[str, Any]]]
FEEDS = (
    "transaction",
    "merchant",
    "terminal",
    "ledger_journal",
    "ledger_balance",
    "ledger_head",
    "custodian_statement",
)


def bronze_rows(dates: int, per_date: int = 40, seed: int = 7) -> Rows:
    """Bronze rows by feed for day(0) to day(dates − 1)."""
    chance = random.Random(seed)
    found: Rows = {feed: [] for feed in FEEDS}
    for number in range(dates):
        today = day(number)
        found["merchant"] += [
            _merchant(today, n, chance) for n in range(8) if chance.random() < 0.9
        ]
        found["terminal"] += [
            _terminal(today, n, chance) for n in range(6) if chance.random() < 0.9
        ]
        payments = [_transaction(today, number, n, chance) for n in range(per_date)]
        found["transaction"] += payments
        for payment in payments:
            found["ledger_journal"] += _journal(today, payment)
        found["ledger_balance"] += [_balance(today, n, number) for n in range(4)]
        found["ledger_head"] += _heads(today, number, per_date)
        found["custodian_statement"] += [_custodian(today, n, chance) for n in range(3)]
    for feed, rows in found.items():
        for line, row in enumerate(rows, start=1):
            row["_delivery_id"] = f"{feed}/{row['business_date']}/1"
            row["_file_name"] = f"{feed}.dat"
            row["_line_number"] = line
            row["_byte_offset"] = line * 100
    return found


def put(settings: Settings, found: Rows, feeds: tuple[str, ...] = FEEDS, seed: int = 0) -> None:
    """Write bronze rows into a home, shuffled."""
    lake = Lake(settings)
    for feed in feeds:
        contract = contracts.load(feed)
        rows = list(found[feed])
        random.Random(seed).shuffle(rows)
        lake.ensure_contract(contract)
        table = pa.Table.from_pylist(rows, schema=contract.arrow_schema)
        dates = [row["business_date"] for row in rows]
        lake.replace("bronze", contract.table, table, min(dates), max(dates))


def _transaction(today: date, number: int, n: int, chance: random.Random) -> dict[str, Any]:
    late = chance.choice([0, 0, 0, 0, 1, 2, 3, 9])
    # Few distinct seconds: many ties, and the edges of night and cut-off.
    clock = chance.choice(
        [
            "00:00:00",
            "05:59:59",
            "06:00:00",
            "21:59:59",
            "22:00:00",
            "22:59:59",
            "23:00:00",
            "12:00:00",
        ]
    )
    amount = Decimal(chance.randrange(1, 40_000)) / 1000  # thousandths: half-cents among them
    return {
        "business_date": today,
        "transaction_id": f"X{number:03d}{n:05d}",
        "transaction_type": chance.choice(["payment"] * 8 + ["refund", "dispute"]),
        "original_transaction_id": chance.choice([None, "", "X00000000"]),
        "merchant_id": chance.choice([None, *(f"M{m}" for m in range(10))]),
        "terminal_id": chance.choice([None, *(f"T{t}" for t in range(7))]),
        "card_number_token": chance.choice([None, *(f"card-{c}" for c in range(9))]),
        "card_number_masked": None,
        "payer_account_id": None,
        "payment_way": chance.choice(["bank_card", "qr_code"]),
        "funding": chance.choice(["debit", "credit", "balance"]),
        "channel": "unionpay",
        "amount": str(amount),
        "currency_code": chance.choice(["CNY", "CNY", "CNY", "JPY"]),
        "status": chance.choice(["success", "success", "success", "failed"]),
        "response_code": chance.choice(["00", None]),
        "event_at": f"{today - timedelta(days=late)} {clock}",
    }


def _merchant(today: date, n: int, chance: random.Random) -> dict[str, Any]:
    return {
        "business_date": today,
        "merchant_id": f"M{n}",
        "merchant_name": f"商户{n}",
        "merchant_type": "micro",
        "mcc": chance.choice(["5499"] * 5 + ["5812"]),
        "region_code": chance.choice(["330000"] * 5 + ["310000"]),
        "phone_token": chance.choice([None, "phone"]),
        "settlement_bank": "某银行",
        "settlement_mode": "institution_managed",
        "settlement_cycle": "T+1",
        "minimum_payout": chance.choice(["10.00", "10.0"]),
        "fee_class": "STD",
        "status": "active",
        "opened_date": "2024-02-29",
    }


def _terminal(today: date, n: int, chance: random.Random) -> dict[str, Any]:
    return {
        "business_date": today,
        "terminal_id": f"T{n}",
        "serial_number": f"SN{n}",
        "merchant_id": chance.choice([None, f"M{n}"]),
        "terminal_type": "pos",
        "region_code": "330000",
        "key_version": str(chance.randrange(1, 3)),
        "status": "active",
        "installed_date": "2025-01-31",
    }


def _journal(today: date, payment: dict[str, Any]) -> list[dict[str, Any]]:
    minor = str(int(Decimal(payment["amount"]) * 100) + 1)
    booked = {
        "business_date": today,
        "journal_id": f"J-{payment['transaction_id']}",
        "journal_type": "payment",
        "business_key": payment["transaction_id"],
        "amount_minor": minor,
        "currency_code": payment["currency_code"],
        "booking_date": payment["event_at"][:10],
        "booked_at": f"{today}T02:03:04Z",
        "chain_sequence": "5",  # where the first date's anchor ends
        "chain_digest": "a" * 64,
    }
    bank = {"leg_number": "1", "account_id": "1001", "account_code": "1001", "direction": "D"}
    owed = {"leg_number": "2", "account_id": "2201", "account_code": "2201", "direction": "C"}
    return [
        {**booked, **bank, "component": "clearing", "custodian_reference": "CLR"},
        {**booked, **owed, "component": "gross", "party_id": payment["merchant_id"]},
    ]


def _balance(today: date, n: int, number: int) -> dict[str, Any]:
    return {
        "business_date": today,
        "account_id": f"2201:M{n}",
        "account_code": "2201",
        "account_kind": "liability",
        "party_id": f"M{n}",
        "currency_code": "CNY",
        "opening_minor": str(number * 5 - 10),
        "debit_minor": "0",
        "credit_minor": "5",
        "closing_minor": str(number * 5 - 5),
    }


def _custodian(today: date, n: int, chance: random.Random) -> dict[str, Any]:
    return {
        "business_date": today,
        "entry_id": f"E{n}",
        "entry_type": "MOVEMENT",
        "reference": chance.choice([None, "CLR"]),
        "direction": chance.choice(["C", "D"]),
        "amount": f"{chance.randrange(10_000) / 100:>18.2f}",
        "currency_code": "CNY",
        "booked_at": f"{today} 00:30:00",
        "summary": "清算款",
    }


def _heads(today: date, number: int, payments: int) -> list[dict[str, Any]]:
    """An anchor and the head of the close; nothing here reads what they sign."""
    common = {
        "business_date": today,
        "head_date": today.isoformat(),
        "signed_at": f"{today}T05:00:00Z",
        "key_id": "ledger-1",
        "head_format": "paylake-ledger-head/2",
        "document": '{\n "format": "x"\n}\n',
        "document_sm3": "d" * 64,
        "signature": "30",
    }
    close = {
        "head_name": today.isoformat(),
        "head_kind": "day_close",
        "head_number": "2",
        "chain_sequence": str(1000 * (number + 1)),
        "chain_digest": "b" * 64,
        "previous_anchor": "d" * 64,
        "journal_count": str(payments),
        "leg_count": str(2 * payments),
        "account_count": "4",
    }
    anchor = {
        "head_name": f"hour-{today}T05-{1000 * number + 5}",
        "head_kind": "anchor",
        "head_number": "1",
        "chain_sequence": str(1000 * number + 5),
        "chain_digest": "a" * 64,
        "previous_anchor": "d" * 64 if number else None,
    }
    return [{**common, **anchor}, {**common, **close}]
