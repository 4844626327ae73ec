"""What `mapped` says at its end: payments of each currency, the same at every layer."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from cli import mapped
from paylake import release, settings
from paylake.lake import Lake

DAY = date(2026, 9, 12)


def row(layer: str, rows: int, amount: str, currency: str | None = "CNY") -> dict:
    return {"layer": layer, "currency": currency, "rows": rows, "amount": Decimal(amount)}


@pytest.mark.parametrize(
    ("totals", "shown", "expected"),
    [
        ([row("bronze", 2, "5"), row("silver", 2, "5.00")], [row("chart", 2, "5")], True),
        ([row("bronze", 2, "5"), row("silver", 2, "5.01")], [], False),
        ([row("bronze", 2, "5"), row("silver", 0, "0", None)], [], False),
        ([row("bronze", 2, "5"), row("silver", 2, "5")], [row("chart", 1, "5")], False),
        # Yuan and dollars: the chart has the yuan.
        ([row("bronze", 2, "5"), row("bronze", 1, "9", "USD"), row("silver", 2, "5"),
          row("silver", 1, "9", "USD")], [row("chart", 2, "5")], True),
        ([row("bronze", 2, "5"), row("bronze", 1, "9", "USD"), row("silver", 2, "5")], [], False),
        # No yuan at all: the chart is empty.
        ([row("bronze", 1, "9", "USD")], [row("chart", 0, "0")], True),
    ],
)  # fmt: skip
def test_layers_agree_by_currency(totals: list, shown: list, expected: bool) -> None:
    assert mapped.agree(totals, shown) is expected


def test_failed_payments_and_refunds_are_no_payments(tmp_path, monkeypatch) -> None:
    """As in the KPI mart; a payment without a terminal is in no terminal profile."""
    here = settings.load({}, home=tmp_path)
    lake = Lake(here)
    money = pa.decimal128(18, 4)
    kinds = [("payment", "success", "T1"), ("payment", "failed", "T1"),
             ("refund", "success", "T1"), ("payment", "success", None)]  # fmt: skip
    for layer, table, kind in (
        ("bronze", "raw_switch__transaction", pa.string()), ("silver", "transaction", money),
    ):  # fmt: skip
        schema = pa.schema([
            ("business_date", pa.date32()), ("transaction_type", pa.string()),
            ("status", pa.string()), ("terminal_id", pa.string()), ("amount", kind),
            ("currency_code", pa.string()),
        ])  # fmt: skip
        rows = [
            {"business_date": DAY, "transaction_type": name, "status": status,
             "terminal_id": terminal, "amount": "7.00" if layer == "bronze" else Decimal("7.00"),
             "currency_code": "CNY"}
            for name, status, terminal in kinds
        ]  # fmt: skip
        lake.ensure(layer, table, schema)
        lake.append(layer, table, pa.Table.from_pylist(rows, schema))

    class Reader:
        release_id = "R000001"

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def query(self, sql, values):
            return pa.Table.from_pylist(
                [{"currency": "CNY", "rows": Decimal(2), "amount": Decimal("14.0000")}]
            )

    monkeypatch.setattr(release, "reader", lambda _: Reader())
    totals = mapped.layer_totals(here, DAY, DAY)
    assert [(t["layer"].split(",")[0], t["rows"], t["amount"]) for t in totals] == [
        (name, 2, Decimal("14.0000")) for name in ("bronze", "silver", "KPI mart")
    ]
    assert mapped.agree(totals, [])
