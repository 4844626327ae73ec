"""What a business date holds, as digests: the basis of releases, waivers and "nothing to do".

A content digest is that of `Lake.digests`: equal for equal rows. Digests of a date over several
tables are joined through canonical JSON, so that they can be written down, compared and explained.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from typing import Any

from paylake.crypto import sm3_hex
from paylake.dates import date_range
from paylake.errors import PermanentFailure
from paylake.lake import Lake
from paylake.settings import ROOT

#: dbt's intermediate tables stay in `work`; everything else there is published.
PRIVATE_PREFIXES = ("stg_", "int_")
_CODE = ("paylake", "contracts", "ingestion", "spark_jobs", "dbt")
_RULES = ("expectations", "dbt/seeds")
_SUFFIXES = (".py", ".sql", ".yml", ".csv")

Partitions = dict[date, dict[str, str]]


def canonical(value: Any) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str
    ).encode()


def digest_of(value: Any) -> str:
    """SM3 of the canonical JSON of a value."""
    return sm3_hex(canonical(value))


def dated_tables(lake: Lake, layer: str) -> list[str]:
    """Tables of a layer that have a business date, sorted."""
    return [
        table
        for table in lake.tables(layer)
        if any(name == "business_date" for name, _ in lake.columns(layer, table))
    ]


def publishable_tables(lake: Lake) -> list[str]:
    """Tables of `work` that go to `gold`."""
    return [t for t in dated_tables(lake, "work") if not t.startswith(PRIVATE_PREFIXES)]


def partitions(
    lake: Lake, names: Iterable[tuple[str, str]], first: date, last: date, *, fresh: bool = False
) -> Partitions:
    """Digests by date and `layer.table`; dates and tables without rows are absent.

    Delta's data files never change, so a partition with the same files has the same digest: these
    are remembered below `<home>/run`, which may be removed at any time.

    :param fresh: read every row all the same (to find a damaged file).
    """
    found: Partitions = {}
    with _memory(lake) as memory:
        for layer, table in names:
            keys = _file_keys(lake, layer, table, first, last)
            known = {} if fresh else memory.get(keys.values())
            lacking = [day for day, key in keys.items() if key not in known]
            read = {}
            if lacking:
                read = lake.digests(layer, table, min(lacking), max(lacking))
                memory.put({keys[d]: digest for d, digest in read.items() if d in keys})
            for day, key in keys.items():
                digest = read.get(day) or known.get(key)
                if digest is not None:
                    found.setdefault(day, {})[f"{layer}.{table}"] = digest
    return found


def _file_keys(lake: Lake, layer: str, table: str, first: date, last: date) -> dict[date, str]:
    """What names the content of each partition: the table's columns and the partition's files."""
    actions = lake.actions(layer, table)
    if "partition.business_date" not in actions.column_names:
        raise PermanentFailure(
            f"{layer}.{table} is not partitioned by business date",
            "Create it through paylake.lake, which partitions dated tables.",
            where=lake.address(layer, table),
        )
    days = actions.column("partition.business_date").to_pylist()
    paths = actions.column("path").to_pylist()
    sizes = actions.column("size_bytes").to_pylist()
    files: dict[date, list[tuple[str, int]]] = {}
    for day, path, size in zip(days, paths, sizes, strict=True):
        if first <= day <= last:
            files.setdefault(day, []).append((path, size))
    columns = lake.columns(layer, table)
    return {
        day: digest_of([layer, table, columns, sorted(listed)])
        for day, listed in sorted(files.items())
    }


class _Memory:
    """Digests by file key, in a small SQLite file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("create table if not exists digest (key text primary key, value text)")

    def get(self, keys: Iterable[str]) -> dict[str, str]:
        found = {}
        for key in keys:
            row = self._connection.execute(
                "select value from digest where key = ?", (key,)
            ).fetchone()
            if row:
                found[key] = row[0]
        return found

    def put(self, digests: dict[str, str]) -> None:
        self._connection.executemany("insert or replace into digest values (?, ?)", digests.items())
        self._connection.commit()


@contextmanager
def _memory(lake: Lake) -> Iterator[_Memory]:
    path = lake.settings.path("run", "digests.db")
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        yield _Memory(connection)


def gated(lake: Lake, first: date, last: date) -> dict[date, str]:
    """The digest that a gate result and a waiver hold for, by date.

    It covers what is about to be published and the silver rows that the checks compare it with, of
    the date and of the one before: checks of continuity read both. A date without any row has the
    digest of nothing.
    """
    names = [("work", t) for t in publishable_tables(lake)]
    names += [("silver", t) for t in dated_tables(lake, "silver")]
    found = partitions(lake, names, first - timedelta(days=1), last)
    return {
        day: digest_of([found.get(day - timedelta(days=1), {}), found.get(day, {})])
        for day in date_range(first, last)
    }


def _tree_digest(folders: Iterable[str]) -> str:
    listed = {
        str(path.relative_to(ROOT)): sm3_hex(path.read_bytes())
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in _SUFFIXES and path.is_file() and "target" not in path.parts
    }
    return digest_of(listed)


def code_version() -> str:
    """Digest of the code that makes tables; another one may give other figures."""
    return _tree_digest(_CODE)


def rule_version() -> str:
    """Digest of the checks and reference tables."""
    return _tree_digest(_RULES)
