"""The same tables on both engines, on data with ties, half-cents, nulls, late and shuffled rows."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from paylake import engine
from paylake.lake import Lake
from spark_jobs.build import JOBS
from tests.parity.compare import differences, read, tables
from tests.spark_jobs.helpers import day

pytestmark = pytest.mark.engine


def test_both_homes_hold_every_table(homes):
    assert tables(homes.sail) == tables(homes.spark)
    assert set(tables(homes.sail)) == {job.table for job in JOBS}


@pytest.mark.parametrize("name", [job.table for job in JOBS])
def test_table_is_equal_row_by_row(homes, name):
    left, right = read(homes.sail, name), read(homes.spark, name)
    assert left.num_rows > 0
    assert differences(name, left, right) == []


def test_the_data_is_hard_enough(homes):
    facts = read(homes.sail, "silver.transaction").to_pylist()
    assert any(row["amount"] % Decimal("0.01") for row in facts)  # half-cents
    assert any(row["merchant_id"] is None for row in facts)
    assert any(row["adjusts_date"] for row in facts)
    assert any(row["is_night"] for row in facts)
    assert len({row["event_at"] for row in facts}) < len(facts) / 2  # ties
    gone = [r for r in read(homes.sail, "silver.merchant").to_pylist() if not r["is_present"]]
    assert gone


@pytest.mark.parametrize("name", [job.table for job in JOBS])
def test_one_changed_cell_is_found_in_any_column(homes, name):
    table = read(homes.sail, name)
    checked = 0
    for position, field in enumerate(table.schema):
        values = table.column(position).to_pylist()
        row = next((n for n, value in enumerate(values) if value is not None), None)
        if row is None:
            values[0] = _some(field.type)
        else:
            values[row] = None
        changed = table.set_column(position, field, pa.array(values, field.type))
        assert len(differences(name, table, changed)) == 2, field.name
        checked += 1
    assert checked == len(table.schema)


def _some(kind: pa.DataType):
    if pa.types.is_date(kind):
        return day(0)
    return {"string": "x", "int64": 1, "int32": 1}[str(kind)]


def test_another_scale_is_a_difference(homes):
    table = read(homes.sail, "state.merchant_day")
    position = table.schema.get_field_index("payment_amount")
    wider = table.column(position).cast(pa.decimal128(20, 6))
    changed = table.set_column(position, "payment_amount", wider)
    assert len(differences("t", table, changed)) == 1


def test_a_row_that_comes_twice_is_a_difference(homes):
    table = read(homes.sail, "state.merchant_day")
    twice = pa.concat_tables([table, table.slice(0, 1)])
    assert len(differences("t", table, twice)) == 1


@pytest.mark.parametrize(("reader", "writer"), [("sail", "spark"), ("spark", "sail")])
def test_each_engine_reads_the_others_lake(homes, reader, writer):
    """Every pinned version too."""
    read_by, written_by = getattr(homes, reader), getattr(homes, writer)
    lake = Lake(written_by)
    with engine.session(read_by) as spark:
        for name in ("silver.transaction", "work.terminal_profile"):
            layer, table = name.split(".")
            for version in range(1, lake.version(layer, table) + 1):
                pin = {name: version}
                expected = lake.query(f"select count(*) as n from {name}", versions=pin)
                frame = (
                    spark.read.format("delta")
                    .option("versionAsOf", version)
                    .load(str(lake.path(layer, table)))
                )
                assert frame.count() == expected["n"][0].as_py() > 0
