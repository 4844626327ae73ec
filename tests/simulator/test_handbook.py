"""A generated file has the published layout and the totals that it says."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from paylake.errors import UsageFault
from simulator import handbook


def test_layout_and_totals(tmp_path):
    totals = handbook.write(tmp_path / "made.parquet", 4_000, 9, 5)
    table = pq.read_table(tmp_path / "made.parquet")
    assert table.schema.names == [
        "TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT",
        "TX_TIME_SECONDS", "TX_TIME_DAYS", "TX_FRAUD", "TX_FRAUD_SCENARIO",
    ]
    assert table.schema.field("TX_DATETIME").type == pa.timestamp("ns")
    amounts = [Decimal(repr(value)) for value in table["TX_AMOUNT"].to_pylist()]
    assert sum(amounts) == totals.amount == sum(totals.amount_by_date.values())
    assert table.num_rows == totals.rows == len(set(table["TRANSACTION_ID"].to_pylist()))
    assert set(table["TX_TIME_DAYS"].to_pylist()) == set(range(9))
    pairs = list(zip(table["CUSTOMER_ID"].to_pylist(), table["TX_TIME_SECONDS"].to_pylist(),
                     strict=True))
    assert totals.same_second_pairs > 0 and len(pairs) > len(set(pairs))
    assert np.all(np.diff(table["TX_TIME_SECONDS"].to_numpy()) >= 0)


def test_same_seed_same_bytes(tmp_path):
    for name in ("a", "b"):
        handbook.write(tmp_path / name, 500, 3, 1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert handbook.write(tmp_path / "c", 500, 3, 2).amount != handbook.write(
        tmp_path / "d", 500, 3, 3
    ).amount


def test_too_few_rows(tmp_path):
    with pytest.raises(UsageFault):
        handbook.write(tmp_path / "x", 5, 3, 1)
