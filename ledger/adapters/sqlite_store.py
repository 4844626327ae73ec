"""The ledger's store on SQLite: WAL, `synchronous=full`, one writer, plain SQL."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain, count
from operator import itemgetter
from pathlib import Path
from typing import Any

from ledger.adapters.schema import SCHEMA_VERSION, sqlite_additions, statements
from ledger.adapters.sql_store import SqlStore
from ledger.adapters.sqlite_reader import SqliteReader, named_faults
from ledger.service.ports import Secret
from paylake.durable import named_writes
from paylake.errors import LeaseHeld, PermanentFailure

#: Rows of one statement, if there are as many; fewer make a statement of their own. SQLite takes
#: 32,766 values in one, and keeps those that it has read.
_ROWS = (1000, 250, 50)
#: Of an entry: type, version, outcome, actor, times and dates, approval.
_OFTEN_SHARED = {"entry": (2, 3, 4, 7, 9, 10, 11, 15)}


class SqliteStore(SqlStore, SqliteReader):
    """The one writer. Holds a lock file while it is open.

    :param path: `<home>/ledger/ledger.db`
    :param simulated: what kind of ledger to make, or what an existing one must be
    :raises LeaseHeld: when another process has it open
    :raises PermanentFailure: when the ledger is of the other kind
    :raises DiskFull, EnvironmentFault: when the home takes no file
    """

    def __init__(self, path: Path, *, simulated: bool) -> None:
        with named_writes(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = take_lock(path.with_suffix(".lock"))
        try:
            with named_writes(path):
                # Made here so that database, WAL and shared memory are the owner's alone.
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            super().__init__(path, writable=True, any_thread=True)
            with named_faults(path):
                self._prepare(simulated)
        except BaseException:
            os.close(self._lock)
            raise

    def _prepare(self, simulated: bool) -> None:
        db = self.db
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        db.execute("pragma cache_size = -262144")
        db.execute("pragma wal_autocheckpoint = 8000")
        kind = "simulated" if simulated else "real"
        if db.execute("select count(*) from sqlite_master").fetchone()[0] == 0:
            db.executescript(
                "begin;" + statements() + f"insert into meta values ('kind', '{kind}');"
                + f"pragma user_version = {SCHEMA_VERSION}; commit;"
            )
        self._check_version()
        db.executescript(f"begin;{sqlite_additions()}commit;")
        found = self.meta("kind")
        if found != kind:
            raise PermanentFailure(
                f"this ledger is {found}, it cannot be served as {kind}",
                "start it as what it is, or use another home", where=str(self.path),
            )

    def close(self) -> None:
        """Checkpoint the WAL, close and give up the lock."""
        try:
            with named_faults(self.path):
                self.db.execute("pragma wal_checkpoint(truncate)")
        finally:
            super().close()
            os.close(self._lock)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is written inside, flushed to disk, or roll all of it back."""
        with named_faults(self.path):
            asked = False
            try:
                self.db.execute("begin immediate")
                yield
                asked = True
                self.db.execute("commit")
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("rollback")
                elif asked:
                    self.uncertain = True
                raise

    def replace_secrets(self, added: Iterable[Secret], dropped: Iterable[Secret]) -> None:
        """As :meth:`SqlStore.replace_secrets`; what is dropped is overwritten in the file."""
        self.db.execute("pragma secure_delete = on")
        super().replace_secrets(added, dropped)

    def beside(self) -> SqliteReader:
        """A second connection, to read while another thread writes."""
        return SqliteReader(self.path, any_thread=True)

    def _many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self.db.executemany(sql, rows)

    def _add(self, table: str, rows: Sequence[Sequence[Any]], otherwise: str = "") -> None:
        """Many rows a statement, the same few statements again and again: SQLite works through
        one without Python's lock, which running a statement for each row would ask for each time;
        beside a busy thread it would wait there for most of its time."""
        start = 0
        while start < len(rows):
            many = next((n for n in _ROWS if n <= len(rows) - start), len(rows) - start)
            part = rows[start:start + many]
            shared = _shared(table, part)
            own: Iterable[Sequence[Any]] = part
            if shared:
                own = map(itemgetter(*(n for n in range(len(part[0])) if n not in shared)), part)
            self.db.execute(
                f"insert into {table} values {_places(many, len(part[0]), shared)} {otherwise}",
                [*(part[0][n] for n in shared), *chain.from_iterable(own)],
            )
            start += many


def _shared(table: str, rows: Sequence[Sequence[Any]]) -> tuple[int, ...]:
    """Columns in which the rows say the same, of those in which the rows of a request often do:
    their values are given once. All of these or none, so that there are few statements."""
    columns = _OFTEN_SHARED.get(table, ())
    if len(rows) < _ROWS[-1] or not columns:
        return ()
    return columns if len(set(map(itemgetter(*columns), rows))) == 1 else ()


@lru_cache(64)
def _places(rows: int, columns: int, shared: tuple[int, ...]) -> str:
    """Rows of numbered parameters: the shared ones first, then each row's own."""
    own = count(len(shared) + 1)
    return ", ".join(
        "(" + ", ".join(
            f"?{shared.index(n) + 1 if n in shared else next(own)}" for n in range(columns)
        ) + ")"
        for _ in range(rows)
    )


def take_lock(path: Path) -> int:
    """The lock of the one writer, as an open file.

    :raises LeaseHeld: when another process has it
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.read(descriptor, 20).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise LeaseHeld(
            f"process {owner or 'unknown'} has this ledger open",
            "stop it first, or talk to it over HTTP", where=str(path),
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor
