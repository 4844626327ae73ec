"""The `ops` tables: an event log of what came, ran, failed and went out.

Rows are appended by contract (`contracts/tables/ops_*.yml`) and never changed; the newest row of a
key is its state. They are written outside the gate and read at latest.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from paylake import contracts
from paylake.errors import PermanentFailure
from paylake.lake import Lake
from paylake.settings import Settings

_clock = threading.Lock()
_last = datetime.min.replace(tzinfo=UTC)


def _now() -> datetime:
    """A time that never stands still or goes back in this process: it orders events of a key."""
    global _last
    with _clock:
        _last = max(datetime.now(UTC), _last + timedelta(microseconds=1))
        return _last


def record(settings: Settings, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
    """Append events to an `ops` table in one commit; `recorded_at` is filled in.

    :param table: name without the layer (`delivery`, `run_step`, …).
    :param rows: one mapping a row; optional columns may be left out.
    :returns: how many rows were written.
    :raises PermanentFailure: for an unknown column, a missing required one, or a value that its
        contract does not list.
    """
    contract = contracts.load(f"ops.{table}")
    known = {column.name for column in contract.columns}
    prepared = []
    for row in rows:
        full = {**row, "recorded_at": _now()}
        _check(contract, full, known)
        prepared.append({name: full.get(name) for name in contract.arrow_schema.names})
    if not prepared:
        return 0
    lake = Lake(settings)
    lake.ensure_contract(contract)
    lake.append("ops", table, pa.Table.from_pylist(prepared, schema=contract.arrow_schema))
    return len(prepared)


def _check(contract: contracts.Contract, row: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(row) - known)
    missing = [c.name for c in contract.columns if c.required and row.get(c.name) is None]
    wrong = [
        f"{c.name}={row[c.name]!r}"
        for c in contract.columns
        if c.valid_values and row.get(c.name) is not None and row[c.name] not in c.valid_values
    ]
    if unknown or missing or wrong:
        raise PermanentFailure(
            f"A row for ops.{contract.table} does not follow its contract: unknown columns "
            f"{unknown}, missing {missing}, values not listed {wrong}",
            "Correct the writer, or the contract.",
            where=str(contract.path),
        )


def rows(
    settings: Settings, table: str, where: str = "true", parameters: Any = None
) -> list[dict[str, Any]]:
    """All events of an `ops` table that match, oldest first; none when nothing was ever recorded.

    :param where: a DuckDB predicate over the table's columns.
    """
    lake = Lake(settings)
    if not lake.exists("ops", table):
        return []
    return lake.query(
        f"select * from ops.{table} where {where} order by recorded_at", parameters
    ).to_pylist()


def latest(
    settings: Settings,
    table: str,
    where: str = "true",
    parameters: Any = None,
    key: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """The newest event of each key that matches, ordered by key.

    :param where: applied to the newest events (a state that was left does not come back).
    :param key: columns of the key, the contract's by default.
    """
    lake = Lake(settings)
    if not lake.exists("ops", table):
        return []
    names = ", ".join(key or contracts.load(f"ops.{table}").key)
    return lake.query(
        f"""
        select * from (
            select * from ops.{table}
            qualify row_number() over (partition by {names} order by recorded_at desc) = 1
        )
        where {where} order by {names}
        """,
        parameters,
    ).to_pylist()
