"""SQL Lab as a hostile analyst: everything but one SELECT over the reader's datasets is refused."""

from __future__ import annotations

import duckdb
import pytest

from dashboards.guard import Refused, check

READABLE = frozenset({"settlement_merchant_zh", "settlement_trend_zh"})
EXISTING = READABLE | {
    "mart_settlement__merchant_day",
    "mart_kpi__institution_day",
    "overview_card_zh",
    "release",
}

ALLOWED = [
    "select 1",
    "select * from settlement_merchant_zh",
    "select merchant, sum(net_amount) from main.settlement_merchant_zh group by 1 order by 2 desc",
    "with top as (select * from settlement_merchant_zh limit 5) select * from top",
    "select * from settlement_merchant_zh a join settlement_trend_zh b using (merchant_id)",
    "select * from (select day from settlement_merchant_zh) where day > '2026-09-12'",
    "select unnest([1, 2, 3])",
    "select * from range(10)",
    "select * from generate_series(1, 3)",
    "explain select * from settlement_merchant_zh",
    "explain analyze select * from settlement_merchant_zh",
    "select 'from mart_kpi__institution_day' as text",
    "select * from settlement_merchant_zh where day in (select day from settlement_trend_zh)",
    "describe settlement_merchant_zh",
    "select count(*) from SETTLEMENT_MERCHANT_ZH -- other case is the same relation",
]

ATTACKS = [
    # a CTE by the name of one of DuckDB's own views, and that view outside the CTE's reach
    "select * from (with pg_settings as (select 1) select 1), pg_settings",
    "with duckdb_logs as (select * from duckdb_logs) select * from duckdb_logs",
    "select * from (with duckdb_views as (select 1) select 1) a, DuckDB_Views",
    # writing
    "copy settlement_merchant_zh to '/tmp/x.csv'",
    "copy (select 1) to '/tmp/x.parquet' (format parquet)",
    "create table t as select 1",
    "create view v as select 1",
    "create or replace temp view settlement_merchant_zh as select 1",
    "create macro f() as 1",
    "insert into settlement_merchant_zh select 1",
    "update settlement_merchant_zh set day = 'x'",
    "delete from settlement_merchant_zh",
    "drop view settlement_merchant_zh",
    "alter table settlement_merchant_zh rename to x",
    "export database '/tmp/x'",
    "import database '/tmp/x'",
    "checkpoint",
    "vacuum",
    # the engine's own state
    "attach '/tmp/x.duckdb' as x",
    "attach 'lake/gold/mart' as x (type delta)",
    "detach x",
    "use x",
    "set enable_external_access = true",
    "set variable scope_all = true",
    "reset lock_configuration",
    "pragma database_list",
    "install httpfs",
    "load httpfs",
    "call pragma_version()",
    "begin",
    "prepare p as select 1",
    "execute p",
    "create secret s (type s3)",
    # several statements
    "select 1; select 2",
    "select 1; copy settlement_merchant_zh to '/tmp/x.csv'",
    "select 1; set variable scope_all = true; select * from settlement_merchant_zh",
    "",
    "   -- nothing",
    "select from where",
    # files
    "select * from '/etc/passwd'",
    "select * from 'lake/gold/x.parquet'",
    "from 'lake/gold/x.parquet'",
    "select * from read_csv('/etc/passwd')",
    "select * from read_text('/etc/passwd')",
    "select * from read_blob('keys/token.key')",
    "select * from read_parquet('lake/silver/**/*.parquet')",
    "select * from parquet_metadata('lake/gold/x.parquet')",
    "select * from read_json('x.json')",
    "select * from sniff_csv('/etc/passwd')",
    "select * from glob('/**')",
    "select * from delta_scan('lake/gold/mart_kpi__institution_day')",
    "select * from delta_list_files('lake/silver/merchant')",
    # past the rights
    "select * from mart_settlement__merchant_day",
    "select * from main.mart_settlement__merchant_day",
    'select * from "MART_SETTLEMENT__MERCHANT_DAY"',
    "select * from overview_card_zh",
    "select * from memory.main.settlement_merchant_zh",
    "select * from temp.x",
    "from mart_kpi__institution_day",
    "table mart_kpi__institution_day",
    "describe mart_kpi__institution_day",
    "summarize mart_kpi__institution_day",
    "summarize settlement_merchant_zh; summarize overview_card_zh",
    "show all tables",
    "show databases",
    "pivot mart_kpi__institution_day on currency_code using sum(payment_amount)",
    "unpivot mart_kpi__institution_day on columns(*) into name n value v",
    "select * from settlement_merchant_zh union all select * from mart_kpi__institution_day",
    "select (select max(payment_amount) from mart_kpi__institution_day)",
    "select * from settlement_merchant_zh where exists (from mart_kpi__institution_day)",
    "select * from settlement_merchant_zh, lateral (select * from mart_kpi__institution_day)",
    "with x as (select * from mart_kpi__institution_day) select * from x",
    "with recursive x as (select 1 union all select * from mart_kpi__institution_day) from x",
    # a CTE that takes the name of a relation, to fool the permission check
    "with mart_kpi__institution_day as (select 1) select * from mart_kpi__institution_day",
    "with settlement_merchant_zh as (select * from overview_card_zh)"
    " select * from settlement_merchant_zh",
    "with settlement_merchant_zh as (select 1) select * from main.settlement_merchant_zh",
    'with "lake/gold/x.parquet" as (select 1) select * from "lake/gold/x.parquet"',
    # functions that run text, or tell secrets
    "select * from query('select * from mart_kpi__institution_day')",
    "select * from query_table('mart_kpi__institution_day')",
    "select * from json_execute_serialized_sql('{}')",
    "select current_setting('allowed_directories')",
    "select getenv('HOME')",
    "select getvariable('scope_all')",
    "select write_log('x')",
    "select * from duckdb_settings()",
    "select * from duckdb_secrets()",
    "select * from duckdb_views()",
    "select sql from duckdb_tables()",
    "select * from information_schema.tables",
    "select * from pg_catalog.pg_class",
    "select * from pg_class",
    "select * from sqlite_master",
    "select * from pragma_table_info('mart_kpi__institution_day')",
    "explain analyze copy settlement_merchant_zh to '/tmp/x.csv'",
    "explain select * from mart_kpi__institution_day",
]


@pytest.mark.parametrize("sql", ALLOWED)
def test_a_plain_query_over_ones_datasets_runs(sql: str) -> None:
    check(sql, READABLE, EXISTING)


@pytest.mark.parametrize("sql", ATTACKS)
def test_an_attack_is_refused(sql: str) -> None:
    with pytest.raises(Refused):
        check(sql, READABLE, EXISTING)


def test_there_are_enough_attacks() -> None:
    assert len(set(ATTACKS)) >= 80


def test_the_driver_may_look_up_columns() -> None:
    lookup = "select table_name from information_schema.tables"
    check(lookup, READABLE, EXISTING, catalog=True)
    with pytest.raises(Refused):
        check("select * from duckdb_secrets()", READABLE, EXISTING, catalog=True)


def test_a_refusal_is_a_database_error_that_names_what_is_refused() -> None:
    with pytest.raises(duckdb.Error, match="mart_kpi__institution_day"):
        check("select * from mart_kpi__institution_day", READABLE, EXISTING)


def test_a_copy_hidden_in_an_allowed_looking_text_does_not_write(tmp_path) -> None:
    target = tmp_path / "x.csv"
    sql = f"select 1 /* */; copy (select 1) to '{target}'"
    with pytest.raises(Refused):
        check(sql, READABLE, EXISTING)
    assert not target.exists()
