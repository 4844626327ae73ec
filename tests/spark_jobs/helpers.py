"""Frames in, rows out, for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from paylake import contracts

DAY = date(2026, 9, 12)


def day(number: int) -> date:
    """The n-th business date of a test; day(0) is 2026-09-12, a Saturday."""
    return DAY + timedelta(days=number)


def frame(spark: SparkSession, contract: str, rows: Iterable[Mapping[str, Any]]) -> DataFrame:
    """A frame with a contract's stored columns; what a row leaves out is null."""
    schema = contracts.load(contract).arrow_schema
    values = list(rows)
    for row in values:
        assert set(row) <= set(schema.names), set(row) - set(schema.names)
    if not values:  # Spark Connect takes no empty Arrow table.
        return frame(spark, contract, [{}]).where("false")
    return spark.createDataFrame(pa.Table.from_pylist(values, schema=schema))


def bronze(spark: SparkSession, feed: str, rows: Iterable[Mapping[str, Any]]) -> DataFrame:
    """A feed's bronze frame; delivery and line are filled in, as ingestion does."""
    filled = []
    for line, row in enumerate(rows, start=1):
        delivery = f"{feed}/{row['business_date']}/1"
        filled.append({"_delivery_id": delivery, "_line_number": line, **row})
    return frame(spark, feed, filled)


def rows(result: DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """The rows (of these columns) in a fixed order; nulls first."""
    table = result.select(*columns) if columns else result
    found = [tuple(row) for row in table.collect()]
    return sorted(found, key=lambda row: [(value is not None, str(value)) for value in row])


def records(result: DataFrame, key: str) -> dict[Any, dict[str, Any]]:
    """Rows as dictionaries by the value of one column, which must be unique."""
    found = [row.asDict() for row in result.collect()]
    by_key = {row[key]: row for row in found}
    assert len(by_key) == len(found), "key is not unique"
    return by_key


def same(left: DataFrame, right: DataFrame) -> None:
    """Both frames hold the same rows with the same columns and types; order is ignored."""
    assert left.dtypes == right.dtypes
    assert rows(left) == rows(right)


def assert_contract(result: DataFrame, table: str) -> None:
    """A job's frame has exactly its contract's columns and types, in any order."""
    wanted = dict(contracts.load(table).stored_columns)
    assert dict(result.dtypes) == wanted
    assert len(result.columns) == len(wanted)
