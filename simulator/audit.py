"""Was every planted problem caught, where the answer file says, and nothing else? Do totals agree?

Reads the answer file, so it belongs to the demo and the tests; no pipeline code imports it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from paylake import ops, release
from paylake.lake import Lake
from paylake.settings import Settings
from simulator.answers import answers_path

MALFORMED = {
    "missing_value", "bad_number", "bad_scale", "bad_date", "bad_enum", "wrong_column_count",
}  # fmt: skip


@dataclass(frozen=True)
class Caught:
    """One planted problem, or one finding that nothing planted explains (`planted` is empty)."""

    date: date
    planted: str
    caught: str
    where: str
    resolved: str
    ok: bool


@dataclass(frozen=True)
class Total:
    """One figure over all released dates, at each place that has it."""

    figure: str
    answer: Decimal
    found: dict[str, Decimal | None]

    @property
    def ok(self) -> bool:
        return bool(self.found) and all(value == self.answer for value in self.found.values())


def read_answers(settings: Settings) -> dict[str, Any] | None:
    """The answer file, None when it was removed."""
    path = answers_path(settings)
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def problems(settings: Settings) -> list[Caught]:
    """Each planted problem with where it was caught, then findings that were not planted."""
    answers = read_answers(settings)
    if answers is None:
        return []
    return _Audit(settings, answers).run()


class _Audit:
    def __init__(self, settings: Settings, answers: dict[str, Any]) -> None:
        self.settings = settings
        self.answers = answers
        self.lake = Lake(settings)
        self.through = release.in_force(settings).through
        # Every event: the refusal of a delivery stays, also when its name was accepted later.
        self.deliveries: dict[str, list[dict[str, Any]]] = {}
        for row in ops.rows(settings, "delivery"):
            self.deliveries.setdefault(row["delivery_id"], []).append(row)
        self.gates = ops.rows(settings, "gate_result", "result in ('fail', 'error')")
        self.quarantined = self._quarantined()
        self.items = self._rows(
            "gold.mart_settlement__reserve_fund_item",
            "select * from gold.mart_settlement__reserve_fund_item",
        )
        self.used: set[tuple[str, Any]] = set()

    def _rows(self, table: str, sql: str, parameters: Any = None) -> list[dict[str, Any]]:
        layer, name = table.split(".")
        return self.lake.query(sql, parameters).to_pylist() if self.lake.exists(layer, name) else []

    def _quarantined(self) -> dict[tuple[str, int], dict[str, Any]]:
        found = {}
        for table in self.lake.tables("quarantine"):
            for row in self._rows(
                f"quarantine.{table}",
                f"select business_date, rule_code, _delivery_id, _line_number "
                f"from quarantine.{table}",
            ):
                found[row["_delivery_id"], row["_line_number"]] = row
        return found

    def run(self) -> list[Caught]:
        rows = []
        for problem in self.answers["problems"]:
            day = date.fromisoformat(problem["date"])
            check = self._check_of(problem["kind"])
            caught, where, resolved, ok = check(problem, day)
            rows.append(Caught(day, problem["kind"], caught, where, resolved, ok))
        return [*rows, *self._unplanted()]

    def _check_of(self, kind: str) -> Callable[..., tuple[str, str, str, bool]]:
        if kind in MALFORMED:
            return self._malformed
        return {
            "late_row": self._late_row,
            "new_column": self._new_column,
            "dispute": self._dispute,
            "held": self._held,
            "waived": self._waived,
            "clearing_late": self._reserve_item,
            "payout_late": self._reserve_item,
            "receipt_booked_later": self._reserve_item,
            "receipt_unknown": self._reserve_item,
        }.get(kind, self._delivery)

    def _malformed(self, problem: dict[str, Any], day: date) -> tuple[str, str, str, bool]:
        place = problem["where"]
        key = (place["delivery_id"], place["line_number"])
        row = self.quarantined.get(key)
        self.used.add(("row", key))
        rule = row["rule_code"] if row else "not caught"
        where = f"quarantine, {key[0]} line {key[1]}"
        replay = problem["resolution"]["how"] == "replay"
        return rule, where, "replayed" if replay else "stays open", (
            rule == problem["expected"]["rule_code"]
        )

    def _delivery(self, problem: dict[str, Any], day: date) -> tuple[str, str, str, bool]:
        delivery = problem["where"]["delivery_id"]
        self.used.add(("delivery", delivery))
        expected = problem["expected"]
        states = {
            (row["state"].removesuffix("_duplicate"), row["reason_code"])
            for row in self.deliveries.get(delivery, [])
        }
        ok = (expected["state"], expected["reason_code"]) in states
        again = problem["resolution"].get("delivery_id")
        if again:
            ok = ok and self._accepted(again)
        resolved = f"sent again as {again}" if again else "nothing to do"
        caught = "; ".join(f"{state}: {reason}" for state, reason in sorted(states, key=str))
        return caught or "not seen", f"delivery {delivery}", resolved, ok

    def _accepted(self, delivery: str) -> bool:
        return any(row["state"] == "accepted" for row in self.deliveries.get(delivery, []))

    def _late_row(self, problem: dict[str, Any], day: date) -> tuple[str, str, str, bool]:
        key = problem["where"]["transaction_id"]
        rows = self._rows(
            "silver.transaction",
            "select adjusts_date from silver.transaction where transaction_id = ?",
            [key],
        )
        found = str(rows[0]["adjusts_date"]) if rows else "not found"
        ok = found == problem["expected"]["adjusts_date"]
        return f"adjusts {found}", f"silver.transaction {key}", "counts as an adjustment", ok

    def _new_column(self, problem: dict[str, Any], day: date) -> tuple[str, str, str, bool]:
        delivery = problem["where"]["delivery_id"]
        named = [
            name
            for row in self.deliveries.get(delivery, [])[-1:]
            for name in json.loads(row["unclassed_columns"] or "[]")
        ]
        ok = named == problem["expected"]["unclassed_columns"]
        return f"unclassed {', '.join(named)}", f"delivery {delivery}", "kept sealed, not shown", ok

    def _dispute(self, problem: dict[str, Any], day: date) -> tuple[str, str, str, bool]:
        merchant = problem["where"]["merchant_id"]
        rows = self._rows(
            "gold.mart_settlement__merchant_day",
            "select disputed_amount, settlement_status from gold.mart_settlement__merchant_day "
            "where merchant_id = ? and business_date = ?",
            [merchant, day],
        )
        amount = rows[0]["disputed_amount"] if rows else None
        ok = amount == Decimal(problem["amounts"]["disputed_amount"])
        ok = ok and rows[0]["settlement_status"] == problem["expected"]["settlement_status"]
        shown = f"{amount:,.2f} held back" if amount is not None else "not found"
        return shown, f"settlement mart, {merchant}", "stays open", ok

    def _reserve_item(self, problem: dict[str, Any], day: date) -> tuple[str, str, str, bool]:
        reference = problem["where"]["reference"]
        self.used.add(("item", reference))
        rows = [r for r in self.items if r["reference"] == reference]
        first = [r for r in rows if r["business_date"] == day]
        if not first:
            return "not listed", f"reserve mart, {reference}", "", False
        ok = first[0]["cause"] == problem["expected"]["cause"]
        ok = ok and first[0]["amount"] == Decimal(problem["amounts"]["amount"])
        end = problem["resolution"].get("business_date")
        last = max(r["business_date"] for r in rows)
        gone = last < date.fromisoformat(end) if end else last == self.through
        ok = ok and gone
        resolved = f"arrived {end}" if end else "stays open"
        return first[0]["cause"], f"reserve mart, {reference}", resolved, ok

    def _failed(self, day: date) -> list[str]:
        return sorted(
            {
                row["check_code"]
                for row in self.gates
                if row["business_date"] == day and row["severity"] == "fail"
            }
        )

    def _released(self, day: date) -> bool:
        return self.through is not None and day <= self.through

    def _held(self, problem: dict[str, Any], day: date) -> tuple[str, str, str, bool]:
        failed = self._failed(day)
        self.used.add(("gate", day))
        resolved = f"cleared by {problem['resolution']['delivery_id']}"
        ok = any(check.startswith("tie_") for check in failed) and self._released(day)
        return ", ".join(failed) or "not held", f"gate of {day}", resolved, ok

    def _waived(self, problem: dict[str, Any], day: date) -> tuple[str, str, str, bool]:
        failed = self._failed(day)
        self.used.add(("gate", day))
        waivers = ops.rows(self.settings, "waiver", "business_date = $day", {"day": day})
        ok = failed == [problem["expected"]["check_code"]] and self._released(day)
        ok = ok and len({w["check_code"] for w in waivers}) == 1
        person = waivers[-1]["person"] if waivers else "nobody"
        return ", ".join(failed) or "not held", f"gate of {day}", f"waived by {person}", ok

    def _unplanted(self) -> list[Caught]:
        extra = []
        for (delivery, line), row in self.quarantined.items():
            if ("row", (delivery, line)) not in self.used:
                where = f"quarantine, {delivery} line {line}"
                extra.append(Caught(row["business_date"], "", row["rule_code"], where, "", False))
        for delivery, rows in self.deliveries.items():
            for row in rows:
                if row["state"] not in ("refused", "ignored_duplicate"):
                    continue
                if ("delivery", delivery) in self.used:
                    continue
                found = f"{row['state']}: {row['reason_code']}"
                extra.append(Caught(row["business_date"], "", found, delivery, "", False))
        for reference in {r["reference"] for r in self.items}:
            if ("item", reference) not in self.used:
                first = min(r["business_date"] for r in self.items if r["reference"] == reference)
                extra.append(Caught(first, "", "reserve item", reference, "", False))
        for row in self.gates:
            if row["severity"] == "fail" and ("gate", row["business_date"]) not in self.used:
                extra.append(
                    Caught(row["business_date"], "", row["check_code"], "gate", "", False)
                )
        return extra


def totals(settings: Settings) -> list[Total]:
    """Each figure of the answer file beside ledger books, silver plus open items, and marts."""
    answers = read_answers(settings)
    through = release.in_force(settings).through
    if answers is None or through is None:
        return []
    days = {d: a for d, a in answers["dates"].items() if date.fromisoformat(d) <= through}
    lake = Lake(settings)
    ledger = lake.query(
        """
        select
            sum(case when component = 'gross' and journal_type = 'payment' then amount end)
                filter (where account_code = '2201' and direction = 'C') as payment_amount,
            sum(case when component = 'gross' and journal_type = 'refund' then amount end)
                filter (where account_code = '2201' and direction = 'D') as refund_amount,
            sum(case when direction = 'D' then amount else -amount end)
                filter (where account_code = '2201' and component = 'issuer_fee')
                as issuer_fee_amount,
            sum(case when direction = 'D' then amount else -amount end)
                filter (where account_code = '2201' and component = 'network_fee')
                as network_fee_amount,
            sum(case when direction = 'D' then amount else -amount end)
                filter (where account_code = '2201' and component = 'acquirer_fee')
                as acquirer_fee_amount,
            sum(case when direction = 'D' then amount else -amount end)
                filter (where account_code = '2201' and component = 'payout') as payout_amount
        from silver.ledger_entry
        where business_date <= ?
        """,
        [through],
    ).to_pylist()[0]
    with release.reader(settings) as reader:
        settlement = reader.query(
            """
            select sum(gross_amount) as payment_amount, sum(refund_amount) as refund_amount,
                sum(issuer_fee_amount) as issuer_fee_amount,
                sum(network_fee_amount) as network_fee_amount,
                sum(acquirer_fee_amount) as acquirer_fee_amount,
                sum(payout_amount) as payout_amount
            from mart_settlement__merchant_day
            """
        ).to_pylist()[0]
        kpi = reader.query(
            "select sum(payment_amount) as payment_amount, sum(refund_amount) as refund_amount, "
            "sum(fee_income_amount) as fee_income_amount from mart_kpi__institution_day"
        ).to_pylist()[0]
        open_items = reader.query(
            """
            select sum(case when side = 'ledger_only' then ledger_amount else 0 end) as amount
            from fct_tie_item where business_date = ?
            """,
            [through],
        ).to_pylist()[0]["amount"] or Decimal(0)

    def answer(figure: str) -> Decimal:
        if figure in ("payment_amount", "refund_amount"):
            kind = figure.removesuffix("_amount")
            return sum((Decimal(a["ledger"]["journals"][kind]["amount"]) for a in days.values()),
                       Decimal(0))
        return sum((Decimal(a["ledger"][figure]) for a in days.values()), Decimal(0))

    rows = []
    for figure in ledger:
        # No leg of a kind in the whole period: the books' sum of it is zero, as in the answers.
        found = {"ledger": ledger[figure] or Decimal(0), "settlement mart": settlement[figure]}
        rows.append(Total(figure, answer(figure), found))
    rows[0].found["transactions + open items"] = kpi["payment_amount"] + open_items
    rows[1].found["transactions"] = kpi["refund_amount"]
    income = {"KPI mart": kpi["fee_income_amount"]}
    rows.append(Total("fee_income_amount", answer("fee_income_amount"), income))
    return rows
