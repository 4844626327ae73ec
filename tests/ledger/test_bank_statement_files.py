"""A bank's statement as a file: what is no whole number of minor units is named, line and all."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ledger.adapters.bank_statement_files import read_statement
from paylake.errors import UsageFault


@pytest.mark.parametrize("amount", ["--5", "9" * 5000, "5.0", "+5", "1e3", "５"])
def test_an_amount_of_a_csv_that_is_none_is_named(tmp_path, amount):
    path = tmp_path / "day.csv"
    path.write_text(f"line_id,value_date,amount_minor\n1,2026-09-12,-7\n2,2026-09-12,{amount}\n")
    with pytest.raises(UsageFault, match="line 3: amount_minor is not a whole number"):
        read_statement(path)


@pytest.mark.parametrize(("column", "amount"), [
    (pa.array([Decimal(-7)], pa.decimal128(18, 0)), -7),
    (pa.array([Decimal("-7.00")], pa.decimal128(18, 2)), None),
    (pa.array([7.0]), None), (pa.array([b"7"]), None),
])
def test_a_decimal_column_without_places_is_of_whole_numbers(tmp_path, column, amount):
    path = tmp_path / "day.parquet"
    pq.write_table(pa.table({
        "line_id": ["1"], "value_date": ["2026-09-12"], "amount_minor": column,
    }), path)
    if amount is None:
        with pytest.raises(UsageFault, match="line 2: amount_minor is not a whole number"):
            read_statement(path)
    else:
        assert read_statement(path).lines[0]["amount_minor"] == amount


@pytest.mark.parametrize("column", [
    pa.array([b"\xff"]), pa.array([["1"]]), pa.array([{"a": 1}]), pa.array([7]), pa.array([True]),
])
def test_a_column_that_is_no_text_is_named(tmp_path, column):
    path = tmp_path / "day.parquet"
    pq.write_table(pa.table({
        "line_id": column, "value_date": ["2026-09-12"], "amount_minor": [1],
    }), path)
    with pytest.raises(UsageFault, match="line 2: line_id is not a text"):
        read_statement(path)


def test_a_date_column_is_read_and_a_date_that_nobody_has_is_named(tmp_path):
    path = tmp_path / "day.parquet"
    for days, unit in ((date(2026, 9, 12), pa.date32()), (10**18, pa.timestamp("us"))):
        pq.write_table(pa.table({
            "line_id": ["1"], "value_date": pa.array([days], unit), "amount_minor": [1],
        }), path)
        if unit == pa.date32():
            assert read_statement(path).lines[0]["value_date"] == "2026-09-12"
        else:
            with pytest.raises(UsageFault, match="cannot be read as Parquet"):
                read_statement(path)
