"""A release's views over tables that stay open.

The file of a release names its tables by `delta_scan`, so that anybody may open it; there each
table is opened anew whenever a view over it is planned, which was most of a chart's query. Here
the same views stand in a file of this Superset's own, over tables that are attached once.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from paylake.settings import Settings
from paylake.store import store

#: What the attached tables are called; nobody may name them (`guard.check`).
PREFIX = "pinned_"


def versions(released: Path) -> dict[str, int]:
    """Versions of the tables that a release's file pins, by table; none in a file of before."""
    with duckdb.connect(str(released), read_only=True) as file:
        rows = file.execute(
            "select view_name, comment from duckdb_views() where not internal"
        ).fetchall()
    return {name: int(note) for name, note in rows if name != "release" and note}


def attach(
    connection: duckdb.DuckDBPyConnection, settings: Settings, tables: dict[str, int]
) -> frozenset[str]:
    """Attach the tables at their versions (the Delta extension is loaded); returns their names."""
    lake = store(settings)
    for table, version in tables.items():
        connection.execute(
            f"attach '{lake.url('gold', table)}' as {PREFIX}{table}"
            f" (type delta, pin_snapshot, version {version})"
        )
    return frozenset(f"{PREFIX}{table}" for table in tables)


def write(
    released: Path, target: Path, settings: Settings, extension: Path, tables: dict[str, int]
) -> None:
    """Write the file of views, atomically, unless it is newer than the release's; files of other
    releases go."""
    if target.exists() and target.stat().st_mtime_ns > released.stat().st_mtime_ns:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    with duckdb.connect(str(released), read_only=True) as file:
        views = dict(file.execute(
            "select view_name, sql from duckdb_views() where not internal"
        ).fetchall())  # fmt: skip
    try:
        with duckdb.connect(str(partial)) as made:
            made.execute(f"load '{extension}'")
            store(settings).admit(made)
            attach(made, settings, tables)
            made.execute(views.pop("release"))
            through = made.execute("select through from release").fetchone()
            assert through is not None
            for name in tables:
                del views[name]
                made.execute(
                    f'create view "{name}" as select * from {PREFIX}{name}'
                    f" where business_date <= date '{through[0]}'"
                )
            _define(made, views)
        partial.replace(target)
        for other in target.parent.glob("*.duckdb"):
            if other != target:
                other.unlink(missing_ok=True)  # who has it open keeps it
    finally:
        partial.unlink(missing_ok=True)
        partial.with_name(f"{partial.name}.wal").unlink(missing_ok=True)


def _define(connection: duckdb.DuckDBPyConnection, views: dict[str, str]) -> None:
    """Make views that stand on one another; a file does not keep their order."""
    while views:
        before = len(views)
        for name, sql in list(views.items()):
            try:
                connection.execute(sql)
            except duckdb.CatalogException:
                continue  # what it stands on comes later in this round
            del views[name]
        if len(views) == before:
            connection.execute(next(iter(views.values())))  # says what is missing
