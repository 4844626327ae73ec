"""A generated file with the layout of the fraud detection handbook's simulated transactions.

For tests of mapped feeds on files that are not the published one: nanosecond timestamps, amounts
with two decimals stored as doubles, customers with two transactions in one second.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from paylake.errors import UsageFault

START = date(2018, 4, 1)
_DAY_SECONDS = 86_400
_FRAUD_AMOUNT = 220_00
_SCHEMA = pa.schema([
    ("TRANSACTION_ID", pa.int64()),
    ("TX_DATETIME", pa.timestamp("ns")),
    ("CUSTOMER_ID", pa.int64()),
    ("TERMINAL_ID", pa.int64()),
    ("TX_AMOUNT", pa.float64()),
    ("TX_TIME_SECONDS", pa.int64()),
    ("TX_TIME_DAYS", pa.int64()),
    ("TX_FRAUD", pa.int64()),
    ("TX_FRAUD_SCENARIO", pa.int64()),
])


@dataclass(frozen=True)
class Totals:
    """Control totals of a written file; `amount` is exact."""

    rows: int
    days: int
    amount: Decimal
    frauds: int
    customers: int
    terminals: int
    largest: Decimal
    same_second_pairs: int
    amount_by_date: dict[str, Decimal]


def write(path: Path, rows: int, days: int, seed: int, start: date = START) -> Totals:
    """Write `rows` transactions over `days` dates; every date has at least one.

    :raises UsageFault: when there are fewer than two rows a date.
    """
    if days < 1 or rows < 2 * days:
        raise UsageFault(
            f"{rows} rows are too few for {days} dates", "Give at least two rows a date."
        )
    rng = np.random.default_rng([seed, rows, days])
    customers, terminals = max(2, rows // 175), max(2, rows // 90)
    spread = rng.integers(0, days, rows - 2 * days)
    day = np.sort(np.concatenate([np.repeat(np.arange(days), 2), spread]))
    clock = np.clip(rng.normal(_DAY_SECONDS / 2, 20_000, rows), 0, _DAY_SECONDS - 1)
    second = np.sort(day * _DAY_SECONDS + clock.astype(np.int64))
    customer = rng.integers(0, customers, rows)
    # About one in two hundred is the same customer in the same second as the row before.
    again = np.flatnonzero(rng.random(rows) < 0.005)
    again = np.union1d(again[again > 0], [1])
    second[again], customer[again] = second[again - 1], customer[again - 1]
    order = np.argsort(second, kind="stable")
    second, customer = second[order], customer[order]
    cents = np.clip(np.rint(rng.gamma(1.6, 34_00, rows)), 1, 1_500_00).astype(np.int64)
    scenario = np.where(
        cents > _FRAUD_AMOUNT, 1,
        np.where(rng.random(rows) < 0.005, rng.integers(2, 4, rows), 0),
    )
    stamps = np.datetime64(start, "ns") + second.astype("timedelta64[s]").astype("timedelta64[ns]")
    table = pa.table([
        pa.array(np.arange(rows)), pa.array(stamps), pa.array(customer),
        pa.array(rng.integers(0, terminals, rows)), pa.array(cents / 100), pa.array(second),
        pa.array(second // _DAY_SECONDS), pa.array((scenario > 0).astype(np.int64)),
        pa.array(scenario),
    ], schema=_SCHEMA)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, version="2.6", row_group_size=max(1, rows // 4))
    pairs = (second[1:] == second[:-1]) & (customer[1:] == customer[:-1])
    by_date = np.bincount(second // _DAY_SECONDS, weights=cents, minlength=days)
    dates = np.datetime_as_string(np.datetime64(start, "D") + np.arange(days))
    return Totals(
        rows=rows,
        days=days,
        amount=_yuan(cents.sum()),
        frauds=int((scenario > 0).sum()),
        customers=len(np.unique(customer)),
        terminals=len(np.unique(table["TERMINAL_ID"].to_numpy())),
        largest=_yuan(cents.max()),
        same_second_pairs=int(pairs.sum()),
        # Sums of cents stay far below 2^53, so the weights are exact.
        amount_by_date={str(d): _yuan(c) for d, c in zip(dates, by_date, strict=True)},
    )


def _yuan(cents: float) -> Decimal:
    return Decimal(int(cents)).scaleb(-2)
