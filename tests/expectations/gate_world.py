"""A small consistent world for gate and release: silver and work as the build would leave them.

Three merchants; every day two payments each (one of them on day two arrives at the custodian a day
late), one failed attempt, one refund from the second day on, and a payout of what was pending.
Written here by hand from the definitions of design.md, so that the gate's totals meet figures that
no model of the project computed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from paylake import contracts
from paylake.lake import Lake
from paylake.settings import Settings
from tests.expectations.head_world import events, head, sent_balances

START = date(2026, 9, 12)
CNY = "CNY"
MERCHANTS = ("M1", "M2", "M3")
ZERO = Decimal("0.0000")
DEBIT_CODES = ("1001",)
KINDS = {"1001": "asset"}

Row = dict[str, Any]


def money(text: str | int | Decimal) -> Decimal:
    return Decimal(text).quantize(Decimal("0.0001"))


MART_TYPES = {
    "_count": "bigint", "_amount": "decimal(18,4)", "_rate": "double", "_date": "date",
    "_days": "int",
}


def _type(name: str) -> str:
    if name == "amount":
        return "decimal(18,4)"
    return next((kind for end, kind in MART_TYPES.items() if name.endswith(end)), "string")


OTHERS = (
    "void", "chargeback", "split", "points", "exchange", "offset", "shortfall", "capture",
    "returned", "correction",
)
MARTS: dict[str, tuple[str, ...]] = {
    "mart_settlement__merchant_day": (
        "business_date", "merchant_id", "merchant_name", "region_code", "currency_code",
        "payment_count", "gross_amount", "refund_count", "refund_amount", "issuer_fee_amount",
        "network_fee_amount", "acquirer_fee_amount", "service_fee_amount", "disputed_amount",
        "adjustment_amount", "net_amount", "opening_pending_amount", "payout_amount",
        "closing_pending_amount", "closing_disputed_amount", "due_date", "settlement_status",
        "other_amount", *(f"{name}_amount" for name in OTHERS),
    ),
    "mart_settlement__reserve_fund_day": (
        "business_date", "currency_code", "user_balance_amount", "merchant_pending_amount",
        "merchant_disputed_amount", "fee_pending_amount", "unidentified_amount",
        "merchant_balance_amount", "prepaid_card_amount", "exchange_difference_amount",
        "currency_position_amount", "fee_moved_amount", "book_opening_amount", "book_inflow_amount",
        "book_outflow_amount", "book_amount",
        "custodian_amount", "difference_amount", "unarrived_amount", "unexplained_amount",
        "item_count", "largest_age_days",
    ),
    "mart_settlement__reserve_fund_item": (
        "business_date", "reference", "side", "cause", "amount", "currency_code", "first_date",
        "age_days",
    ),
    "mart_kpi__institution_day": (
        "business_date", "currency_code", "payment_amount", "payment_count", "attempt_count",
        "success_rate", "refund_amount", "refund_count", "fee_income_amount",
        "active_merchant_count", "active_terminal_count",
    ),
    "mart_kpi__region_day": (
        "business_date", "region_code", "region_name_zh", "region_name_en", "currency_code",
        "payment_amount", "payment_count", "attempt_count", "refund_amount",
        "active_merchant_count",
    ),
    "mart_kpi__mcc_day": (
        "business_date", "mcc", "mcc_name_zh", "mcc_name_en", "currency_code", "payment_amount",
        "payment_count", "attempt_count", "refund_amount", "active_merchant_count",
    ),
    "mart_kpi__payment_way_day": (
        "business_date", "payment_way", "funding", "currency_code", "payment_amount",
        "payment_count", "attempt_count", "refund_amount", "active_merchant_count",
    ),
    "fct_tie_item": (
        "business_date", "side", "business_key", "merchant_id", "ledger_amount",
        "transaction_amount", "currency_code", "open_item_class", "closed_by_date",
    ),
}


class World:
    """Rows by `layer.table`; change them, then `write` dates to a home's lake."""

    def __init__(self, days: int = 3, start: date = START) -> None:
        self.days = [start + timedelta(days=n) for n in range(days)]
        self.rows: dict[str, list[Row]] = defaultdict(list)
        self._balance: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._custodian = ZERO
        self._late = ZERO
        for number, day in enumerate(self.days):
            self._day(number, day)

    # The day's commands ----------------------------------------------------------------------

    def _day(self, number: int, day: date) -> None:
        self._opening = dict(self._balance)
        self._legs: list[Row] = []
        self._trade: list[Row] = []
        moved = {merchant: defaultdict(lambda: ZERO) for merchant in MERCHANTS}
        for merchant in MERCHANTS:
            for n in range(2):
                self._payment(day, merchant, n, moved[merchant])
            self._transaction(day, f"F-{day:%m%d}-{merchant}", merchant, "payment", "1", "failed")
            if number:
                self._refund(day, merchant, moved[merchant])
            self._payout(day, merchant, moved[merchant])
        self.rows["silver.ledger_entry"] += self._legs
        self.rows["silver.transaction"] += self._trade
        self._close(number, day)
        arrived, items = self._statement(number, day)
        self._marts(day, moved, arrived, items)
        self._profiles(day)

    def _post(self, day: date, journal: str, kind: str, key: str, legs: list[tuple]) -> None:
        for leg, (account, direction, amount, component) in enumerate(legs, 1):
            code = account.split(":")[0]
            sign = 1 if (direction == "D") == (code in DEBIT_CODES) else -1
            self._balance[account] += sign * money(amount)
            self._legs.append(
                {
                    "business_date": day, "journal_id": journal, "leg_number": leg,
                    "journal_type": kind, "business_key": key, "account_id": account,
                    "account_code": code,
                    "party_id": account.split(":")[1] if ":" in account else None,
                    "direction": direction, "amount": money(amount), "currency_code": CNY,
                    "component": component,
                    "booked_at": datetime(day.year, day.month, day.day, 4, tzinfo=UTC),
                }
            )

    def _transaction(
        self, day: date, key: str, merchant: str, kind: str, amount: str, status: str
    ) -> None:
        self._trade.append(
            {
                "business_date": day, "transaction_id": key, "transaction_type": kind,
                "merchant_id": merchant, "terminal_id": f"T{merchant[1:]}",
                "payment_way": "bank_card", "funding": "debit", "channel": "unionpay",
                "amount": money(amount), "currency_code": CNY, "status": status,
                "event_date": day, "is_night": False, "region_code": "110000", "mcc": "5411",
                "event_at": datetime(day.year, day.month, day.day, 4, tzinfo=UTC),
            }
        )

    def _payment(self, day: date, merchant: str, n: int, moved: dict[str, Decimal]) -> None:
        key = f"P-{day:%m%d}-{merchant}-{n}"
        pending = f"2201:{merchant}"
        self._post(
            day, f"J{key}", "payment", key,
            [("1001", "D", "99.35", "clearing"), (pending, "C", "100", "gross"),
             (pending, "D", "0.60", "issuer_fee"), (pending, "D", "0.05", "network_fee"),
             (pending, "D", "0.20", "acquirer_fee"), ("2301", "C", "0.20", "acquirer_fee")],
        )
        for name, amount in (
            ("gross", "100"), ("issuer_fee", "0.60"), ("network_fee", "0.05"),
            ("acquirer_fee", "0.20"),
        ):
            moved[name] += money(amount)
        self._transaction(day, key, merchant, "payment", "100", "success")

    def _refund(self, day: date, merchant: str, moved: dict[str, Decimal]) -> None:
        key = f"R-{day:%m%d}-{merchant}"
        pending = f"2201:{merchant}"
        self._post(
            day, f"J{key}", "refund", key,
            [(pending, "D", "10", "gross"), ("1001", "C", "9.94", "clearing"),
             (pending, "C", "0.06", "issuer_fee")],
        )
        moved["refund"] += money("10")
        moved["issuer_fee"] -= money("0.06")
        self._transaction(day, key, merchant, "refund", "10", "success")

    def _payout(self, day: date, merchant: str, moved: dict[str, Decimal]) -> None:
        pending = f"2201:{merchant}"
        amount = self._opening.get(pending, ZERO)
        if amount > 0:
            self._post(
                day, f"JO-{day:%m%d}-{merchant}", "settlement", f"O-{day:%m%d}-{merchant}",
                [(pending, "D", amount, "payout"), ("1001", "C", amount, "payout")],
            )
            moved["payout"] += amount

    def _close(self, number: int, day: date) -> None:
        for account in sorted(self._balance):
            legs = [leg for leg in self._legs if leg["account_id"] == account]
            code = account.split(":")[0]
            self.rows["silver.ledger_balance"].append(
                {
                    "business_date": day, "account_id": account, "account_code": code,
                    "account_kind": KINDS.get(code, "liability"),
                    "party_id": account.split(":")[1] if ":" in account else None,
                    "currency_code": CNY, "opening_amount": self._opening.get(account, ZERO),
                    "debit_amount": _total(legs, "D"), "credit_amount": _total(legs, "C"),
                    "closing_amount": self._balance[account],
                }
            )
        closed = [r for r in self.rows["silver.ledger_balance"] if r["business_date"] == day]
        self.rows["bronze.raw_ledger__balance"] += sent_balances(closed)
        heads = self.rows["silver.ledger_head"]
        before = heads[-1]["document_sm3"] if heads else None
        heads.append(head(day, number, before, self._legs, closed))
        self.rows["bronze.raw_ledger__event"] += events(day, number)

    def _statement(self, number: int, day: date) -> tuple[Decimal, list[Row]]:
        """What the custodian saw; on every third day from the second on one clearing credit is a
        day late."""
        moves = [self._late] if self._late else []
        self._late = ZERO
        for leg in self._legs:
            if leg["account_code"] != "1001":
                continue
            signed = leg["amount"] if leg["direction"] == "D" else -leg["amount"]
            if number % 3 == 1 and not self._late and leg["component"] == "clearing":
                self._late = signed
            else:
                moves.append(signed)
        opening, self._custodian = self._custodian, self._custodian + sum(moves, ZERO)
        lines = [("OPENING", opening), *(("MOVEMENT", m) for m in moves)]
        for line, (kind, signed) in enumerate([*lines, ("CLOSING", self._custodian)]):
            self.rows["silver.custodian_entry"].append(
                {
                    "business_date": day, "entry_id": f"E{day:%m%d}{line:04d}", "entry_type": kind,
                    "direction": "C" if signed >= 0 else "D", "amount": abs(signed),
                    "currency_code": CNY,
                }
            )
        items = []
        if self._late:
            items.append(
                {
                    "business_date": day, "reference": f"CLR-{day:%m%d}", "side": "book_only",
                    "cause": "book_in_bank_not", "amount": self._late, "currency_code": CNY,
                    "first_date": day, "age_days": 0,
                }
            )
        return self._custodian, items

    # What the build would make of it ---------------------------------------------------------

    def _marts(self, day: date, moved: dict, custodian: Decimal, items: list[Row]) -> None:
        for merchant in MERCHANTS:
            m, account = moved[merchant], f"2201:{merchant}"
            fees = m["issuer_fee"] + m["network_fee"] + m["acquirer_fee"]
            self.rows["work.mart_settlement__merchant_day"].append(
                {
                    "business_date": day, "merchant_id": merchant, "merchant_name": "商户",
                    "region_code": "110000", "currency_code": CNY, "payment_count": 2,
                    "gross_amount": m["gross"], "refund_count": int(m["refund"] > 0),
                    "refund_amount": m["refund"], "issuer_fee_amount": m["issuer_fee"],
                    "network_fee_amount": m["network_fee"],
                    "acquirer_fee_amount": m["acquirer_fee"], "service_fee_amount": ZERO,
                    "disputed_amount": ZERO, "adjustment_amount": ZERO,
                    "net_amount": m["gross"] - m["refund"] - fees,
                    "opening_pending_amount": self._opening.get(account, ZERO),
                    "payout_amount": m["payout"],
                    "closing_pending_amount": self._balance[account],
                    "closing_disputed_amount": ZERO,
                    "due_date": day + timedelta(days=1),
                    "settlement_status": "paid" if m["payout"] else "due",
                    "other_amount": ZERO, **{f"{name}_amount": ZERO for name in OTHERS},
                }
            )
        pending = sum((self._balance[f"2201:{m}"] for m in MERCHANTS), ZERO)
        book = pending + self._balance["2301"]
        deposits = [leg for leg in self._legs if leg["account_code"] == "1001"]
        unarrived = sum((item["amount"] for item in items), ZERO)
        self.rows["work.mart_settlement__reserve_fund_item"] += items
        self.rows["work.mart_settlement__reserve_fund_day"].append(
            {
                "business_date": day, "currency_code": CNY, "user_balance_amount": ZERO,
                "merchant_pending_amount": pending, "merchant_disputed_amount": ZERO,
                "fee_pending_amount": self._balance["2301"], "unidentified_amount": ZERO,
                "merchant_balance_amount": ZERO, "prepaid_card_amount": ZERO,
                "exchange_difference_amount": ZERO, "currency_position_amount": ZERO,
                "fee_moved_amount": ZERO,
                "book_opening_amount": self._opening.get("1001", ZERO),
                "book_inflow_amount": _total(deposits, "D"),
                "book_outflow_amount": _total(deposits, "C"),
                "book_amount": book, "custodian_amount": custodian,
                "difference_amount": book - custodian, "unarrived_amount": unarrived,
                "unexplained_amount": book - custodian - unarrived, "item_count": len(items),
                "largest_age_days": 0 if items else None,
            }
        )
        refunds = [t for t in self._trade if t["transaction_type"] == "refund"]
        measures = {
            "business_date": day, "currency_code": CNY, "payment_amount": money(600),
            "payment_count": 6, "attempt_count": 9, "success_rate": round(6 / 9, 9),
            "refund_amount": sum((t["amount"] for t in refunds), ZERO),
            "refund_count": len(refunds), "fee_income_amount": money("1.20"),
            "active_merchant_count": 3, "active_terminal_count": 3,
        }
        keys: dict[str, Row] = {
            "institution": {},
            "region": {
                "region_code": "110000", "region_name_zh": "北京", "region_name_en": "Beijing"
            },
            "mcc": {"mcc": "5411", "mcc_name_zh": "超市", "mcc_name_en": "Grocery stores"},
            "payment_way": {"payment_way": "bank_card", "funding": "debit"},
        }
        for name, key in keys.items():
            self.rows[f"work.mart_kpi__{name}_day"].append({**measures, **key})

    def _profiles(self, day: date) -> None:
        seen = [t for t in self.rows["silver.transaction"] if t["transaction_type"] == "payment"]
        for entity in ("merchant", "terminal"):
            for key in sorted({t[f"{entity}_id"] for t in seen}):
                row: Row = {
                    "business_date": day, f"{entity}_id": key, "currency_code": CNY,
                    "last_active_date": day,
                }
                for window in (1, 7, 30):
                    part = [
                        t for t in seen
                        if t[f"{entity}_id"] == key and t["status"] == "success"
                        and t["business_date"] > day - timedelta(days=window)
                    ]
                    row |= {
                        f"payment_count_{window}d": len(part),
                        f"payment_amount_{window}d": sum((t["amount"] for t in part), ZERO),
                        f"refund_count_{window}d": 0, f"refund_amount_{window}d": ZERO,
                        f"failed_count_{window}d": 0, f"distinct_card_count_{window}d": 0,
                        f"night_share_rate_{window}d": 0.0,
                    }
                self.rows[f"work.{entity}_profile"].append(row)

    # Changing and writing --------------------------------------------------------------------

    def raise_success_rates(self) -> None:
        """Take the failed attempts out, so that the success rate is inside its band."""
        self.rows["silver.transaction"] = [
            t for t in self.rows["silver.transaction"] if t["status"] == "success"
        ]
        for name in ("institution", "region", "mcc", "payment_way"):
            for row in self.rows[f"work.mart_kpi__{name}_day"]:
                row |= {"attempt_count": 6, "success_rate": 1.0}

    def change(self, table: str, day: date, edit: Callable[[list[Row]], list[Row]]) -> None:
        """Replace the rows of one date by `edit` of them."""
        rows = self.rows[table]
        edited = edit([dict(r) for r in rows if r["business_date"] == day])
        self.rows[table] = [r for r in rows if r["business_date"] != day] + edited

    def write(self, settings: Settings, first: date | None = None, last: date | None = None):
        """Replace the dates first to last (all by default) of every table in the lake."""
        first, last = first or self.days[0], last or self.days[-1]
        lake = Lake(settings)
        for name, schema in schemas().items():
            layer, table = name.split(".")
            rows = [r for r in self.rows[name] if first <= r["business_date"] <= last]
            lake.ensure(layer, table, schema)
            full = [{c: row.get(c) for c in schema.names} for row in rows]
            lake.replace(layer, table, pa.Table.from_pylist(full, schema=schema), first, last)


def schemas() -> dict[str, pa.Schema]:
    """Schemas of the world's tables: contracts for silver and profiles, design.md for marts."""
    found = {
        name: contracts.load(name).arrow_schema
        for name in (
            "silver.transaction", "silver.ledger_entry", "silver.ledger_balance",
            "silver.ledger_head", "silver.custodian_entry", "work.merchant_profile",
            "work.terminal_profile",
        )
    }
    for table, feed in (("balance", "ledger_balance"), ("event", "ledger_event")):
        found[f"bronze.raw_ledger__{table}"] = contracts.load(feed).arrow_schema
    for table, columns in MARTS.items():
        found[f"work.{table}"] = contracts.arrow_schema([(c, _type(c)) for c in columns])
    return found


def good(days: int = 3) -> World:
    """A world in which every check passes."""
    world = World(days)
    world.raise_success_rates()
    return world


def _total(legs: list[Row], direction: str) -> Decimal:
    return sum((leg["amount"] for leg in legs if leg["direction"] == direction), ZERO)
