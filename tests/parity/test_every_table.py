"""The same tables on both engines, on data with ties, half-cents, nulls, late and shuffled rows;
and each engine's lake, every pinned version, read by the other, by DuckDB and by `deltalake`.

One file, because building a home by Apache Spark is dear: tests are shared out by file.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import reduce

import deltalake
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame

from paylake import engine
from paylake.lake import Lake
from tests.parity.compare import OF_JOBS, OF_MODELS, differences, read, tables
from tests.parity.conftest import USUAL
from tests.spark_jobs.helpers import day

pytestmark = pytest.mark.engine

BUILT = tuple(
    name if name in USUAL else pytest.param(name, marks=pytest.mark.long)
    for name in (*OF_JOBS, *OF_MODELS)
)
#: Read whole by the other engine in every run; the others in `make test-long`.
_READ = ("silver.transaction", "state.merchant_day")
READ = tuple(
    name if name in _READ else pytest.param(name, marks=pytest.mark.long)
    for name in (*OF_JOBS, *OF_MODELS)
)

#: Every table has at least these versions: created, built.
_VERSIONS = 2


def test_both_homes_hold_the_same_tables(homes):
    assert tables(homes.sail) == tables(homes.spark)
    assert set(USUAL) <= set(tables(homes.sail))


@pytest.mark.long
def test_every_table_of_a_build_is_compared(homes):
    assert set(tables(homes.sail)) == {*OF_JOBS, *OF_MODELS}


@pytest.mark.parametrize("name", BUILT)
def test_table_is_equal_row_by_row(homes, name):
    left, right = read(homes.sail, name), read(homes.spark, name)
    assert left.num_rows > 0
    assert differences(name, left, right) == []


@pytest.mark.parametrize("name", BUILT)
def test_digests_of_the_dates_are_equal(homes, name):
    """What a release records of a date does not depend on the engine."""
    found = [
        Lake(home).digests(*name.split("."), day(0), day(2)) for home in (homes.sail, homes.spark)
    ]
    assert found[0] == found[1] and found[0]


def test_the_data_is_hard_enough(homes):
    facts = read(homes.sail, "silver.transaction").to_pylist()
    assert any(row["amount"] % Decimal("0.01") for row in facts)  # half-cents
    assert any(row["merchant_id"] is None for row in facts)
    assert any(row["adjusts_date"] for row in facts)
    assert any(row["is_night"] for row in facts)
    assert len({row["event_at"] for row in facts}) < len(facts) / 2  # ties
    gone = [r for r in read(homes.sail, "silver.merchant").to_pylist() if not r["is_present"]]
    assert gone


@pytest.mark.parametrize("name", BUILT)
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
    if pa.types.is_decimal(kind):
        return Decimal(1)
    return {"string": "x", "int64": 1, "int32": 1, "double": 0.5, "bool": True}[str(kind)]


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


@pytest.fixture(
    scope="module",
    params=[("sail", "spark"), ("spark", "sail")],
    ids=["sail-reads-spark", "spark-reads-sail"],
)
def reader_and_lake(request, homes) -> Iterator[tuple]:
    reader, writer = (getattr(homes, name) for name in request.param)
    with engine.session(reader) as spark:
        yield spark, writer


@pytest.mark.parametrize("name", READ)
def test_the_other_engine_reads_every_pinned_version(reader_and_lake, name):
    spark, home = reader_and_lake
    lake = Lake(home)
    layer, table = name.split(".")
    last = lake.version(layer, table)
    assert last + 1 >= _VERSIONS
    path = str(lake.path(layer, table))
    # One query for all versions: each row with the version that it was read at.
    pinned = [
        spark.read.format("delta").option("versionAsOf", version).load(path)
        .selectExpr(f"cast({version} as int) as _version", "*")
        for version in range(last + 1)
    ]  # fmt: skip
    by_engine = reduce(DataFrame.unionAll, pinned).toArrow()
    by_duckdb = [read(home, name, version) for version in range(last + 1)]
    counts = [rows.num_rows for rows in by_duckdb]
    assert counts[0] == 0 < counts[1] <= counts[-1]
    expected = pa.concat_tables(
        rows.add_column(0, "_version", pa.array([version] * rows.num_rows, pa.int32()))
        for version, rows in enumerate(by_duckdb)
    )
    assert by_engine.column_names == expected.column_names
    assert differences(name, expected, by_engine.cast(expected.schema)) == []


@pytest.mark.parametrize("writer", ["sail", "spark"])
@pytest.mark.parametrize("name", BUILT)
def test_deltalake_opens_every_version(homes, writer, name):
    home = getattr(homes, writer)
    path = Lake(home).path(*name.split("."))
    newest = deltalake.DeltaTable(str(path))
    history = {entry["version"]: entry["operation"] for entry in newest.history()}
    assert sorted(history) == list(range(newest.version() + 1))
    assert history[0] == "CREATE TABLE"
    for version in history:
        table = deltalake.DeltaTable(str(path), version=version)
        by_duckdb = read(home, name, version)
        assert [field.name for field in table.schema().fields] == by_duckdb.column_names
        rows = table.get_add_actions(flatten=True).column("num_records").to_pylist()
        assert sum(rows) == by_duckdb.num_rows
