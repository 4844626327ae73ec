"""Connections to what was released: one read-only, locked-down DuckDB instance a release file.

``<home>/serving/CURRENT`` names the release in force; it is read once a request, so that a
query and its cache key always speak of the same release. A switch needs no restart: the next
request opens the new file, and instances of former releases close once they idle. The ``ops``
views (state of deliveries, runs, gate) live in ``<home>/serving/ops.duckdb``, a connection of
their own, read at latest.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import duckdb_extension_delta
from duckdb_engine import ConnectionWrapper, CursorWrapper

from dashboards import snapshots, views
from dashboards.guard import Refused, check
from paylake import dates
from paylake.settings import Settings, load
from paylake.store import store

GOLD, OPS = "gold", "ops"
NO_RELEASE = "none"
FIRST_VIEW = {GOLD: "screen_state_zh", OPS: "open_now_zh"}
IDLE_SECONDS = 60.0
QUERY_SECONDS = float(os.environ.get("PAYLAKE_QUERY_SECONDS", "30"))


@dataclass
class Instance:
    """One open file: its connection, the relations in it, and when it was last used."""

    connection: duckdb.DuckDBPyConnection
    relations: frozenset[str]
    attached: frozenset[str]  # names of attached tables, which no reader may use
    used: float


_lock = threading.Lock()
_open: dict[tuple[str, str], Instance] = {}


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of the home that this process serves."""
    return load()


def _serving(*parts: str) -> Path:
    return settings().path("serving", *parts)


def in_force() -> str:
    """The id of the release in force, or ``none`` while nothing is released."""
    try:
        return _serving("CURRENT").read_text("utf-8").strip() or NO_RELEASE
    except FileNotFoundError:
        return NO_RELEASE


def release() -> str:
    """The release of this request: read once, so that cache key and query agree."""
    from flask import g, has_request_context

    if not has_request_context():
        return in_force()
    if "paylake_release" not in g:
        g.paylake_release = in_force()
    return g.paylake_release


def _extension() -> Path:
    return Path(
        next(iter(duckdb_extension_delta.__path__)),
        "extensions",
        f"v{duckdb.__version__}",
        "delta.duckdb_extension",
    )


def _lock_down(
    connection: duckdb.DuckDBPyConnection, layer: str, tables: dict[str, int]
) -> frozenset[str]:
    """Let the connection read its layer and nothing else; returns the names of what is attached."""
    folders = ["gold"] if layer == GOLD else ["ops", "quarantine"]
    lake = store(settings())
    allowed = ", ".join(f"'{lake.url(folder)}'" for folder in folders)
    lake.admit(connection)
    connection.execute(f"load '{_extension()}'")
    attached = snapshots.attach(connection, settings(), tables)
    for statement in (
        f"set allowed_directories = [{allowed}]",
        "set TimeZone = 'UTC'",
        "set temp_directory = ''",
        "set enable_external_access = false",
        "set lock_configuration = true",
    ):
        connection.execute(statement)
    return attached


def _connect(file: Path | None) -> duckdb.DuckDBPyConnection:
    config = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "memory_limit": "1GB",
        "threads": "2",
    }
    if file is None:
        return duckdb.connect(":memory:", config=config)
    return duckdb.connect(str(file), read_only=True, config=config)


def _relations(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    rows = connection.execute(
        "select table_name from information_schema.tables where table_schema = 'main'"
    ).fetchall()
    return frozenset(str(row[0]).lower() for row in rows)


def _open_instance(source: str, identity: str) -> Instance:
    if source == OPS:
        file = _serving("ops.duckdb")
        present, definitions = file.exists(), views.ops_view_definitions
    else:
        file = _serving(f"{identity}.duckdb")
        present, definitions = identity != NO_RELEASE, views.view_definitions
    tables = snapshots.versions(file) if source == GOLD and present else {}
    if tables:
        own = settings().path("superset", "screens", file.name)
        snapshots.write(file, own, settings(), _extension(), tables)
        file = own
    connection = _connect(file if present else None)
    relations = _relations(connection)
    if FIRST_VIEW[source] not in relations:
        # Nothing released yet (release 0 has no views): the same views over nothing, so that
        # screens say so by themselves.
        connection.close()
        connection = _connect(None)
        for name, sql in definitions({}):
            connection.execute(f'create view "{name}" as {sql}')
        relations, tables = _relations(connection), {}
    attached = _lock_down(connection, source, tables)
    return Instance(connection, relations, attached, time.monotonic())


def _identity(source: str) -> str:
    if source == GOLD:
        return release()
    try:
        stat = _serving("ops.duckdb").stat()
    except FileNotFoundError:
        return NO_RELEASE
    return f"{stat.st_ino}-{stat.st_mtime_ns}"


def instance(source: str) -> Instance:
    """The instance of this request's release (or of the ops views), opened when first asked."""
    identity = _identity(source)
    current = in_force()
    with _lock:
        now = time.monotonic()
        key = (source, identity)
        if key not in _open:
            _open[key] = _open_instance(source, identity)
        _open[key].used = now
        for other in list(_open):
            idle = now - _open[other].used > IDLE_SECONDS
            if other != key and other != (GOLD, current) and idle:
                _open.pop(other).connection.close()
        return _open[key]


@lru_cache(maxsize=1)
def _home() -> dict[str, Any]:
    try:
        return json.loads(settings().path("home.json").read_text("utf-8"))
    except FileNotFoundError:
        return {}


def as_of() -> datetime:
    """The moment at which lateness is judged (UTC).

    Now; in a simulated home the run time of the last date that a run has worked on, because its
    business dates have nothing to do with the wall clock.
    """
    if _home().get("kind") == "simulated":
        state = store(settings()).log_state("ops", "run_step")
        last = _last_run() if state is None else _last_run_of(_identity(OPS), state)
        if last is not None:
            return dates.run_time(last, settings())
    return datetime.now(UTC)


def _last_run() -> date | None:
    """The last date that a run has worked on."""
    cursor = instance(OPS).connection.cursor()
    try:
        row = cursor.execute("select max(last_date) from run_step").fetchone()
    finally:
        cursor.close()
    return row[0] if row else None


@lru_cache(maxsize=2)
def _last_run_of(identity: str, state: int) -> date | None:
    """The same, remembered while the table's log is the same: every connection asks for it."""
    return _last_run()


def due_date(moment: datetime) -> date:
    """The last business date that should be out at this moment: its run time has come."""
    day = moment.date()
    while dates.run_time(day, settings()) > moment:
        day -= timedelta(days=1)
    return day


class GuardedCursor(CursorWrapper):
    """Runs only what the guard lets pass, and no longer than the limit."""

    def __init__(self, connection: Any, wrapper: Any, rights: dict[str, Any]) -> None:
        super().__init__(connection, wrapper)
        self._connection, self._rights = connection, rights

    def execute(self, statement: str, parameters: Any = None, context: Any = None) -> None:
        check(statement, **self._rights)
        timer = threading.Timer(QUERY_SECONDS, self._connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            super().execute(statement, parameters, context)
        finally:
            timer.cancel()

    def executemany(self, *_: Any, **__: Any) -> None:
        raise Refused("Only one SELECT at a time may be run here")


class GuardedConnection(ConnectionWrapper):
    """A connection whose cursors are guarded."""

    def __init__(self, connection: Any, rights: dict[str, Any]) -> None:
        super().__init__(connection)
        self._raw, self._rights = connection, rights

    def cursor(self) -> GuardedCursor:
        return GuardedCursor(self._raw, self, self._rights)


def connect(
    source: str,
    *,
    variables: dict[str, Any] | None = None,
    readable: frozenset[str] | None = None,
    catalog: bool = True,
) -> GuardedConnection:
    """A guarded connection for one reader.

    :param source: ``gold`` (the release in force) or ``ops``.
    :param variables: row scope, read by the views: ``scope_all``, ``scope_region``. Nothing set
        means that every view is empty.
    :param readable: relations that the reader may name; None for all (command line).
    :param catalog: whether the driver may look up columns (not in SQL Lab).
    """
    opened = instance(source)
    cursor = opened.connection.cursor()
    moment = as_of()
    due = due_date(moment)
    home = _home()
    own = replace(settings(), cutoff=home.get("cutoff") or settings().cutoff)
    ends = dates.date_end(due, own)
    values = {
        **(variables or {}),
        "as_of": moment.replace(tzinfo=None),
        "due_date": due,
        "date_ends": ends.replace(tzinfo=None) - datetime.combine(due, datetime.min.time()),
        "absent_feeds": sorted(home.get("absent_feeds", [])),
        "zone_offset": moment.astimezone(ZoneInfo(settings().zone)).utcoffset(),
    }
    for name, value in values.items():
        cursor.execute(f"set variable {name} = $1", [value])
    allowed = opened.relations if readable is None else opened.relations & readable
    existing = opened.relations | opened.attached
    rights = {"readable": allowed, "existing": existing, "catalog": catalog}
    return GuardedConnection(cursor, rights)
