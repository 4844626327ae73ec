"""Which storage a home's ledger has: SQLite in the home, or PostgreSQL by the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ledger.adapters.data_files import load_chart, load_operations
from ledger.adapters.sqlite_reader import SqliteReader
from ledger.adapters.sqlite_store import SqliteStore
from ledger.service.written import refuse_newer, versions_of
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


def is_made(settings: Settings) -> bool:
    """Whether there is a ledger's database, of whatever schema."""
    if settings.ledger_database:
        from ledger.adapters.postgres import is_made as is_made_there

        return is_made_there(settings.ledger_database)
    path = ledger_path(settings)
    return path.is_file() and path.stat().st_size > 0


def open_reader(
    settings: Settings, *, any_thread: bool = False, whoever_wrote: bool = False
) -> Any:
    """A reader with a connection of its own; close it.

    :param any_thread: for who reads by several threads, one after another
    :param whoever_wrote: for who reads bytes alone, and need not know what they mean
    :raises PermanentFailure: when there is no ledger, or a newer program wrote to it
    """
    found: Any
    if settings.ledger_database:
        from ledger.adapters.postgres import PostgresReader

        found = PostgresReader(settings.ledger_database)
    else:
        found = SqliteReader(ledger_path(settings), any_thread=any_thread)
    return found if whoever_wrote else known(found, place(settings))


def known(opened: Any, where: str) -> Any:
    """The same storage, if no newer program wrote to it; else it is closed.

    :param where: what it is, for the message
    :raises PermanentFailure: naming versions that this program does not know
    """
    try:
        refuse_newer(opened, versions_of(load_chart(), load_operations()), where)
    except BaseException:
        opened.close()
        raise
    return opened


def open_store(settings: Settings, *, simulated: bool) -> Any:
    """The one writer; close it.

    :raises LeaseHeld: when another process writes
    :raises PermanentFailure: when a newer program wrote to it
    """
    found: Any
    if settings.ledger_database:
        from ledger.adapters.postgres import PostgresStore

        found = PostgresStore(settings.ledger_database, simulated=simulated)
    else:
        found = SqliteStore(ledger_path(settings), simulated=simulated)
    return known(found, place(settings))
