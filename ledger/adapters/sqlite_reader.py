"""Reading a ledger on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ledger.adapters.schema import SCHEMA_VERSION
from ledger.adapters.sql_reader import SqlReader
from ledger.domain.chain import PIECES
from paylake.errors import (
    DiskFull,
    EnvironmentFault,
    PaylakeError,
    PermanentFailure,
    TransientFault,
)


def named(error: sqlite3.DatabaseError, path: Path) -> PaylakeError:
    """SQLite's error as the kernel's, with what to do next."""
    text = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        return PermanentFailure(
            f"the ledger's storage refused a row ({text})",
            "run `python -m ledger verify`; nothing of the batch was written", where=str(path),
        )
    if "full" in text:
        return DiskFull(
            "the disk is full; nothing of the batch was written",
            "make room, then send it again", where=str(path),
        )
    if "locked" in text or "busy" in text:
        return TransientFault(
            "the ledger's database is locked", "send it again", where=str(path)
        )
    return EnvironmentFault(
        f"the ledger's database cannot be used ({text})",
        "check the disk, then restore a backup and run `python -m ledger verify`",
        where=str(path),
    )


@contextmanager
def named_faults(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the kernel's."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise named(error, path) from error


#: Keys from which it is worth to look at what lies between them.
_MANY = 20
_HASHED = PIECES[2:]  # the columns of those names; before them stand format and digest before
_CANONICAL = "select sequence, journal, cast(printf('{}', {}) as blob), digest from entry".format(
    "%d:%s" * len(_HASHED),
    ", ".join(f"coalesce(length(cast({name} as blob)), 0), coalesce({name}, '')"
              for name in _HASHED),
)


#: Tables that have indices beside themselves. Those without rowid have none, and some versions of
#: SQLite see a missing value in them where there is none.
_INDEXED = ("entry", "segment", "item", "head", "day_close")


class SqliteReader(SqlReader):
    """Reads of one ledger database. Opens its own connection, read-only unless told."""

    def __init__(self, path: Path, *, writable: bool = False, any_thread: bool = False) -> None:
        if not writable and not path.is_file():
            raise PermanentFailure(
                "there is no ledger here", "start it with `python -m ledger serve`",
                where=str(path),
            )
        self.path = path
        with named_faults(path):
            self.db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'rwc' if writable else 'ro'}",
                uri=True, isolation_level=None, timeout=30, cached_statements=256,
                check_same_thread=not any_thread,
            )
            if not writable:
                self._check_version()

    def _check_version(self) -> None:
        found = self.db.execute("pragma user_version").fetchone()[0]
        if found != SCHEMA_VERSION:
            raise PermanentFailure(
                f"the ledger's database has schema {found}, this program writes {SCHEMA_VERSION}",
                "use the program version that made it, or migrate it with `python -m ledger "
                "migrate`", where=str(self.path),
            )

    def look(self) -> None:
        """A file is not lost unnoticed."""

    def close(self) -> None:
        """Close the connection."""
        self.db.close()

    def has_table(self, name: str) -> bool:
        """Whether there is a table of this name."""
        return self._one("select 1 from sqlite_master where name = ?", (name,)) is not None

    def storage_fault(self) -> str | None:
        """What SQLite finds wrong with its tables and indices, as rows that an index lacks."""
        for table in _INDEXED:
            found = str(self._single(f"pragma integrity_check({table})")[0])
            if found != "ok":
                return found
        return None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads of one state."""
        with named_faults(self.path):
            self.db.execute("begin")
            try:
                yield
            finally:
                self.db.execute("rollback")

    def hashed(self, first: int, last: int) -> Iterator[tuple[int, int | None, bytes, bytes]]:
        """SQLite puts the bytes together, several times faster than Python."""
        sql = f"{_CANONICAL} where sequence between ? and ? order by sequence"
        return self._all(sql, (first, last))

    # Every read goes through the two below, so that none answers with an error of SQLite, whoever
    # asks and whether in a transaction or not.

    def _all(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple]:
        try:
            rows = self.db.execute(sql, values)
        except sqlite3.DatabaseError as error:
            raise named(error, self.path) from error
        return self._taken(rows)

    def _taken(self, rows: sqlite3.Cursor) -> Iterator[tuple]:
        try:
            # `yield from` would close the cursor with this, and that may be after the database
            for row in rows:  # noqa: UP028
                yield row
        except sqlite3.DatabaseError as error:
            raise named(error, self.path) from error

    def _there(self, column: str, keys: Sequence[str]) -> Collection[str]:
        """Keys that grow with time have none of the log's between them, which one look at the
        index shows; where there are as many as were asked for, each is looked up after all."""
        if len(keys) < _MANY:
            return keys
        found = list(self._all(
            f"select {column} from entry where {column} between ? and ? limit ?",
            (min(keys), max(keys), len(keys)),
        ))
        if len(found) == len(keys):
            return keys
        return {row[0] for row in found}.intersection(keys)

    def _one(self, sql: str, values: Sequence[Any] = ()) -> tuple | None:
        try:
            return self.db.execute(sql, values).fetchone()
        except sqlite3.DatabaseError as error:
            raise named(error, self.path) from error
