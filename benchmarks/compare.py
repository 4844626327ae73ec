"""Equality of tables: the lake's against the peer's, and one engine's against the other's."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from benchmarks.peer import TABLES
from paylake.delta_reader import connect
from paylake.lake import Lake
from paylake.settings import Settings


def with_peer(settings: Settings, peer: Path, day: date) -> tuple[int, list[str]]:
    """Compare every table that the peer makes, row by row with types, for one date.

    :returns: how many rows were compared, and what differs, a line each.
    """
    lake, rows, found = Lake(settings), 0, []
    with connect() as db:
        for table in TABLES:
            lake.attach(db, [tuple(table.split("."))], {})
            ours = f"(select * from {table} where business_date = date '{day}')"
            theirs = f"read_parquet('{peer / table / f'{day}.parquet'}')"
            found += [f"{table}: {text}" for text in differences(db, ours, theirs)]
            counted = db.sql(f"select count(*) from {ours}").fetchone()
            rows += counted[0] if counted else 0
    return rows, found


def differences(db: duckdb.DuckDBPyConnection, left: str, right: str, shown: int = 3) -> list[str]:
    """What differs between two relations; rows as multisets, nulls equal, columns by name.

    :param left, right: anything that may stand behind `from`.
    """
    columns = {
        side: {row[0]: row[1] for row in db.sql(f"describe select * from {side}").fetchall()}
        for side in (left, right)
    }
    if columns[left] != columns[right]:
        names = sorted({*columns[left], *columns[right]})
        return [
            f"column {name} is {columns[left].get(name)} against {columns[right].get(name)}"
            for name in names if columns[left].get(name) != columns[right].get(name)
        ]
    names_text = ", ".join(f'"{name}"' for name in columns[left])
    texts = ", ".join(f'"{name}"::varchar' for name in columns[left])
    # Rows as 128-bit digests of their values' texts: a table of millions fits into memory.
    uneven = db.sql(f"""
        select 1
        from (
            select md5_number(to_json([{texts}])::varchar) as digest, 1 as side from {left}
            union all
            select md5_number(to_json([{texts}])::varchar), -1 from {right}
        )
        group by digest having sum(side) <> 0 limit 1
    """).fetchone()
    if uneven is None:
        return []
    found = []
    for what, one, other in (("only ours", left, right), ("only the peer's", right, left)):
        sql = f"select {names_text} from {one} except all select {names_text} from {other}"
        rows = db.sql(f"select *, count(*) over () from ({sql}) limit {shown}").fetchall()
        if rows:
            found += [f"{rows[0][-1]} rows {what}", *(f"{what}: {row[:-1]}" for row in rows)]
    return found


def between_engines(one: Settings, other: Settings, day: date) -> tuple[int, list[str]]:
    """Compare the content digests of a date in every silver, state, work and gold table.

    :returns: how many partitions were compared, and the tables that differ.
    """
    left, right, compared, found = Lake(one), Lake(other), 0, []
    for layer in ("silver", "state", "work", "gold"):
        if left.tables(layer) != right.tables(layer):
            found.append(f"{layer}: {left.tables(layer)} against {right.tables(layer)}")
            continue
        for table in left.tables(layer):
            if "business_date" not in [name for name, _ in left.columns(layer, table)]:
                continue
            digests = [lake.digests(layer, table, day, day) for lake in (left, right)]
            compared += len(digests[0])
            if digests[0] != digests[1]:
                found.append(f"{layer}.{table}")
    return compared, found
