"""The project on the embedded engine: known answers, ranges and days, failures."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from paylake import dbt_project, dbt_runner, engine
from paylake.dates import date_range
from paylake.errors import PermanentFailure
from paylake.lake import Lake
from tests.dbt import world
from tests.dbt.conftest import Built, new_home

pytestmark = pytest.mark.engine
STORED = [name for name, model in dbt_project.models().items() if model.stored]


def digests(lake: Lake) -> dict[str, dict[date, str]]:
    return {name: lake.digests("work", name, world.FIRST, world.LAST) for name in STORED}


@pytest.mark.long
def test_a_range_gives_the_same_as_its_days(built: Built) -> None:
    before = digests(built.lake)
    assert all(before.values())
    for day in date_range(world.FIRST, world.LAST):
        dbt_runner.run(built.settings, built.spark.paylake_remote, day, day)
    assert digests(built.lake) == before


def test_a_date_in_the_middle_can_be_built_again(built: Built) -> None:
    before = digests(built.lake)
    first = world.FIRST + timedelta(days=4)
    result = dbt_runner.run(
        built.settings, built.spark.paylake_remote, first, first + timedelta(days=3)
    )
    assert sorted(result.models) == sorted(STORED)
    assert digests(built.lake) == before


def test_unit_and_data_tests_pass(built: Built) -> None:
    result = dbt_runner.test(built.settings, built.spark.paylake_remote, world.FIRST, world.LAST)
    kinds = [node.kind for node in result.nodes]
    assert kinds.count("unit_test") >= len(dbt_project.models())
    assert kinds.count("test") >= 40
    assert {node.status for node in result.nodes} == {"pass"}


def test_reserve_differences_have_their_items(built: Built) -> None:
    days = built.rows("select * from work.mart_settlement__reserve_fund_day order by business_date")
    assert len(days) == 12
    assert {row["unexplained_amount"] for row in days} == {Decimal(0)}
    assert all(row["difference_amount"] == row["unarrived_amount"] for row in days)
    items = built.rows(
        """
        select business_date, reference, cause, amount, age_days
        from work.mart_settlement__reserve_fund_item
        where reference not like 'CLR%' order by 1, 2
        """
    )
    assert [(r["business_date"].day, r["reference"], r["cause"], r["age_days"]) for r in items] == [
        (25, "U-1", "bank_in_book_not", 0),
        (26, "U-1", "bank_in_book_not", 1),
        (26, "W-M1", "book_out_bank_not", 0),
        (27, "U-1", "bank_in_book_not", 2),
    ]


def test_each_missing_transaction_has_one_class(built: Built) -> None:
    rows = built.rows("select * from work.fct_tie_item order by business_date, business_key")
    found: dict[str, list[tuple[int, str, bool]]] = {}
    for row in rows:
        closed = row["closed_by_date"] is not None
        assert not closed or row["closed_by_date"] == row["business_date"]
        found.setdefault(row["business_key"], []).append(
            (row["business_date"].day, row["open_item_class"], closed)
        )
    assert found["P-LATE"] == [(22, "not_received", False), (23, "not_received", True)]
    assert {kind for _, kind, _ in found["P-BAD"]} == {"quarantined"}
    assert {kind for _, kind, _ in found["P-GONE"]} == {"delivery_refused_or_waiting"}
    assert {kind for _, kind, _ in found["P-NOBODY"]} == {"not_received"}
    assert len(found["P-BAD"]) == 10 and len(found["P-GONE"]) == 9
    assert set(found) == {"P-LATE", "P-BAD", "P-GONE", "P-NOBODY"}


def test_due_dates_follow_the_cycle_in_force(built: Built) -> None:
    rows = built.rows(
        """
        select business_date, merchant_id, settlement_cycle, due_date, settlement_status
        from work.mart_settlement__merchant_day
        """
    )
    by_key = {(r["merchant_id"], r["business_date"]): r for r in rows}
    before = by_key["M1", date(2026, 9, 23)]
    after = by_key["M1", date(2026, 9, 24)]
    assert (before["settlement_cycle"], before["due_date"]) == ("T+1", date(2026, 9, 24))
    # D+1 of the 24th falls on the Mid-Autumn holiday, which pushes it on (rule D0.7)
    assert (after["settlement_cycle"], after["due_date"]) == ("D+1", date(2026, 9, 28))
    assert by_key["M1", date(2026, 9, 26)]["settlement_status"] == "paid"
    assert by_key["M2", date(2026, 9, 21)]["settlement_status"] == "rolled"
    assert by_key["M3", date(2026, 9, 30)]["settlement_status"] == "disputed"


def test_a_statement_names_the_account_in_force(built: Built) -> None:
    rows = built.rows(
        """
        select business_date, settlement_bank, settlement_account_masked
        from work.mart_settlement__merchant_day where merchant_id = 'M1'
        """
    )
    used = {r["business_date"].day: (r["settlement_bank"], r["settlement_account_masked"])
            for r in rows}
    assert used[23] == ("M1 开户行", "*****M1")
    assert used[24] == used[30] == ("M1 新开户行", "****0001")


def test_the_reserve_rolls_forward_from_opening_to_closing(built: Built) -> None:
    days = built.rows("select * from work.mart_settlement__reserve_fund_day order by business_date")
    moved = built.rows(
        """
        select business_date, direction, count(*) as n, sum(amount) as amount
        from silver.ledger_entry where account_code = '1001' group by all
        """
    )
    legs = {(r["business_date"], r["direction"]): (r["n"], r["amount"]) for r in moved}
    opening = (Decimal(0), Decimal(0))
    for row in days:
        day = row["business_date"]
        assert (row["book_opening_amount"], row["custodian_opening_amount"]) == opening, day
        opening = (row["book_amount"], row["custodian_amount"])
        for side, closing in zip(("book", "custodian"), opening, strict=True):
            assert closing == (
                row[f"{side}_opening_amount"] + row[f"{side}_inflow_amount"]
                - row[f"{side}_outflow_amount"]
            ), (day, side)  # fmt: skip
        flows = ((row["book_inflow_count"], row["book_inflow_amount"]),
                 (row["book_outflow_count"], row["book_outflow_amount"]))
        assert flows == (legs.get((day, "D"), (0, 0)), legs.get((day, "C"), (0, 0)))
    assert days[1]["custodian_inflow_count"] == 1 and days[0]["custodian_inflow_count"] == 0
    assert any(row["book_outflow_count"] for row in days)


def test_a_holiday_moves_a_working_day_due_date(engine_port: int, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", engine_port)
    day = date(2026, 9, 30)
    rows = world.build()
    for row in rows.rows["silver.merchant"]:
        row["settlement_cycle"] = "T+1"
    lake = Lake(home)
    world.store(rows, lake)
    with engine.session(home) as spark:
        dbt_runner.run(home, spark.paylake_remote, day, day, "mart_settlement__merchant_day")
    due = lake.query("select distinct due_date from work.mart_settlement__merchant_day")
    assert due["due_date"].to_pylist() == [date(2026, 10, 8)]


def test_days_compare_with_last_week_and_the_month(built: Built) -> None:
    rows = built.rows("select * from work.mart_kpi__institution_day order by business_date")
    amounts = [row["payment_amount"] for row in rows]
    assert rows[0]["median_30d_payment_amount"] is None
    assert rows[7]["same_weekday_payment_amount"] == amounts[0]
    middle = sorted(amounts[:8])[3:5]
    assert rows[8]["median_30d_payment_amount"] == sum(middle) / 2
    assert rows[2]["median_30d_payment_count"] == Decimal("4.5")


def test_absent_feeds_are_null_and_not_zero(engine_port: int, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", engine_port)
    lake = Lake(home)
    rows = world.build()
    absent = ["ledger_journal", "ledger_balance", "custodian_statement", "merchant", "terminal"]
    for source in dbt_project.sources():
        if source.feed in absent:
            rows.rows.pop(f"{source.layer}.{source.table}", None)
    world.store(rows, lake, only=["transaction"])
    with engine.session(home) as spark:
        with pytest.raises(PermanentFailure, match=r"silver\.\w+, and it is not there"):
            dbt_runner.run(home, spark.paylake_remote, world.FIRST, world.LAST)
        dbt_runner.run(
            home, spark.paylake_remote, world.FIRST, world.LAST,
            variables={"absent_feeds": absent},
        )  # fmt: skip
    counts = {
        name: lake.query(f"select count(*) as n from work.{name}")["n"][0].as_py()
        for name in STORED
    }
    for name in STORED:
        if "_kpi__" not in name:
            assert counts[name] == 0, name
    assert counts["mart_kpi__institution_day"] == 12
    fees = lake.query("select distinct fee_income_amount from work.mart_kpi__institution_day")
    assert fees["fee_income_amount"].to_pylist() == [None]


def test_a_wrong_balance_is_found_by_name(engine_port: int, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", engine_port)
    rows = world.build()
    wrong = next(
        row for row in rows.rows["silver.ledger_balance"]
        if row["account_id"] == "2201:M2" and row["business_date"] == world.FIRST
    )  # fmt: skip
    wrong["closing_amount"] += Decimal("0.01")
    world.store(rows, Lake(home))
    with engine.session(home) as spark:
        dbt_runner.run(home, spark.paylake_remote, world.FIRST, world.FIRST)
        with pytest.raises(PermanentFailure, match="settlement_closing_equals_ledger"):
            dbt_runner.test(
                home, spark.paylake_remote, world.FIRST, world.FIRST,
                "settlement_closing_equals_ledger",
            )  # fmt: skip


def test_beyond_the_calendar_the_run_fails_by_name(built: Built) -> None:
    day = date(2026, 12, 31)
    with pytest.raises(PermanentFailure, match="2026-12-31"):
        dbt_runner.run(built.settings, built.spark.paylake_remote, day, day)


def test_a_failing_model_is_named(built: Built) -> None:
    # A table of other columns under the model's name: no column is dropped without a word.
    other = built.lake.path("work", "mart_kpi__mcc_day")
    built.spark.sql("drop table work.mart_kpi__region_day")
    built.spark.sql(f"create table work.mart_kpi__region_day using delta location '{other}'")
    try:
        with pytest.raises(PermanentFailure, match=r"mart_kpi__region_day .*different columns"):
            dbt_runner.run(
                built.settings, built.spark.paylake_remote, world.FIRST, world.FIRST,
                "mart_kpi__region_day",
            )  # fmt: skip
    finally:
        built.spark.sql("drop table work.mart_kpi__region_day")


@pytest.mark.long
def test_a_lost_breakdown_is_found_by_name(engine_port: int, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", engine_port)
    lake = Lake(home)
    world.store(world.build(), lake)
    check = "kpi_breakdowns_conserve_total"
    with engine.session(home) as spark:
        dbt_runner.run(home, spark.paylake_remote, world.FIRST, world.FIRST)
        dbt_runner.test(home, spark.paylake_remote, world.FIRST, world.FIRST, check)
        spark.sql(f"delete from work.mart_kpi__mcc_day where business_date = '{world.FIRST}'")
        with pytest.raises(PermanentFailure, match=check):
            dbt_runner.test(home, spark.paylake_remote, world.FIRST, world.FIRST, check)


def test_a_date_on_which_nobody_pays_is_a_row_of_zeros(engine_port: int, tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", engine_port)
    quiet = world.FIRST + timedelta(days=6)
    rows = world.build()
    rows.rows["silver.transaction"] = [
        row for row in rows.rows["silver.transaction"] if row["business_date"] != quiet
    ]
    rows.rows["silver.ledger_entry"] = [
        row for row in rows.rows["silver.ledger_entry"] if row["business_date"] != quiet
    ]
    lake = Lake(home)
    world.store(rows, lake)
    with engine.session(home) as spark:
        dbt_runner.run(home, spark.paylake_remote, world.FIRST, world.LAST)
    days = lake.query(
        "select * from work.mart_kpi__institution_day order by business_date"
    ).to_pylist()
    assert len(days) == 12
    found = days[6]
    assert (found["payment_amount"], found["payment_count"], found["success_rate"]) == (0, 0, None)
    assert (found["fee_income_amount"], found["active_merchant_count"]) == (0, 0)
    # Zeros count: the middle of seven dates, one of them without a payment.
    assert days[7]["median_30d_payment_count"] == sorted(d["payment_count"] for d in days[:7])[3]
