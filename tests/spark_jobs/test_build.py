"""The edge: whole homes, from bronze to profiles."""

from __future__ import annotations

from decimal import Decimal

import pytest

import spark_jobs
from paylake import contracts, engine, home
from paylake.errors import PermanentFailure
from paylake.lake import Lake
from spark_jobs.build import JOBS
from tests.spark_jobs.helpers import day
from tests.spark_jobs.world import bronze_rows, put

pytestmark = pytest.mark.engine
DATES = 4


def digests(settings, first=0, last=DATES - 1):
    lake = Lake(settings)
    return {job.table: lake.digests(*job.table.split("."), day(first), day(last)) for job in JOBS}


@pytest.fixture(scope="module")
def world():
    return bronze_rows(DATES)


@pytest.fixture(scope="module")
def whole(home_on_engine, world):
    """A home built as one range."""
    settings = home_on_engine()
    put(settings, world)
    spark_jobs.build(settings, day(0), day(DATES - 1), marts=False)
    return settings


def test_every_table_is_built_and_totals_are_met(whole, world):
    found = digests(whole)
    assert len(found) == 13
    assert all(len(dates) == DATES for name, dates in found.items() if "profile" in name), found
    total = sum(Decimal(row["amount"]) for row in world["transaction"])
    counted = Lake(whole).query(
        "select count(*) as n, sum(amount) as total from silver.transaction"
    )
    assert counted.to_pylist() == [{"n": len(world["transaction"]), "total": total}]
    keys = Lake(whole).query(
        "select count(*) as n from (select transaction_id from silver.transaction "
        "group by all having count(*) > 1)"
    )
    assert keys.to_pylist() == [{"n": 0}]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.table)
def test_every_contract_key_is_unique(whole, job):
    key = ", ".join(contracts.load(job.table).key)
    twice = Lake(whole).query(f"select {key} from {job.table} group by all having count(*) > 1")
    assert key
    assert twice.num_rows == 0


def test_required_columns_are_filled(whole):
    checked = 0
    for job in JOBS:
        required = [c.name for c in contracts.load(job.table).columns if c.required]
        if job.table in ("silver.merchant", "silver.terminal"):
            required = ["business_date", "is_present"]  # the world leaves registry fields out
        empty = " or ".join(f"{name} is null" for name in required)
        missing = Lake(whole).query(f"select {', '.join(required)} from {job.table} where {empty}")
        assert missing.num_rows == 0, job.table
        checked += len(required)
    assert checked > 100


def test_days_one_by_one_equal_the_range(home_on_engine, whole, world):
    settings = home_on_engine()
    put(settings, world, seed=5)
    for number in range(DATES):
        spark_jobs.build(settings, day(number), day(number), marts=False)
    assert digests(settings) == digests(whole)


def test_running_twice_changes_nothing(whole):
    before = digests(whole)
    result = spark_jobs.build(whole, day(1), day(2), marts=False)
    assert digests(whole) == before
    assert result.stale_dates == ()
    assert [row["table"] for row in result.rows()] == [job.table for job in JOBS]


def test_a_changed_middle_date_names_the_later_ones(home_on_engine, world):
    settings = home_on_engine()
    put(settings, world)
    spark_jobs.build(settings, day(0), day(DATES - 1), marts=False)
    before = digests(settings)
    changed = {feed: [dict(row) for row in rows] for feed, rows in world.items()}
    moved = next(r for r in changed["merchant"] if r["business_date"] == day(1))
    moved["region_code"] = "440000"
    extra = next(r for r in changed["transaction"] if r["business_date"] == day(1))
    extra["amount"] = "77.77"
    put(settings, changed)

    result = spark_jobs.build(settings, day(1), day(1), marts=False)
    after = digests(settings)
    assert result.stale_dates == (day(2), day(3))
    for table, dates in after.items():
        for date, digest in dates.items():
            if date != day(1):
                assert digest == before[table][date], (table, date)
    assert after["silver.transaction"][day(1)] != before["silver.transaction"][day(1)]

    for stale in result.stale_dates:
        spark_jobs.build(settings, stale, stale, marts=False)
    fresh = home_on_engine()
    put(fresh, changed)
    spark_jobs.build(fresh, day(0), day(DATES - 1), marts=False)
    assert digests(settings) == digests(fresh)


def test_a_home_with_transactions_alone(home_on_engine, world):
    """Like the handbook's data: no merchants, no ledger, cut-off at midnight."""
    settings = home_on_engine(cutoff="00:00")
    bare = [{**row, "merchant_id": None} for row in world["transaction"]]
    put(settings, {"transaction": bare}, feeds=("transaction",))
    spark_jobs.build(settings, day(0), day(DATES - 1), marts=False)
    found = digests(settings)
    filled = {name for name, dates in found.items() if dates}
    assert filled == {
        "silver.transaction",
        "state.terminal_day",
        "state.terminal_card_day",
        "work.terminal_profile",
    }
    shifted = Lake(settings).query(
        "select count(*) as n from silver.transaction where event_date > business_date"
    )
    assert shifted.to_pylist() == [{"n": 0}]


def test_a_date_that_lost_its_rows_is_emptied(home_on_engine, world):
    settings = home_on_engine()
    put(settings, world)
    spark_jobs.build(settings, day(0), day(1), marts=False)
    table = contracts.load("transaction").table
    nothing = contracts.load("transaction").arrow_schema.empty_table()
    Lake(settings).replace("bronze", table, nothing, day(1), day(1))
    spark_jobs.build(settings, day(1), day(1), marts=False)
    found = digests(settings)
    assert list(found["silver.transaction"]) == [day(0)]
    assert day(1) in found["work.terminal_profile"]  # still active within 30 days


@pytest.mark.parametrize(
    ("feed", "changed", "said"),
    [
        ("transaction", {"amount": "1.23456"}, "more than 4 decimals in bronze: 1.23456"),
        ("ledger_journal", {"currency_code": "ZZZ"}, "known minor unit: ZZZ"),
    ],
)
def test_money_that_cannot_be_typed_stops_the_build_in_one_sentence(
    home_on_engine, world, feed, changed, said
):
    settings = home_on_engine()
    broken = {name: [dict(row) for row in rows] for name, rows in world.items()}
    broken[feed][0] |= changed
    put(settings, broken)
    with pytest.raises(PermanentFailure, match=said) as caught:
        spark_jobs.build(settings, day(0), day(0), marts=False)
    assert "\n" not in caught.value.sentence()
    assert str(day(0)) in caught.value.sentence()
    table = "transaction" if feed == "transaction" else "ledger_entry"
    assert Lake(settings).digests("silver", table, day(0), day(0)) == {}


def test_a_mapped_homes_own_cutoff_wins(home_on_engine, world):
    settings = home_on_engine()
    home.claim(settings, home.Home("mapped", {"name": "test"}, cutoff="00:00"))
    put(settings, world, feeds=("transaction",))
    spark_jobs.build(settings, day(0), day(0), marts=False)
    late = Lake(settings).query(
        "select count(*) as n from silver.transaction where event_date > business_date"
    )
    assert late.to_pylist() == [{"n": 0}]


def test_a_collected_session_leaves_the_pool_of_the_next_one_alone(home_on_engine):
    """pyspark would end it, and a process that is starting one of its threads would stand still."""
    from pyspark.sql.connect.client.reattach import ExecutePlanResponseReattachableIterator

    settings = home_on_engine()
    with engine.session(settings) as earlier:
        assert earlier.sql("select 1").collect()
    with engine.session(settings) as later:
        assert later.sql("select 1").collect()
        pool = ExecutePlanResponseReattachableIterator._release_thread_pool_instance
        assert pool is not None
        earlier.__del__()
        assert ExecutePlanResponseReattachableIterator._release_thread_pool_instance is pool


def test_a_frame_that_is_not_its_contract_is_not_written(spark, home_on_engine):
    settings = home_on_engine()
    contract = contracts.load("state.merchant_card_day")
    frame = spark.sql(
        f"select date '{day(0)}' as business_date, 'M1' as merchant_id, 'c' as card_token, "
        "1 as payment_count, 'x' as more"
    )
    with pytest.raises(PermanentFailure, match="more"):
        engine.write(spark, settings, frame, contract, day(0), day(0))
    assert not Lake(settings).digests("state", "merchant_card_day", day(0), day(0))
