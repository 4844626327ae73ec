"""The ledger's storage on PostgreSQL, by asyncpg.

The service has one writer thread, so the connection's event loop runs inside the calls of that
thread. One writer at a time holds an advisory lock, taken with the connection and given back with
it: a second writer is refused, and a writer that lost its connection lost the lock as well, so it
does not connect again: another may have written since.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg

from ledger.adapters import postgres_schema
from ledger.adapters.schema import (
    REVISIONS,
    SCHEMA_VERSION,
    postgres_additions,
    postgres_statements,
)
from ledger.adapters.sql_reader import SqlReader
from ledger.adapters.sql_store import SqlStore
from ledger.service.ports import Row
from paylake.errors import (
    DiskFull,
    EnvironmentFault,
    LeaseHeld,
    PaylakeError,
    PermanentFailure,
    TransientFault,
)

T = TypeVar("T")
#: Any number will do, as long as every ledger program asks for the same.
_LOCK = 0x7061796C616B65
_FETCH = 2000
_PLACE = re.compile(r"\?")
_TYPES = {str: "text", int: "bigint", bytes: "bytea"}
#: A connection that meets one of these is over.
_OVER = (
    asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError,
    OSError,
)


def shown(url: str) -> str:
    """An address without its password."""
    return re.sub(r"//([^:/@]+):[^@]*@", r"//\1:…@", url)


@contextmanager
def named_faults(url: str) -> Iterator[None]:
    """Turn PostgreSQL's errors into the kernel's, with what to do next."""
    where = shown(url)
    try:
        yield
    except PaylakeError:
        raise
    except asyncpg.IntegrityConstraintViolationError as error:
        raise PermanentFailure(
            f"the ledger's storage refused a row ({error})",
            "run `python -m ledger verify`; nothing of the batch was written", where=where,
        ) from error
    except asyncpg.DiskFullError as error:
        raise DiskFull(
            "the disk of the database is full; nothing of the batch was written",
            "make room, then send it again", where=where,
        ) from error
    except (
        *_OVER, asyncpg.InterfaceError, asyncpg.CannotConnectNowError,
    ) as error:
        raise TransientFault(
            f"the ledger's database is not within reach ({type(error).__name__})",
            "send it again; see that the database runs", where=where,
        ) from error
    except asyncpg.PostgresError as error:
        raise EnvironmentFault(
            f"the ledger's database cannot be used ({error})",
            "check the database, then run `python -m ledger verify`", where=where,
        ) from error


def _numbered(sql: str) -> str:
    """`?` as `$1`, `$2` …"""
    count = iter(range(1, 10_000))
    return _PLACE.sub(lambda _: f"${next(count)}", sql)


class PostgresReader(SqlReader):
    """Reads of one ledger. Opens its own connection.

    :param url: `postgresql://user:password@host:port/database`
    """

    _postgres = True

    def __init__(self, url: str) -> None:
        self.url = url
        self._loop = asyncio.new_event_loop()
        self._texts: dict[str, str] = {}
        with named_faults(url):
            self.connection = self._loop.run_until_complete(asyncpg.connect(url, timeout=30))
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        """:raises PermanentFailure: when there is no ledger, or one of another schema"""
        revision = self.revision()
        if revision is None:
            raise PermanentFailure(
                "there is no ledger here", "start it with `python -m ledger serve`",
                where=shown(self.url),
            )
        postgres_schema.check(revision, shown(self.url))

    def has_table(self, name: str) -> bool:
        """Whether there is a table or an index of this name."""
        return self._single("select to_regclass(?) is not null", (name,))[0]

    def is_stamped(self) -> bool:
        """Whether the revision was ever written down."""
        return self._single("select to_regclass('alembic_version') is not null")[0]

    def revision(self) -> str | None:
        """The schema's revision; None in an empty database. A ledger made before revisions were
        kept says its schema in its meta table."""
        if not self._single("select to_regclass('meta') is not null")[0]:
            return None
        if self.is_stamped():
            row = self._one("select version_num from alembic_version")
            return "(none)" if row is None else row[0]
        schema = self.meta("schema") or ""
        return REVISIONS.get(int(schema) if schema.isdigit() else 0, schema or "(none)")

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        try:
            return self._loop.run_until_complete(call)
        except (*_OVER, asyncpg.InterfaceError) as error:
            self.lost = self.lost or isinstance(error, _OVER) or self.connection.is_closed()
            raise

    def look(self) -> None:
        """Let the connection's loop, which runs inside calls alone, see what came meanwhile."""
        self._loop.run_until_complete(asyncio.sleep(0))
        self.lost = self.lost or self.connection.is_closed()

    def _sql(self, text: str) -> str:
        found = self._texts.get(text)
        if found is None:
            if len(self._texts) > 500:
                self._texts.clear()
            found = self._texts[text] = _numbered(text)
        return found

    def _all(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple]:
        with named_faults(self.url):
            rows = self._run(self.connection.fetch(self._sql(sql), *values))
        return (tuple(row) for row in rows)

    def _stream(self, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple]:
        """Rows by a cursor, which needs a transaction: the caller's, or one of its own."""
        with named_faults(self.url):
            own = None
            if not self.connection.is_in_transaction():
                own = self.connection.transaction(isolation="repeatable_read", readonly=True)
                self._run(own.start())
            try:
                cursor = self._run(self._cursor(sql, values))
                while rows := self._run(cursor.fetch(_FETCH)):
                    for row in rows:
                        yield tuple(row)
            finally:
                if own is not None and not self.connection.is_closed():
                    self._run(own.rollback())

    async def _cursor(self, sql: str, values: Sequence[Any]) -> Any:
        return await self.connection.cursor(self._sql(sql), *values)

    def _one(self, sql: str, values: Sequence[Any] = ()) -> tuple | None:
        with named_faults(self.url):
            row = self._run(self.connection.fetchrow(self._sql(sql), *values))
        return None if row is None else tuple(row)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads of one state."""
        with named_faults(self.url):
            transaction = self.connection.transaction(isolation="repeatable_read", readonly=True)
            self._run(transaction.start())
            try:
                yield
            finally:
                self._run(transaction.rollback())

    def close(self) -> None:
        """Close the connection."""
        try:
            if self.lost:
                self.connection.terminate()
            else:
                self._run(self.connection.close())
        finally:
            self._loop.close()


class _Looking(PostgresReader):
    """Whatever is there."""

    def _check(self) -> None:
        pass


def is_made(url: str) -> bool:
    """Whether a ledger is in this database, of whatever schema."""
    looking = _Looking(url)
    try:
        return looking.revision() is not None
    finally:
        looking.close()


class PostgresStore(SqlStore, PostgresReader):
    """The one writer.

    :param simulated: what kind of ledger to make, or what an existing one must be; None: take the
        lock and nothing else, for who migrates or restores
    :raises LeaseHeld: when another process writes to it
    :raises PermanentFailure: when the ledger is of the other kind or another schema
    """

    def __init__(self, url: str, *, simulated: bool | None) -> None:
        self._simulated = simulated
        super().__init__(url)

    def _check(self) -> None:
        with named_faults(self.url):
            self._take_lock()
            if self._simulated is not None:
                self._prepare(self._simulated)

    def _take_lock(self) -> None:
        run, connection = self._run, self.connection
        if not run(connection.fetchval(f"select pg_try_advisory_lock({_LOCK})")):
            raise LeaseHeld(
                "another process has this ledger open for writing",
                "stop it first, or talk to it over HTTP", where=shown(self.url),
            )

    def _prepare(self, simulated: bool) -> None:
        run, connection = self._run, self.connection
        run(connection.execute("set synchronous_commit = on"))
        # A segment's postings are some kilobytes, and a checkpoint has one for each account:
        # PostgreSQL's own compression takes eight times as long as this, which a few builds lack.
        run(connection.execute(
            "select set_config(name, 'lz4', false) from pg_settings "
            "where name = 'default_toast_compression' and 'lz4' = any(enumvals)"
        ))
        kind = "simulated" if simulated else "real"
        if self.revision() is None:
            with self.transaction():
                self.make_tables()
                self.set_meta("kind", kind)
        super()._check()
        if not self.is_stamped():
            self.stamp()
        added = postgres_additions(self.has_table)
        if added:
            with self.transaction():
                self.execute(added)
        if self.meta("kind") != kind:
            raise PermanentFailure(
                f"this ledger is {self.meta('kind')}, it cannot be served as {kind}",
                "start it as what it is, or use another database", where=shown(self.url),
            )

    def make_tables(self) -> None:
        """Make today's tables in an empty database, inside a transaction."""
        self.execute(postgres_statements())
        self.set_meta("schema", str(SCHEMA_VERSION))
        self.stamp()

    def execute(self, statements: str) -> None:
        """Run statements as they are."""
        self._run(self.connection.execute(statements))

    def stamp(self, revision: str = postgres_schema.HEAD) -> None:
        """Write down which revision the tables are of."""
        self.execute(postgres_schema.stamp_statements(revision))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is written inside, flushed to disk, or roll all of it back."""
        with named_faults(self.url):
            transaction = self.connection.transaction()
            self._run(transaction.start())
            asked = False
            try:
                yield
                asked = True
                self._run(transaction.commit())
            except BaseException:
                self.uncertain = self.uncertain or asked
                if not self.connection.is_closed() and self.connection.is_in_transaction():
                    self._run(transaction.rollback())
                raise

    def beside(self) -> PostgresReader:
        """A second connection, to read while another thread writes."""
        return PostgresReader(self.url)

    def _many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        listed = [tuple(row) for row in rows]
        if listed:
            self._run(self.connection.executemany(self._sql(sql), listed))

    def _add(self, table: str, rows: Sequence[Sequence[Any]], otherwise: str = "") -> None:
        """Many rows by one statement: by COPY, or, where rows may be there already, an array a
        column. A statement a row would keep the postings that follow waiting for it."""
        if not rows:
            return
        if not otherwise:
            self.copy_rows(table, [tuple(row) for row in rows])
            return
        arrays = ", ".join(
            f"${place}::{_TYPES[type(value)]}[]" for place, value in enumerate(rows[0], 1)
        )
        self._run(self.connection.execute(
            f"insert into {table} select * from unnest({arrays}) {otherwise}",
            *map(list, zip(*rows, strict=True)),
        ))

    def copy_rows(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows of a table as they are, for a restored backup; triggers hold here too."""
        self._run(self.connection.copy_records_to_table(table, records=rows))
