"""Settlement screens where trade is not even: quiet dates, new names, no name, dollars."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from dashboards import views
from dashboards.source.charts import CHARTS, HTML_COLUMNS
from dashboards.source.labels import METRICS
from dashboards.views import required
from tests.dashboards.serving_fixture import _store

TABLE = "mart_settlement__merchant_day"
FIRST = date(2026, 9, 12)


def row(day: int, merchant: str, amount: str, **more: Any) -> dict[str, Any]:
    """A merchant's date, `day` after the first; the amount is gross, net and paid out."""
    money = {name: Decimal(0) for name, kind in required.GOLD[TABLE].items() if "decimal" in kind}
    worth = dict.fromkeys(("gross_amount", "net_amount", "payout_amount"), Decimal(amount))
    return {
        **money, **worth, "business_date": FIRST + timedelta(days=day), "merchant_id": merchant,
        "merchant_name": f"{merchant} 店", "region_code": "440000", "mcc": "5812",
        "currency_code": "CNY", "payment_count": 1, "refund_count": 0,
        "settlement_status": "paid", **more,
    }  # fmt: skip


def opened(rows: list[dict[str, Any]], **variables: Any) -> duckdb.DuckDBPyConnection:
    """The views over these rows, for a reader who sees all unless the variables say otherwise."""
    connection = duckdb.connect()
    _store(connection, TABLE, required.GOLD[TABLE], rows)
    for name, sql in views.view_definitions({TABLE: tuple(required.GOLD[TABLE])}):
        connection.execute(f'create view "{name}" as {sql}')
    for name, value in (variables or {"scope_all": True}).items():
        connection.execute(f"set variable {name} = $1", [value])
    return connection


def curve(connection: duckdb.DuckDBPyConnection, day: int, merchant: str) -> list[tuple[int, int]]:
    """The points of a merchant's curve on the screen of a date: day after the first, gross."""
    found = connection.execute(
        "select point_date, gross_amount from settlement_trend_zh"
        " where business_date = ? and merchant = ? order by 1",
        [FIRST + timedelta(days=day), merchant],
    ).fetchall()
    return [((point - FIRST).days, int(gross)) for point, gross in found]


def test_a_quiet_date_is_a_point_of_zero_so_that_seven_points_are_a_week() -> None:
    everybody = [row(n, "M1", "1") for n in range(9)]
    connection = opened([*everybody, row(1, "M2", "10"), row(3, "M2", "30"), row(8, "M2", "80")])
    expected = [(1, 10), (2, 0), (3, 30), (4, 0), (5, 0), (6, 0), (7, 0), (8, 80)]
    assert curve(connection, 8, "M2 店 M2") == expected
    # The last point is what the big figure shows: that of the date, and not of the last trade.
    assert curve(connection, 5, "M2 店 M2") == [(1, 10), (2, 0), (3, 30), (4, 0), (5, 0)]
    total = connection.execute(
        "select sum(gross_amount) from settlement_trend_zh where business_date = ?",
        [FIRST + timedelta(days=8)],
    ).fetchone()
    assert total == (Decimal(9 + 120),)


def test_a_new_name_does_not_part_the_merchants_history() -> None:
    connection = opened([row(0, "M1", "5"), row(1, "M1", "7", merchant_name="新店")])
    offered = connection.execute("select merchant from screen_merchant_zh").fetchall()
    assert offered == [("新店 M1",)]
    assert curve(connection, 1, "新店 M1") == [(0, 5), (1, 7)]
    # A statement keeps the name that it was made with.
    assert connection.execute(
        "select merchant_name from settlement_merchant_zh order by business_date"
    ).fetchall() == [("M1 店",), ("新店",)]


@pytest.mark.parametrize("view", ["settlement_merchant", "settlement_trend", "settlement_step"])
def test_a_merchant_whom_the_registry_does_not_know_goes_by_its_number(view: str) -> None:
    nobody = {"merchant_name": None, "region_code": None, "mcc": None}
    connection = opened([row(0, "M1", "5"), row(0, "M9", "7", **nobody)])
    found = connection.execute(f"select distinct merchant from {view}_zh order by 1").fetchall()
    assert found == [("M1 店 M1",), ("M9",)]
    links = connection.execute(
        "select merchant_link from settlement_merchant_en where merchant_id = 'M9'"
    ).fetchall()
    assert links == [
        ('<a href="/paylake/go/merchant-en/?day=2026-09-12&merchant=M9">M9</a>',)
    ]
    regional = opened([row(0, "M1", "5"), row(0, "M9", "7", **nobody)], scope_region=["440000"])
    assert regional.execute(f"select distinct merchant from {view}_zh").fetchall() == [
        ("M1 店 M1",)
    ]


@pytest.mark.parametrize("dataset", ["settlement_trend", "settlement_step", "settlement_merchant"])
@pytest.mark.parametrize("index", [0, 1])
def test_no_figure_adds_yuan_and_dollars(dataset: str, index: int) -> None:
    yuan, dollars = row(0, "M1", "100"), row(0, "M1", "3", currency_code="USD")
    shown = {}
    for name, rows in (("yuan", [yuan]), ("both", [yuan, dollars])):
        connection = opened(rows)
        for metric, parts in METRICS[dataset].items():
            sql = f"select {parts[index]} from {dataset}_zh"
            shown[name, metric] = connection.execute(sql).fetchone()
    for metric in METRICS[dataset]:
        assert shown["yuan", metric] == shown["both", metric], metric


def test_a_row_of_another_currency_names_it() -> None:
    connection = opened([row(0, "M1", "100"), row(0, "M1", "3", currency_code="USD")])
    found = connection.execute(
        "select day_name, merchant_link from settlement_merchant_zh order by gross_amount"
    ).fetchall()
    assert [" · USD" in text for line in found for text in line] == [True, True, False, False]


def test_only_what_the_views_wrote_as_html_is_drawn_as_html() -> None:
    tables = [chart for chart in CHARTS if chart.params.get("query_mode") == "raw"]
    assert len(tables) > 15
    for chart in tables:
        written = HTML_COLUMNS.intersection(chart.params["all_columns"])
        assert chart.params["allow_render_html"] is bool(written), chart.key
    plain = {chart.key for chart in tables if not chart.params["allow_render_html"]}
    # Values of outside files: references, keys of refused rows, names of columns.
    assert {"reserve_items", "quarantine_rows", "deliveries", "items"} <= plain
