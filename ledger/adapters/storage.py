"""Which storage a home's ledger has: SQLite in the home, or PostgreSQL by the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ledger.adapters.sqlite_reader import SqliteReader
from ledger.adapters.sqlite_store import SqliteStore
from paylake.settings import Settings


def ledger_path(settings: Settings) -> Path:
    """The ledger's SQLite database of a home."""
    return settings.path("ledger", "ledger.db")


def place(settings: Settings) -> str:
    """Where the ledger is, for messages: without a password."""
    if settings.ledger_database:
        from ledger.adapters.postgres import shown

        return shown(settings.ledger_database)
    return str(ledger_path(settings))


def open_reader(settings: Settings, *, any_thread: bool = False) -> Any:
    """A reader with a connection of its own; close it.

    :param any_thread: for who reads by several threads, one after another
    :raises PermanentFailure: when there is no ledger
    """
    if settings.ledger_database:
        from ledger.adapters.postgres import PostgresReader

        return PostgresReader(settings.ledger_database)
    return SqliteReader(ledger_path(settings), any_thread=any_thread)


def open_store(settings: Settings, *, simulated: bool) -> Any:
    """The one writer; close it.

    :raises LeaseHeld: when another process writes
    """
    if settings.ledger_database:
        from ledger.adapters.postgres import PostgresStore

        return PostgresStore(settings.ledger_database, simulated=simulated)
    return SqliteStore(ledger_path(settings), simulated=simulated)
