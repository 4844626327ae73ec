"""The file of ``ops`` views: ``<home>/serving/ops.duckdb``, over the Delta tables at latest.

It is written anew when a table appears that it does not know; a file that is right is left alone.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import duckdb_extension_delta

from dashboards import views
from dashboards.views import required
from paylake.settings import Settings
from paylake.store import store


def _base(settings: Settings) -> dict[str, str]:
    """Base view → SQL over the Delta tables that exist."""
    lake = store(settings)
    base = {
        name: f"select * from delta_scan('{lake.url('ops', name)}')"
        for name in lake.tables("ops")
        if name in required.OPS_TABLES
    }
    kept = ", ".join(f'"{c}"' for c in required.QUARANTINE["quarantine_row"] if c != "table_name")
    parts = [
        f"select '{name}' as table_name, {kept} "
        f"from delta_scan('{lake.url('quarantine', name)}')"
        for name in lake.tables("quarantine")
    ]
    if parts:
        base["quarantine_row"] = " union all ".join(parts)
    return base


def _present(file: Path) -> dict[str, str]:
    connection = duckdb.connect(str(file), read_only=True)
    try:
        rows = connection.execute("select name, sql from source").fetchall()
    except duckdb.CatalogException:
        return {}  # a file that something else wrote: it is written anew
    finally:
        connection.close()
    return dict(rows)


def write(settings: Settings) -> bool:
    """Make or renew the file.

    :returns: whether anything was written.
    """
    file = settings.path("serving", "ops.duckdb")
    if not store(settings).tables("ops"):
        return False  # nothing ever ran: connections show empty views by themselves
    base = _base(settings)
    definitions = [*base.items(), *views.ops_view_definitions(dict.fromkeys(base, ()))]
    if file.exists() and _present(file) == dict(definitions):
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".ops.{os.getpid()}.duckdb")
    partial.unlink(missing_ok=True)
    extension = Path(
        next(iter(duckdb_extension_delta.__path__)),
        "extensions",
        f"v{duckdb.__version__}",
        "delta.duckdb_extension",
    )
    connection = duckdb.connect(str(partial))
    try:
        connection.execute(f"load '{extension}'")
        store(settings).admit(connection)
        connection.execute("create table source (name varchar, sql varchar)")
        for name, sql in definitions:
            connection.execute(f'create view "{name}" as {sql}')
            connection.execute("insert into source values (?, ?)", [name, sql])
    finally:
        connection.close()
    partial.replace(file)
    return True
