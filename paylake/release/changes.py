"""What differs between two states of published tables: rows by their key, and sums of amounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa

from paylake import contracts, dbt_project
from paylake.errors import PermanentFailure

#: (table, dates) → its rows of these dates; None when there is no such table.
Rows = Callable[[str, Sequence[date]], pa.Table | None]


@dataclass(frozen=True)
class Amount:
    """An amount column whose sum differs; None where there is no row."""

    column: str
    currency_code: str | None
    before: Decimal | None
    after: Decimal | None

    def __str__(self) -> str:
        code = f" {self.currency_code}" if self.currency_code else ""
        return f"{self.column}{code} {_shown(self.before)} → {_shown(self.after)}"


@dataclass(frozen=True)
class Change:
    """How one table differs on one date; rows are told apart by the table's key."""

    business_date: date
    table: str
    rows_before: int
    rows_after: int
    added: int
    removed: int
    changed: int
    amounts: tuple[Amount, ...]

    def row(self) -> dict[str, Any]:
        """For a table or JSON."""
        return {
            "date": self.business_date,
            "table": self.table,
            "rows": f"{self.rows_before:,} → {self.rows_after:,}",
            "added": self.added,
            "removed": self.removed,
            "changed": self.changed,
            "amounts": "; ".join(map(str, self.amounts)),
        }


def _shown(value: Decimal | None) -> str:
    return "—" if value is None else f"{value:,.2f}" if value == round(value, 2) else f"{value:,f}"


def key_of(table: str) -> tuple[str, ...]:
    """The columns that tell a table's rows apart: its contract's key, or its model's grain; none
    when the table is not described (then whole rows are compared)."""
    model = dbt_project.models().get(table)
    if model is not None:
        return model.grain
    try:
        return contracts.load(f"work.{table}").key
    except PermanentFailure:
        return ()


def compare(
    old: Rows,
    new: Rows,
    partitions: Mapping[str, Sequence[date]],
    key: Callable[[str], tuple[str, ...]] = key_of,
) -> list[Change]:
    """How the rows of these tables and dates differ, in order of date and table; also of those that
    turn out to have equal rows (in other types of columns).

    :param partitions: table → the dates to compare.
    """
    found: list[Change] = []
    for table, days in partitions.items():
        before, after = old(table, days), new(table, days)
        if before is None and after is None:
            continue
        before = after.schema.empty_table() if before is None else before
        after = before.schema.empty_table() if after is None else after
        found += _table(table, before, after, key(table))
    return sorted(found, key=lambda each: (each.business_date, each.table))


def _table(table: str, before: pa.Table, after: pa.Table, key: Sequence[str]) -> list[Change]:
    common = [name for name in after.column_names if name in before.column_names]
    if not key or not set(key) <= set(common):
        key = common
    keys = ["business_date", *(k for k in key if k != "business_date")]
    # A column that only one side has makes its rows differ, except in the key.
    sides = {}
    for side, rows in (("o", before), ("n", after)):
        content = ", ".join(f'"{c}"::varchar' for c in rows.column_names)
        sides[side] = f"""
            select {_list(keys)}, count(*) as n, list(t order by t) as content
            from (select {_list(keys)}, to_json([{content}])::varchar as t from {side}_rows)
            group by all
        """
    joined = " and ".join(f'o."{k}" is not distinct from n."{k}"' for k in keys)
    with duckdb.connect(":memory:") as connection:
        connection.register("o_rows", before)
        connection.register("n_rows", after)
        counted = connection.execute(
            f"""
            select coalesce(o.business_date, n.business_date) as d,
                sum(coalesce(o.n, 0))::bigint, sum(coalesce(n.n, 0))::bigint,
                sum(greatest(coalesce(n.n, 0) - coalesce(o.n, 0), 0))::bigint,
                sum(greatest(coalesce(o.n, 0) - coalesce(n.n, 0), 0))::bigint,
                sum(case when o.n = n.n and o.content <> n.content then n.n else 0 end)::bigint
            from ({sides["o"]}) as o full join ({sides["n"]}) as n on {joined}
            group by 1
            """
        ).fetchall()
        amounts = _amounts(connection, before, after)
    return [
        Change(day, table, old, new, added, removed, changed, tuple(amounts.get(day, ())))
        for day, old, new, added, removed, changed in counted
    ]


def _amounts(
    connection: duckdb.DuckDBPyConnection, before: pa.Table, after: pa.Table
) -> dict[date, list[Amount]]:
    """Sums of each amount column that differ, by date; never over two currencies."""
    sums: dict[tuple[date, str, str | None], list[Decimal | None]] = {}
    for n, (side, rows) in enumerate((("o", before), ("n", after))):
        columns = [
            f.name
            for f in rows.schema
            if pa.types.is_decimal(f.type) and (f.name == "amount" or f.name.endswith("_amount"))
        ]
        if not columns:
            continue
        code = "currency_code" if "currency_code" in rows.column_names else "null::varchar"
        totals = ", ".join(f'sum("{c}")' for c in columns)
        for day, currency, *found in connection.execute(
            f"select business_date, {code}, {totals} from {side}_rows group by all"
        ).fetchall():
            for column, total in zip(columns, found, strict=True):
                sums.setdefault((day, column, currency), [None, None])[n] = total
    differing: dict[date, list[Amount]] = {}
    for (day, column, currency), (old, new) in sums.items():
        if old != new:
            differing.setdefault(day, []).append(Amount(column, currency, old, new))
    for listed in differing.values():
        listed.sort(key=lambda a: (a.column, a.currency_code or ""))
    return differing


def _list(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
