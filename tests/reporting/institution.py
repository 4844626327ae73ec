"""Released marts without a lake: DuckDB tables with the marts' columns, and a chain of releases."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

from paylake.crypto import sm3_hex
from reporting.source import Release

FIRST = date(2026, 9, 12)
MONEY = pa.decimal128(18, 4)
D = Decimal

SUMMARY = pa.schema(
    [("business_date", pa.date32()), ("currency_code", pa.string())]
    + [
        (f"{name}_amount", MONEY)
        for name in [
            *("user_balance", "merchant_pending", "merchant_disputed", "fee_pending"),
            *("unidentified", "book", "custodian", "difference", "unarrived", "unexplained"),
        ]
    ]
    + [
        (f"{side}_{what}", kind)
        for side in ("book", "custodian")
        for what, kind in [
            ("opening_amount", MONEY), ("inflow_count", pa.int64()), ("inflow_amount", MONEY),
            ("outflow_count", pa.int64()), ("outflow_amount", MONEY),
        ]
    ]
    + [("item_count", pa.int64()), ("largest_age_days", pa.int64())]
)
ITEMS = pa.schema(
    [
        ("business_date", pa.date32()),
        ("reference", pa.string()),
        ("side", pa.string()),
        ("cause", pa.string()),
        ("amount", MONEY),
        ("currency_code", pa.string()),
        ("first_date", pa.date32()),
        ("age_days", pa.int64()),
    ]
)
MERCHANTS = pa.schema(
    [("business_date", pa.date32())]
    + [
        (name, pa.string())
        for name in [
            *("merchant_id", "merchant_name", "merchant_type", "mcc", "region_code"),
            *("settlement_bank", "settlement_account_masked"),
            *("settlement_mode", "settlement_cycle", "fee_class"),
        ]
    ]
    + [("minimum_payout_amount", MONEY), ("currency_code", pa.string())]
    + [("payment_count", pa.int64()), ("gross_amount", MONEY)]
    + [("refund_count", pa.int64()), ("refund_amount", MONEY)]
    + [
        (f"{name}_amount", MONEY)
        for name in [
            *("issuer_fee", "network_fee", "acquirer_fee", "service_fee", "disputed"),
            *("adjustment", "net", "opening_pending", "payout", "closing_pending"),
            "closing_disputed",
        ]
    ]
    + [("due_date", pa.date32()), ("settlement_status", pa.string())]
)
TABLES = {
    "mart_settlement__reserve_fund_day": SUMMARY,
    "mart_settlement__reserve_fund_item": ITEMS,
    "mart_settlement__merchant_day": MERCHANTS,
}


@dataclass
class FakeReader:
    connection: duckdb.DuckDBPyConnection

    def query(self, sql: str) -> pa.Table:
        return self.connection.execute(sql).to_arrow_table()

    def tables(self) -> list[str]:
        return [row[0] for row in self.connection.execute("show tables").fetchall()]

    def close(self) -> None:
        self.connection.close()


@dataclass
class FakeLake:
    """Marts as rows, and releases that each keep the marts as they were when it was made."""

    rows: dict[str, list[dict[str, Any]]]
    chain: list[Release] = field(default_factory=list)
    kept: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def publish(self, day: date) -> Release:
        """A release that publishes (or, for an earlier date, restates) one business date."""
        sequence = len(self.chain) + 1
        through = max([day, *(r.through for r in self.chain)])
        partitions = {
            (table, day): sm3_hex(repr([r for r in rows if r["business_date"] == day]).encode())
            for table, rows in self.rows.items()
        }
        name = f"R{sequence:06d}-{through:%Y%m%d}"
        digest = sm3_hex(repr((name, sorted(partitions.values()))).encode())
        release = Release(name, sequence, through, digest, partitions)
        self.chain.append(release)
        self.kept[name] = deepcopy(self.rows)
        return release

    def releases(self) -> list[Release]:
        return self.chain

    def reader(self, release_id: str) -> FakeReader:
        self.opened.append(release_id)
        release = next(r for r in self.chain if r.release_id == release_id)
        connection = duckdb.connect(":memory:")
        for table, rows in self.kept[release_id].items():
            shown = [r for r in rows if r["business_date"] <= release.through]
            data = pa.Table.from_pylist(shown, schema=TABLES[table])
            connection.register("incoming", data)
            connection.execute(f'create table "{table}" as select * from incoming')
        return FakeReader(connection)


def merchant_rows(days: int, merchants: int) -> list[dict[str, Any]]:
    """Statements of a small institution whose figures hang together, some merchants idle."""
    pending = dict.fromkeys(range(merchants), D(0))
    held = dict.fromkeys(range(merchants), D(0))
    rows = []
    for n in range(days):
        day = FIRST + timedelta(days=n)
        for m in range(merchants):
            busy = (n + m) % 5 != 0
            gross = D(10_000 + 137 * m + 11 * n) / 100 if busy else D(0)
            refund = D(1_001) / 100 if busy and m % 3 == 0 else D(0)
            issuer = (gross * D("0.0035")).quantize(D("0.01"))
            network = (gross * D("0.000325")).quantize(D("0.01"))
            acquirer = (gross * D("0.0018")).quantize(D("0.01"))
            disputed = D("5.55") if busy and m == 1 and n == 2 else D(0)
            net = gross - refund - issuer - network - acquirer - disputed
            opening = pending[m]
            payout = opening if n % 2 and opening > 0 else D(0)
            closing = opening + net - payout
            pending[m] = closing
            held[m] += disputed
            rows.append(
                {
                    "business_date": day,
                    "merchant_id": f"M{m:06d}",
                    "merchant_name": f"测试,商户“{m}”",
                    "merchant_type": "enterprise",
                    "mcc": "5411",
                    "region_code": "310000",
                    "settlement_bank": "中国工商银行",
                    "settlement_account_masked": f"{'*' * 15}{m:04d}",
                    "settlement_mode": "institution_managed",
                    "settlement_cycle": "T+1",
                    "fee_class": "STD",
                    "minimum_payout_amount": D("10.00"),
                    "currency_code": "CNY",
                    "payment_count": 3 if busy else 0,
                    "gross_amount": gross,
                    "refund_count": 1 if refund else 0,
                    "refund_amount": refund,
                    "issuer_fee_amount": issuer,
                    "network_fee_amount": network,
                    "acquirer_fee_amount": acquirer,
                    "service_fee_amount": D(0),
                    "disputed_amount": disputed,
                    "adjustment_amount": D("1.23") if m == 2 and busy else D(0),
                    "net_amount": net,
                    "opening_pending_amount": opening,
                    "payout_amount": payout,
                    "closing_pending_amount": closing,
                    "closing_disputed_amount": held[m],
                    "due_date": day + timedelta(days=1) if closing > 0 else None,
                    "settlement_status": "due" if closing > 0 else "none",
                }
            )
    return rows


def reserve_rows(days: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A reserve fund with one clearing sum under way each date, and nothing on the last."""
    summary, items = [], []
    book_before, bank_before = D("98765432100.00"), D("98765432100.00")
    for n in range(days):
        day = FIRST + timedelta(days=n)
        moving = D("123.45") + n if n != days - 1 or days == 1 else D(0)
        users, pending = D("98765432109.87") + n, D("1234.56")
        book = users + pending
        summary.append(
            {
                "business_date": day,
                "currency_code": "CNY",
                "user_balance_amount": users,
                "merchant_pending_amount": pending,
                "merchant_disputed_amount": D(0),
                "fee_pending_amount": D(0),
                "unidentified_amount": D(0),
                "book_amount": book,
                "book_opening_amount": book_before,
                "book_inflow_count": 2,
                "book_inflow_amount": book - book_before + 7,
                "book_outflow_count": 1,
                "book_outflow_amount": D(7),
                "custodian_opening_amount": bank_before,
                "custodian_inflow_count": 1,
                "custodian_inflow_amount": book - moving - bank_before + 7,
                "custodian_outflow_count": 1,
                "custodian_outflow_amount": D(7),
                "custodian_amount": book - moving,
                "difference_amount": moving,
                "unarrived_amount": moving,
                "unexplained_amount": D(0),
                "item_count": 1 if moving else 0,
                "largest_age_days": 0 if moving else None,
            }
        )
        book_before, bank_before = book, book - moving
        if moving:
            items.append(
                {
                    "business_date": day,
                    "reference": f"CLR-unionpay-{day:%Y%m%d}",
                    "side": "book_only",
                    "cause": "book_in_bank_not",
                    "amount": moving,
                    "currency_code": "CNY",
                    "first_date": day,
                    "age_days": 0,
                }
            )
    return summary, items


def institution(days: int, merchants: int) -> FakeLake:
    """An institution with that many released dates from `FIRST`."""
    summary, items = reserve_rows(days)
    lake = FakeLake(
        {
            "mart_settlement__reserve_fund_day": summary,
            "mart_settlement__reserve_fund_item": items,
            "mart_settlement__merchant_day": merchant_rows(days, merchants),
        }
    )
    for n in range(days):
        lake.publish(FIRST + timedelta(days=n))
    return lake


def dates(days: int, first: date = FIRST) -> list[date]:
    return [first + timedelta(days=n) for n in range(days)]
