"""A tiny institution with known answers: silver rows written by hand rules, not by any job.

Three merchants over twelve days from 2026-09-21. Every payment posts the legs of design.md §5; the
custodian credits clearing sums one day later; day closes are kept by adding legs up.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from paylake.contracts import arrow_schema
from paylake.dbt_project import sources
from paylake.lake import Lake

FIRST = date(2026, 9, 21)
LAST = FIRST + timedelta(days=11)
MERCHANTS = {
    "M1": ("enterprise", "5411", "310000", "T+1", "0"),
    "M2": ("micro", "5812", "440000", "D+1", "500"),
    "M3": ("sole_trader", "7011", "310000", "T+0", "0"),
}
ZERO = Decimal("0.0000")
DEBIT_ACCOUNTS = ("1001",)


@dataclass
class World:
    """Rows by `layer.table`; `balances` is the running closing balance of each account."""

    rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    balances: dict[tuple[str, str | None], Decimal] = field(
        default_factory=lambda: defaultdict(lambda: ZERO)
    )
    moved: dict[tuple[str, str | None], list[Decimal]] = field(default_factory=dict)
    custodian: Decimal = ZERO

    def leg(
        self, day: date, journal: str, kind: str, key: str, code: str, party: str | None,
        side: str, amount: Decimal, component: str, reference: str | None = None,
        adjusts: date | None = None,
    ) -> None:  # fmt: skip
        number = sum(1 for r in self.rows["silver.ledger_entry"] if r["journal_id"] == journal) + 1
        self.rows["silver.ledger_entry"].append(
            {
                "business_date": day, "journal_id": journal, "leg_number": number,
                "journal_type": kind, "business_key": key,
                "account_id": code if party is None else f"{code}:{party}", "account_code": code,
                "party_id": party, "direction": side, "amount": amount, "currency_code": "CNY",
                "component": component, "adjusts_date": adjusts, "custodian_reference": reference,
            }
        )  # fmt: skip
        normal = "D" if code in DEBIT_ACCOUNTS else "C"
        self.balances[(code, party)] += amount if side == normal else -amount

    def payment(
        self, day: date, key: str, merchant: str, amount: str, fees: tuple[str, str, str],
        *, sent: date | None, way: str = "bank_card", success: bool = True,
    ) -> None:  # fmt: skip
        """One payment; `sent` is the date on which the switch delivered it, None for never."""
        gross = Decimal(amount)
        issuer, network, acquirer = (Decimal(f) for f in fees)
        if success:
            legs = [
                ("1001", None, "D", gross - issuer - network, "clearing", f"CLR-{day:%Y%m%d}"),
                ("2201", merchant, "C", gross, "gross", None),
                ("2201", merchant, "D", issuer, "issuer_fee", None),
                ("2201", merchant, "D", network, "network_fee", None),
                ("2201", merchant, "D", acquirer, "acquirer_fee", None),
                ("2301", None, "C", acquirer, "acquirer_fee", None),
            ]
            for code, party, side, money, component, reference in legs:
                self.leg(
                    day, f"J-{key}", "payment", key, code, party, side, money, component, reference
                )
        if sent is not None:
            self.transaction(sent, key, "payment", merchant, gross, way, success)

    def refund(self, day: date, key: str, merchant: str, amount: str, returned: str) -> None:
        gross, fee = Decimal(amount), Decimal(returned)
        for code, party, side, money, component, reference in [
            ("1001", None, "C", gross, "clearing", f"CLR-{day:%Y%m%d}"),
            ("2201", merchant, "D", gross, "gross", None),
            ("2201", merchant, "C", fee, "acquirer_fee", None),
            ("2301", None, "D", fee, "acquirer_fee", None),
        ]:
            self.leg(day, f"J-{key}", "refund", key, code, party, side, money, component, reference)
        self.transaction(day, key, "refund", merchant, gross, "bank_card", True)

    def transaction(
        self, day: date, key: str, kind: str, merchant: str, amount: Decimal, way: str,
        success: bool,
    ) -> None:  # fmt: skip
        known = MERCHANTS.get(merchant)
        self.rows["silver.transaction"].append(
            {
                "business_date": day, "transaction_id": key, "transaction_type": kind,
                "merchant_id": merchant, "terminal_id": f"T-{merchant}", "payment_way": way,
                "funding": "debit", "amount": amount, "currency_code": "CNY",
                "status": "success" if success else "failed", "adjusts_date": None,
                "region_code": known[2] if known else None, "mcc": known[1] if known else None,
            }
        )  # fmt: skip

    def payout(self, day: date, key: str, merchant: str) -> None:
        money = self.balances[("2201", merchant)]
        self.leg(day, f"J-{key}", "settlement", key, "2201", merchant, "D", money, "payout")
        self.leg(day, f"J-{key}", "settlement", key, "1001", None, "C", money, "payout", key)
        self.bank(day, key, "D", money)

    def bank(self, day: date, reference: str, side: str, amount: Decimal) -> None:
        self.statement_line(day, "MOVEMENT", reference, side, amount)
        self.custodian += amount if side == "C" else -amount

    def statement_line(
        self, day: date, kind: str, reference: str | None, side: str, amount: Decimal
    ) -> None:
        lines = self.rows["silver.custodian_entry"]
        lines.append(
            {
                "business_date": day, "entry_id": f"B{len(lines):05d}", "entry_type": kind,
                "reference": reference, "direction": side, "amount": amount, "currency_code": "CNY",
            }
        )  # fmt: skip

    def close(self, day: date, opening: dict[tuple[str, str | None], Decimal]) -> None:
        """The ledger's day close and the custodian's closing line."""
        for (code, party), closing in sorted(
            self.balances.items(), key=lambda item: (item[0][0], item[0][1] or "")
        ):
            self.rows["silver.ledger_balance"].append(
                {
                    "business_date": day,
                    "account_id": code if party is None else f"{code}:{party}",
                    "account_code": code, "party_id": party, "currency_code": "CNY",
                    "opening_amount": opening.get((code, party), ZERO), "closing_amount": closing,
                }
            )  # fmt: skip
        self.statement_line(day, "CLOSING", None, "C", self.custodian)


def build() -> World:
    """The world, day by day.

    Known answers: P-LATE (22 September) comes from the switch one day late; P-BAD (23rd) sits in
    quarantine for good; P-GONE (24th) was in a refused delivery; U-1 reaches the custodian without
    a journal on the 25th and is booked on the 28th; the payout W-M1 of the 26th is booked a day
    before the custodian pays it.
    """
    world = World()
    for merchant, (kind, mcc, region, cycle, minimum) in MERCHANTS.items():
        world.rows["silver.merchant"].append(
            {
                "business_date": FIRST, "merchant_id": merchant,
                "merchant_name": f"{merchant} 商户",
                "merchant_type": kind, "mcc": mcc, "region_code": region,
                "settlement_bank": f"{merchant} 开户行",
                "settlement_account_masked": f"*****{merchant}",
                "settlement_mode": "institution_managed", "settlement_cycle": cycle,
                "fee_class": "STD", "minimum_payout_amount": Decimal(minimum),
                "currency_code": "CNY",
            }
        )  # fmt: skip
    # M1 changes its cycle and its settlement account on the 24th.
    changed = dict(world.rows["silver.merchant"][0])
    changed |= {
        "business_date": FIRST + timedelta(days=3), "settlement_cycle": "D+1",
        "settlement_bank": "M1 新开户行", "settlement_account_masked": "****0001",
    }  # fmt: skip
    world.rows["silver.merchant"].append(changed)
    fees = ("0.35", "0.03", "0.22")
    clearing = ZERO
    for number in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=number)
        opening = dict(world.balances)
        world.statement_line(day, "OPENING", None, "C", world.custodian)
        if clearing:
            world.bank(
                day, f"CLR-{day - timedelta(days=1):%Y%m%d}", "C" if clearing > 0 else "D",
                abs(clearing),
            )  # fmt: skip
        for merchant, count in (("M1", 3), ("M2", 1), ("M3", 1 if number % 3 == 0 else 0)):
            for n in range(count):
                world.payment(
                    day, f"P-{day:%m%d}-{merchant}-{n}", merchant, f"{100 + number}.00", fees,
                    sent=day, way="qr_code" if n else "bank_card",
                )  # fmt: skip
        world.payment(day, f"F-{day:%m%d}", "M1", "9.99", fees, sent=day, success=False)
        _incidents(world, day, number, fees)
        clearing = sum(
            (
                r["amount"] if r["direction"] == "D" else -r["amount"]
                for r in world.rows["silver.ledger_entry"]
                if r["custodian_reference"] == f"CLR-{day:%Y%m%d}"
            ),
            ZERO,
        )
        world.close(day, opening)
    return world


def _incidents(world: World, day: date, number: int, fees: tuple[str, str, str]) -> None:
    tomorrow = day + timedelta(days=1)
    if number == 1:
        world.payment(day, "P-LATE", "M1", "50.00", fees, sent=tomorrow)
    if number == 2:
        world.payment(day, "P-BAD", "M2", "60.00", fees, sent=None)
        world.rows["quarantine.raw_switch__transaction"].append(
            {"business_date": day, "record_key": "P-BAD"}
        )
        world.refund(day, "R-1", "M1", "30.00", "0.06")
        world.transaction(day, "P-NOBODY", "payment", "M9", Decimal("7.00"), "qr_code", True)
    if number == 3:
        world.payment(day, "P-GONE", "M1", "70.00", fees, sent=None)
        sent = datetime(day.year, day.month, day.day, 18, tzinfo=UTC)
        world.rows["ops.delivery"].append(
            {
                "feed": "transaction", "business_date": day, "sequence": 2, "state": "refused",
                "sent_at": sent, "data_digest": "d", "recorded_at": sent,
            }
        )  # fmt: skip
        world.leg(day, "J-D1", "dispute", "D-1", "2201", "M3", "D", Decimal(20), "dispute")
        world.leg(day, "J-D1", "dispute", "D-1", "2202", "M3", "C", Decimal(20), "dispute")
        world.transaction(day, "D-1", "dispute", "M3", Decimal(20), "bank_card", True)
    if number == 4:
        world.bank(day, "U-1", "C", Decimal(11))
    if number == 5:
        money = world.balances[("2201", "M1")]
        world.leg(day, "J-W1", "settlement", "W-M1", "2201", "M1", "D", money, "payout")
        world.leg(day, "J-W1", "settlement", "W-M1", "1001", None, "C", money, "payout", "W-M1")
    if number == 6:
        paid = next(r for r in world.rows["silver.ledger_entry"] if r["journal_id"] == "J-W1")
        world.bank(day, "W-M1", "D", paid["amount"])
    if number == 7:
        world.leg(day, "J-U1", "top_up", "U-1", "1001", None, "D", Decimal(11), "deposit", "U-1")
        world.leg(day, "J-U1", "top_up", "U-1", "2401", None, "C", Decimal(11), "deposit")
        world.payout(day, "W-M2", "M2")


def store(world: World, lake: Lake, only: list[str] | None = None) -> None:
    """Write the rows as Delta tables with the columns that the dbt sources name.

    :param only: tables to write; all of them when not given.
    """
    for source in sources():
        if only is not None and source.table not in only:
            continue
        rows = world.rows[f"{source.layer}.{source.table}"]
        schema = arrow_schema(source.columns)
        partitions = () if source.layer == "ops" else ("business_date",)
        lake.ensure(source.layer, source.table, schema, partition_by=partitions)
        lake.append(source.layer, source.table, pa.Table.from_pylist(_exact(rows), schema))


def _exact(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    quantum = Decimal("0.0001")
    return [
        {k: v.quantize(quantum) if isinstance(v, Decimal) else v for k, v in row.items()}
        for row in rows
    ]
