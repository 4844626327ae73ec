"""The presentation views: figures equal the gold tables, rows follow the scope, gaps are said."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from dashboards import views
from dashboards.views import checks, expressions, operations, required
from paylake.settings import Settings

LAST = "2026-10-11"


def reader(settings: Settings, name: str = "", **variables: Any) -> duckdb.DuckDBPyConnection:
    current = name or settings.path("serving", "CURRENT").read_text().strip()
    connection = duckdb.connect(str(settings.path("serving", f"{current}.duckdb")), read_only=True)
    values = {
        "as_of": "2026-10-12 00:00:00", "due_date": date(2026, 10, 11),
        "date_ends": timedelta(hours=15), **variables,
    }
    for key, value in values.items():
        connection.execute(f"set variable {key} = $1", [value])
    return connection


def test_every_view_can_be_made_over_nothing() -> None:
    for definitions in (views.view_definitions({}), views.ops_view_definitions({})):
        connection = duckdb.connect()
        for name, sql in definitions:
            connection.execute(f'create view "{name}" as {sql}')
            connection.execute(f'select * from "{name}"').fetchall()
        assert len(definitions) > 20


@pytest.mark.parametrize("language", expressions.LANGUAGES)
def test_figures_equal_the_gold_table(full_home: Settings, language: str) -> None:
    connection = reader(full_home, scope_all=True)
    gold = connection.execute(
        "select payment_amount, payment_count, success_rate, fee_income_amount,"
        " active_merchant_count from mart_kpi__institution_day where business_date = ?",
        [date(2026, 10, 11)],
    ).fetchone()
    shown = connection.execute(
        f"select value, figure_card from overview_card_{language} where day = ?"
        " order by figure_order",
        [LAST],
    ).fetchall()
    assert [round(value, 6) for value, _ in shown] == [round(float(v), 6) for v in gold]
    assert f"{gold[0]:,.2f}" in shown[0][1]  # to the cent on hover
    trend = connection.execute(
        f"select sum(payment_amount) from overview_trend_{language} where day = ?"
        " and point_date = ?",
        [LAST, date(2026, 10, 11)],
    ).fetchone()
    assert trend == (gold[0],)


def test_the_waterfall_adds_up_to_the_net(full_home: Settings) -> None:
    connection = reader(full_home, scope_all=True)
    for day, net in connection.execute(
        "select business_date, sum(net_amount) from mart_settlement__merchant_day group by 1"
    ).fetchall():
        steps = connection.execute(
            "select sum(amount) from settlement_step_zh where business_date = ?", [day]
        ).fetchone()
        assert steps == (net,)
    others = connection.execute(
        "select count(*), sum(amount) from settlement_step_zh where step_name = '⑧其他'"
    ).fetchone()
    mart = connection.execute(
        "select count(*), sum(further_amount) from settlement_merchant_zh where further_amount <> 0"
    ).fetchone()
    assert others == mart and others[0] > 0 and others[1] == -others[0] * Decimal("1.50")


def test_views_conserve_the_money_of_the_mart(full_home: Settings) -> None:
    connection = reader(full_home, scope_all=True)
    for column in ("gross_amount", "net_amount", "payout_amount", "closing_pending_amount"):
        mart, view = (
            connection.execute(f"select sum({column}) from {table}").fetchone()
            for table in ("mart_settlement__merchant_day", "settlement_merchant_zh")
        )
        assert mart == view and isinstance(mart[0], Decimal)


def test_no_scope_means_no_rows(full_home: Settings) -> None:
    connection = reader(full_home)
    for name in ("settlement_merchant_zh", "settlement_trend_en", "overview_card_zh",
                 "overview_region_zh", "reserve_item_en", "settlement_step_zh"):  # fmt: skip
        assert connection.execute(f"select count(*) from {name}").fetchone() == (0,)


def test_a_regional_reader_sees_his_regions_and_no_institution_totals(full_home: Settings) -> None:
    connection = reader(full_home, scope_region=["440000"])
    regions = connection.execute(
        "select distinct region_code from settlement_merchant_zh"
    ).fetchall()
    assert regions == [("440000",)]
    expected = connection.execute(
        "select sum(gross_amount) from mart_settlement__merchant_day where region_code = '440000'"
    ).fetchone()
    assert (
        connection.execute("select sum(gross_amount) from settlement_merchant_en").fetchone()
        == expected
    )
    assert connection.execute("select count(*) from overview_card_zh").fetchone() == (0,)


def test_a_home_without_ledger_says_so_and_shows_no_zero(mapped_home: Settings) -> None:
    connection = reader(mapped_home, scope_all=True)
    cards = dict(
        connection.execute(
            "select figure, figure_card from overview_card_zh where day = ?", [LAST]
        ).fetchall()
    )
    for figure in ("fee_income_amount", "active_merchant_count"):
        assert ">—<" in cards[figure] and "来源没有提供" in cards[figure]
    reserve = connection.execute(
        "select value, figure_card from reserve_card_en where day = ?", [LAST]
    ).fetchall()
    assert len(reserve) == 4
    assert all(value is None and "not supplied" in card for value, card in reserve)


def test_the_state_line_turns_late(full_home: Settings) -> None:
    on_time = reader(full_home, scope_all=True)
    late = reader(full_home, scope_all=True, due_date=date(2026, 10, 13))
    query = "select is_late, state_line from screen_state_zh"
    assert on_time.execute(query).fetchone()[0] is False
    is_late, line = late.execute(query).fetchone()
    assert is_late is True and "晚 2 天" in line and "pl-late" in line


def test_a_reader_without_a_region_is_told_why_tables_are_empty(full_home: Settings) -> None:
    query = "select state_line from screen_state_zh"
    for variables, told in (
        ({}, True),
        ({"scope_region": []}, True),
        ({"scope_region": ["440000"]}, False),
        ({"scope_all": True}, False),
    ):
        line = reader(full_home, **variables).execute(query).fetchone()[0]
        assert ("没有对您开放的地区" in line) is told


def test_a_held_date_is_the_first_open_matter(held_home: Settings) -> None:
    connection = reader(held_home, "ops", scope_all=True)
    lines = connection.execute("select matter, detail from open_now_zh order by line_order")
    matters = lines.fetchall()
    assert "10-11" in matters[0][0]
    assert "期末待结算与账务相符：300 项中 3 项不等，应逐项相等" in matters[0][1]
    assert any("任务失败 · 发布" in matter and "期末待结算" in said for matter, said in matters)
    stages = dict(connection.execute("select day, stage_name from ops_date_en").fetchall())
    assert stages[LAST] == "Held by the gate" and stages["2026-10-10"] == "Released"


def _words(text: str) -> str:
    return re.sub(r"<[^>]*>", " ", text)


@pytest.mark.parametrize("kind", ["full_home", "held_home"])
def test_chinese_screens_show_no_codes_and_no_english(
    request: pytest.FixtureRequest, kind: str
) -> None:
    connection = reader(request.getfixturevalue(kind), "ops", scope_all=True)
    shown = 0
    for view, columns in {
        "open_now_zh": ("matter", "detail"),
        "open_brief_zh": ("matter", "detail"),
        "ops_check_zh": ("check_label", "result_name", "observed", "expected", "waivable_name"),
        "ops_item_zh": ("kind_name", "class_name"),
        "ops_step_zh": ("step_name", "result_name"),
        "ops_date_zh": ("stage_name", "held_by"),
        "ops_quarantine_zh": ("feed_name", "rule_name", "state_name"),
    }.items():
        for row in connection.execute(f"select {', '.join(columns)} from {view}").fetchall():
            for text in row:
                shown += 1
                words = set(re.findall(r"[A-Za-z_]{3,}", _words(text))) - {"backup_card"}
                assert not words, (view, text)
    assert shown > 500


def test_internal_steps_are_not_shown(full_home: Settings) -> None:
    connection = reader(full_home, "ops", scope_all=True)
    names = {row[0] for row in connection.execute("select step_name from ops_step_en").fetchall()}
    assert names == {"Ingest", "Build", "Gate", "Publish", "Report files"}


def test_items_show_business_key_and_merchant(full_home: Settings) -> None:
    connection = reader(full_home, "ops", scope_all=True)
    query = "select item_name, merchant_id, class_name from ops_item_zh"
    assert connection.execute(query).fetchall() == [("T1", "M000007", "在隔离区")]


def test_a_corrected_row_is_no_longer_open_and_ages_are_up_to_the_due_date(
    full_home: Settings,
) -> None:
    connection = reader(full_home, "ops", scope_all=True)
    query = "select count(*), count(*) filter (where is_open) from ops_quarantine_zh"
    total, still_open = connection.execute(query).fetchone()
    assert still_open == total - 1 > 10
    ages = "select distinct business_date + age_days::integer from ops_quarantine_en"
    assert connection.execute(ages).fetchall() == [(date(2026, 10, 11),)]


def test_the_short_list_says_how_many_more_there_are(held_home: Settings) -> None:
    connection = reader(held_home, "ops", scope_all=True)
    brief = connection.execute("select matter from open_brief_zh order by line_order").fetchall()
    total = connection.execute("select count(*) from open_now_zh").fetchone()[0]
    assert len(brief) <= operations.BRIEF
    if total > operations.BRIEF:
        assert f"还有 {total - operations.BRIEF + 1} 项" in brief[-1][0]
    else:
        assert len(brief) == total


def test_a_failed_task_is_over_once_its_date_went_out(
    full_home: Settings, held_home: Settings
) -> None:
    query = "select count(*) from open_now_en where matter like '%Task failed%'"
    for home, expected in ((full_home, 0), (held_home, 1)):
        assert reader(home, "ops", scope_all=True).execute(query).fetchone() == (expected,)


def test_every_kind_of_check_is_told_in_words() -> None:
    numbers = "compared_count, differing_count, observed_value, lower_bound, upper_bound"
    given = [
        ("fail", "between", 1, 1, "5", None, "3", "5", "不高于 3"),
        ("fail", "between", 1, 1, "0.7", "0.85", None, "0.7", "不低于 0.85"),
        ("pass", "unique", 20, 0, None, None, None, "20 行，全部符合", "每个键只有一行"),
        ("fail", "in_set", 20, 2, None, None, None, "20 行中 2 行不符", "都在值表内"),
        ("fail", "none", 48, 48, None, None, None, "48 项", "没有此类项"),
        ("pass", "none", 0, 0, None, None, None, "没有", "没有此类项"),
        ("fail", "rows_present", 0, 0, None, None, None, "0 行", "至少一行"),
        ("fail", "reconcile", None, None, None, None, None, "表没有建成", "逐项相等，容差 0.00"),
        ("error", "reconcile", None, None, None, None, None, "没有跑成", "逐项相等，容差 0.00"),
    ]
    for result, kind, compared, differing, value, low, high, observed, expected in given:
        sql = (
            f"select {checks.observed('zh')}, {checks.expected('zh')} from (select ? as result,"
            " ? as check_kind, ?::bigint, ?::bigint, ?::decimal(38,9), ?::decimal(38,9),"
            f" ?::decimal(38,9)) as t(result, check_kind, {numbers})"
        )
        row = duckdb.execute(sql, [result, kind, compared, differing, value, low, high]).fetchone()
        assert row == (observed, expected)


def test_nothing_open_is_one_calm_line() -> None:
    connection = duckdb.connect()
    for name, sql in views.ops_view_definitions({}):
        connection.execute(f'create view "{name}" as {sql}')
    connection.execute("set variable scope_all = true")
    assert [row[1] for row in connection.execute("from open_now_zh").fetchall()] == [
        '<span class="pl-line"><span class="pl-calm">●</span> 无：没有未结事项</span>'
    ]


@pytest.mark.parametrize(("currency", "amount", "shown"), [
    ("CNY", "1234.5", "¥1,234.50"), ("JPY", "-1205", "−JPY 1,205"), ("KWD", "0.996", "KWD 0.996"),
    ("CLF", "1.2345", "CLF 1.2345"), ("XXX", "1", "XXX 1.00"), ("KWD", None, None),
])
def test_an_exact_amount_has_the_decimals_of_its_currency(currency, amount, shown) -> None:
    row = "select ?::decimal(18,4) as x, ? as currency_code"
    query = f"select {expressions.exact('x')} from ({row})"
    assert duckdb.execute(query, [amount, currency]).fetchone() == (shown,)


@pytest.mark.parametrize(
    ("amount", "zh", "en"),
    [
        ("0", "¥0.00", "¥0.00"),
        ("9999.99", "¥9,999.99", "¥10.00K"),
        ("12345.67", "¥1.23 万", "¥12.35K"),
        ("-12345.67", "−¥1.23 万", "−¥12.35K"),
        ("123456789.01", "¥1.23 亿", "¥123.46M"),
    ],
)
def test_money_has_its_unit(amount: str, zh: str, en: str) -> None:
    for language, text in (("zh", zh), ("en", en)):
        sql = expressions.money("x", language)
        got = duckdb.execute(
            f"select {sql} from (select {amount}::decimal(18,4) as x, 'CNY' as currency_code)"
        ).fetchone()
        assert got == (text,)


def test_a_change_has_arrow_and_sign_and_null_stays_null() -> None:
    query = f"select {expressions.change('a', 'b')} from (select ? as a, ? as b)"
    assert duckdb.execute(query, [103.0, 100.0]).fetchone() == ("▲ +3.0%",)
    assert duckdb.execute(query, [97.0, 100.0]).fetchone() == ("▼ −3.0%",)
    assert duckdb.execute(query, [5.0, 0.0]).fetchone() == (None,)
    assert duckdb.execute(query, [5.0, None]).fetchone() == (None,)


def test_holidays_and_make_up_days_are_marked() -> None:
    query = f"select {expressions.day_label('d', 'zh')} from (select ?::date as d)"
    assert duckdb.execute(query, ["2026-10-01"]).fetchone() == ("10-01 周四·休",)
    assert duckdb.execute(query, ["2026-10-10"]).fetchone() == ("10-10 周六·班",)
    assert duckdb.execute(query, ["2026-09-12"]).fetchone() == ("09-12 周六",)


def test_a_hostile_merchant_name_cannot_leave_its_link() -> None:
    name = "x'\"><img src=x onerror=alert(1)>&!)"
    sql = expressions.link("merchant", "zh", "name", merchant="name")
    (made,) = duckdb.execute(f"select {sql} from (select ? as name)", [name]).fetchone()
    assert "<img" not in made and made.count("<a ") == 1 and made.count("</a>") == 1
    href = made.split('href="')[1].split('"')[0]
    assert "<" not in href and "'\"" not in href


def test_declared_ops_columns_come_from_the_contracts() -> None:
    assert {"is_waivable", "owner", "recorded_at"} <= set(required.ops()["gate_result"])
