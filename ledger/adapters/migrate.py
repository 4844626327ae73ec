"""Bringing a ledger's database to the schema of this program, by Alembic, in one transaction."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event

from ledger.adapters.schema import REVISIONS, SCHEMA_VERSION
from ledger.adapters.sqlite_reader import named_faults
from ledger.adapters.sqlite_store import take_lock
from paylake.errors import PermanentFailure

SCRIPTS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Migrated:
    """Schema before and after, and where the database as it was is kept."""

    before: int
    after: int
    kept: Path | None


def migrate(path: Path) -> Migrated:
    """Upgrade the database at `path`; a copy of it as it was stays beside it.

    :raises PermanentFailure: when there is none, or it is newer than this program
    :raises LeaseHeld: when the service has it open
    """
    if not path.is_file():
        raise PermanentFailure("there is no ledger here", "nothing is to migrate", where=str(path))
    lock = take_lock(path.with_suffix(".lock"))
    try:
        engine = create_engine(f"sqlite:///{path}")

        @event.listens_for(engine, "connect")
        def own_transactions(connection, _record) -> None:
            connection.isolation_level = None  # Alembic's BEGIN alone begins

        @event.listens_for(engine, "begin")
        def begin(connection) -> None:
            connection.exec_driver_sql("begin immediate")

        with named_faults(path), engine.connect() as connection:
            before = connection.exec_driver_sql("pragma user_version").scalar_one()
        if before > SCHEMA_VERSION or before == 0:
            raise PermanentFailure(
                f"the database has schema {before}, this program writes {SCHEMA_VERSION}",
                "use the program version that made it", where=str(path),
            )
        if before == SCHEMA_VERSION:
            return Migrated(before, before, None)
        kept = _copy(path, before)
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        with named_faults(path), engine.begin() as connection:
            config.attributes["connection"] = connection
            command.stamp(config, REVISIONS[before])  # made without Alembic, it says none
            command.upgrade(config, "head")
        engine.dispose()
        return Migrated(before, SCHEMA_VERSION, kept)
    finally:
        os.close(lock)


def migrate_postgres(url: str) -> Migrated:
    """The same for PostgreSQL, in one transaction. Take a backup before: none is kept here.

    :raises PermanentFailure: when there is no ledger, or one that this program does not know
    :raises LeaseHeld: when the service has it open
    """
    from ledger.adapters import postgres_schema as schemas
    from ledger.adapters.postgres import PostgresStore, shown

    store = PostgresStore(url, simulated=None)
    try:
        revision = store.revision()
        if revision is None:
            raise PermanentFailure(
                "there is no ledger here", "nothing is to migrate", where=shown(url)
            )
        version = {name: number for number, name in REVISIONS.items()}.get(revision)
        if version is None:
            schemas.check(revision, shown(url))
        assert version is not None
        if version < SCHEMA_VERSION:
            with store.transaction():
                if not store.is_stamped():
                    store.stamp(revision)
                store.execute(schemas.upgrade_statements(revision))
        elif not store.is_stamped():
            with store.transaction():
                store.stamp()
        return Migrated(version, SCHEMA_VERSION, None)
    finally:
        store.close()


def _copy(path: Path, version: int) -> Path:
    """The database as it was, by SQLite's own backup (its log may hold part of it)."""
    kept = path.with_name(f"{path.stem}.schema-{version}.db")
    partial = kept.with_name(f".{kept.name}")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(partial)) as target:
        source.backup(target)
    partial.chmod(0o600)
    partial.replace(kept)
    return kept
