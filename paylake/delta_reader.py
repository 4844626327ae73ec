"""The process's one DuckDB, which reads Delta tables.

Loading the Delta extension takes up to half a second, and opening a table and naming it most of a
small query's time. So each is done once: a table's snapshot stays attached as long as the table's
log is the same, and queries take turns at catalogs that remember the names.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from paylake.store import Access, Store, extension

_MOST_ATTACHED = 256
_lock = threading.Lock()
#: By process: a forked one must not use its parent's.
_shared: dict[int, duckdb.DuckDBPyConnection] = {}
_admitted: dict[str, tuple[int, Access]] = {}
_numbers = itertools.count()


def delta_extension() -> Path:
    """The signed Delta extension of DuckDB, from its wheel: no download."""
    return extension("delta")


def connect(store: Store | None = None) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that reads Delta, in UTC; of an object store, this lake's."""
    connection = duckdb.connect(":memory:")
    connection.execute(f"load '{delta_extension()}'")
    connection.execute("set timezone = 'UTC'")
    if store is not None:
        store.admit(connection)
    return connection


def _base(store: Store) -> duckdb.DuckDBPyConnection:
    """The process's DuckDB, told how to read the store; asked for under the lock."""
    base = _shared.get(os.getpid())
    if base is None:
        base = _shared[os.getpid()] = connect()
    admission = store.admission()
    if admission is not None:
        bucket, access = admission
        if _admitted.get(bucket) != (os.getpid(), access):
            store.admit(base)
            _admitted[bucket] = os.getpid(), access
    return base


def _attached(base: duckdb.DuckDBPyConnection, place: str) -> tuple[duckdb.DuckDBPyConnection, str]:
    name = f"q{next(_numbers)}"
    connection = base.cursor()
    connection.execute(f"attach '{place}' as {name}")
    connection.execute(f"use {name}")
    connection.execute("set timezone = 'UTC'")
    return connection, name


@contextmanager
def own_file(store: Store, path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that writes a DuckDB file and reads the lake; the file is whole at exit."""
    with _lock:
        connection, name = _attached(_base(store), str(path))
    try:
        yield connection
    finally:
        connection.execute("use memory")
        connection.execute(f"detach database if exists {name}")
        connection.close()


@dataclass
class _File:
    """A DuckDB file that is attached to be read: which one it was then, and how many read it."""

    name: str
    identity: tuple[int, int]
    users: int = 0


_files: dict[tuple[int, str], _File] = {}


class FileReader:
    """Reads a DuckDB file of views over Delta tables; to be closed.

    The file is attached to the process's own DuckDB, which has loaded the extension. One that was
    replaced while others read the former file gets a DuckDB of its own.

    :raises duckdb.Error: when the file is not whole
    """

    def __init__(self, store: Store, path: Path) -> None:
        found = path.stat()
        self._key = os.getpid(), str(path)
        self._file: _File | None = None
        with _lock:
            base = _base(store)
            file = _files.get(self._key)
            if file is None:
                file = _File(f"f{next(_numbers)}", (found.st_dev, found.st_ino))
                base.execute(f"attach '{path}' as {file.name} (read_only)")
                _files[self._key] = file
            if file.identity == (found.st_dev, found.st_ino):
                file.users += 1
                self._file = file
                self.connection = base.cursor()
                self.connection.execute(f"use {file.name}")
        if self._file is None:
            self.connection = duckdb.connect(str(path), read_only=True)
            self.connection.execute(f"load '{delta_extension()}'")
            store.admit(self.connection)
        self.connection.execute("set timezone = 'UTC'")

    def views(self) -> dict[str, str | None]:
        """The comment of each view, by name, in the order of names."""
        return dict(self.connection.execute(
            "select view_name, comment from duckdb_views() where not internal "
            "and database_name = current_database() order by 1"
        ).fetchall())

    def close(self) -> None:
        """Once; the file is let go when nobody reads it any more."""
        self.connection.close()
        file, self._file = self._file, None
        if file is None or self._key[0] != os.getpid():
            return
        with _lock:
            file.users -= 1
            if not file.users and _files.get(self._key) is file:
                del _files[self._key]
                _shared[os.getpid()].execute(f"detach database if exists {file.name}")


class Catalog:
    """A connection with a catalog of views `layer.table`, for one query at a time."""

    def __init__(self, base: duckdb.DuckDBPyConnection) -> None:
        self.connection, _ = _attached(base, ":memory:")
        self._shown: dict[tuple[str, str], str] = {}

    def show(self, layer: str, table: str, source: str, *, is_fixed: bool) -> None:
        """Let the name stand for a source.

        :param is_fixed: the source always has these rows and columns, so that the name can stay
        """
        if self._shown.get((layer, table)) == source:
            return
        self._shown.pop((layer, table), None)
        view(self.connection, layer, table, source)
        if is_fixed:
            self._shown[layer, table] = source


def view(connection: duckdb.DuckDBPyConnection, layer: str, table: str, source: str) -> None:
    """Make the view `layer.table` over a source."""
    connection.execute(f"create schema if not exists {layer}")
    connection.execute(f"create or replace view {layer}.{table} as select * from {source}")


_free: dict[int, list[Catalog]] = {}


@contextmanager
def catalog(store: Store) -> Iterator[Catalog]:
    """One that no other query uses now."""
    with _lock:
        base, free = _base(store), _free.setdefault(os.getpid(), [])
        taken = free.pop() if free else Catalog(base)
    try:
        yield taken
    finally:
        with _lock:
            free.append(taken)


@dataclass
class Snapshot:
    """A version of a table that is attached, how many queries use it, whether it was replaced."""

    name: str
    state: int
    users: int = 0
    is_replaced: bool = False


_snapshots: OrderedDict[tuple[int, str, int | None], Snapshot] = OrderedDict()


def take(store: Store, address: str, version: int | None, state: int) -> Snapshot:
    """The snapshot of a table, attached; to be given back.

    :param version: the pinned version; None: the latest one
    :param state: what the table's log is now; a snapshot of another one is not used any more
    """
    key = os.getpid(), address, version
    with _lock:
        found = _snapshots.get(key)
        if found is None or found.state != state:
            if found is not None:
                _retire(_snapshots.pop(key))
            pinned = "" if version is None else f", version {version}"
            found = Snapshot(f"t{next(_numbers)}", state)
            _base(store).execute(
                f"attach '{address}' as {found.name} (type delta, pin_snapshot{pinned})"
            )
            _snapshots[key] = found
            while len(_snapshots) > _MOST_ATTACHED:
                (process, *_), oldest = _snapshots.popitem(last=False)
                if process == os.getpid():
                    _retire(oldest)
        _snapshots.move_to_end(key)
        found.users += 1
        return found


def give_back(snapshot: Snapshot) -> None:
    """A query that used the snapshot is done with it."""
    with _lock:
        snapshot.users -= 1
        if snapshot.is_replaced:
            _retire(snapshot)


def _retire(snapshot: Snapshot) -> None:
    """Detach it once nobody uses it."""
    snapshot.is_replaced = True
    if not snapshot.users:
        _shared[os.getpid()].execute(f"detach database if exists {snapshot.name}")
