"""A ledger's database as a folder, and back, while the service goes on posting (rule D1.23).

The folder holds `ledger.db`, always a SQLite database of today's schema, the signed heads as files,
the files of reconciliations, which nothing can write anew, and `backup.json`, which says what is in
it, with digests. From SQLite the copy is made by its own
online backup, from PostgreSQL row by row in one snapshot. So a backup of either storage can be
verified by itself, and restored into either.

Keys are not in it: what is sealed stays sealed (`bin/paylake backup` copies a whole home).
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ledger.adapters.heads import head_paths
from ledger.adapters.schema import SCHEMA_VERSION, statements
from ledger.adapters.sqlite_reader import SqliteReader, named_faults
from ledger.adapters.sqlite_store import take_lock
from ledger.adapters.storage import ledger_path, open_reader, place
from paylake import durable
from paylake.crypto import sm3_file
from paylake.errors import NotVerified, UsageFault, disk_fault
from paylake.settings import Settings

FORMAT = "paylake-ledger-backup/1"
#: Every table, with what its rows are ordered by.
TABLES = {
    "meta": "name", "entry": "sequence", "secret": "commitment, key_number", "checkpoint": "one",
    "document": "kind, key", "item": "business_key",
    "segment": "account_id, currency_code, first_sequence, booking_date, value_date",
    "head": "number", "day_close": "booking_date",
    "day_balance": "booking_date, account_id, currency_code",
    "status_query": "idempotency_key, asked_at, actor",
}
#: Rows of the meta table that say of a storage what the other keeps elsewhere.
_OF_POSTGRES = ("schema",)
_CHUNK = 10_000
#: Folder of the files of reconciliations, in a home below `ledger`.
_FILES = "reconciliations"


@dataclass(frozen=True, slots=True)
class Copied:
    """What a backup holds, or what came back."""

    folder: Path
    entries: int
    chain_digest: str
    heads: int


def back_up(settings: Settings, folder: Path) -> Copied:
    """Write a backup of the home's ledger; it appears when it is whole.

    :raises UsageFault: when the folder is there: a backup never overwrites another one
    :raises PermanentFailure: when there is no ledger
    """
    if folder.exists():
        raise UsageFault("There is something of that name", "Give another.", where=str(folder))
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    reader = open_reader(settings)
    try:
        (partial / "heads").mkdir(parents=True)
        partial.chmod(0o700)
        if settings.ledger_database:
            _from_postgres(reader, partial / "ledger.db")
        else:
            _from_sqlite(ledger_path(settings), partial / "ledger.db")
        # after the database: a file is there before the entry that names it
        _copied(settings.path("ledger", _FILES), partial / _FILES)
        done = _described(partial)
        partial.rename(folder)
    except OSError as error:
        raise disk_fault(error, folder) from error
    finally:
        reader.close()
        shutil.rmtree(partial, ignore_errors=True)
    return Copied(folder, *done)


def _described(partial: Path) -> tuple[int, str, int]:
    """Write heads and manifest beside the database; entries, end of the chain, heads."""
    database = partial / "ledger.db"
    database.chmod(0o600)
    copy = SqliteReader(database)
    try:
        entries, digest = _end(copy)
        heads = list(copy.heads())
        kind = copy.meta("kind")
    finally:
        copy.close()
    for head in heads:
        _write_head(partial / "heads", head)
    files = sorted(path for path in partial.rglob("*") if path.is_file())
    durable.write(partial / "backup.json", (json.dumps({
        "format": FORMAT, "kind": kind, "schema": SCHEMA_VERSION, "entries": entries,
        "chain_digest": digest, "heads": len(heads),
        "files": {str(path.relative_to(partial)): sm3_file(path) for path in files},
    }, indent=1, sort_keys=True) + "\n").encode())
    return entries, digest, len(heads)


def _copied(source: Path, target: Path) -> None:
    """Copy what lies below a folder; what is there already stays."""
    for path in sorted(source.rglob("*")):
        there = target / path.relative_to(source)
        # a name that begins with a full stop is a file that is being written
        if path.is_file() and not path.name.startswith(".") and not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            durable.write(there, path.read_bytes())


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a backup says of itself, its files held against their digests.

    :raises NotVerified: when it is not a backup, or a file is not what it was
    """
    try:
        said = json.loads((folder / "backup.json").read_bytes())
        files = said["files"]
        wrong = sorted(
            name for name, digest in files.items()
            if not (folder / name).is_file() or sm3_file(folder / name) != digest
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotVerified(
            f"This is no backup that can be read ({type(error).__name__})", "Use another copy.",
            where=str(folder),
        ) from error
    if said.get("format") != FORMAT or said.get("schema") != SCHEMA_VERSION:
        raise NotVerified(
            f"The backup is of format {said.get('format')}, schema {said.get('schema')}; this "
            f"program reads {FORMAT}, schema {SCHEMA_VERSION}",
            "Restore it with the program version that made it, then bring it to this one with "
            "`python -m ledger migrate`.", where=str(folder),
        )
    if wrong:
        raise NotVerified(
            f"The backup is damaged: {', '.join(wrong[:5])}", "Use another copy; nothing was "
            "restored.", where=str(folder),
        )
    return said


def restore(settings: Settings, folder: Path) -> Copied:
    """Put a backup in the place of a ledger that is not there. The caller has verified it. The
    database comes last: what is broken off before leaves none, and can be called again.

    :raises UsageFault: when there is a ledger: none is overwritten
    :raises LeaseHeld: when a service writes to it
    :raises DiskFull, EnvironmentFault: when there is no room; there is no ledger then
    """
    said = read_manifest(folder)

    def beside() -> None:
        for path in sorted((folder / "heads").iterdir()):
            there = settings.path("ledger", "heads") / path.name
            if not there.exists():  # one that is there is evidence, and stays
                durable.write(there, path.read_bytes())
        _copied(folder / _FILES, settings.path("ledger", _FILES))

    if settings.ledger_database:
        _into_postgres(settings.ledger_database, folder / "ledger.db", beside)
    else:
        _into_sqlite(ledger_path(settings), folder / "ledger.db", beside)
    reader = open_reader(settings)
    try:
        found = _end(reader)
    finally:
        reader.close()
    if found != (said["entries"], said["chain_digest"]):
        raise NotVerified(
            "What came back does not end as the backup does", "Do not serve it; restore another.",
            where=place(settings),
        )
    return Copied(folder, *found, said["heads"])


def _end(reader: Any) -> tuple[int, str]:
    last = reader.last_entry()
    return (0, "") if last is None else (last[0], last[16].hex())


def _write_head(folder: Path, head: dict[str, Any]) -> None:
    for path, data in zip(
        head_paths(folder, head["name"]), (head["document"], head["signature"]), strict=True
    ):
        durable.write(path, data)


def _from_sqlite(source: Path, target: Path) -> None:
    with (
        named_faults(source),
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing)
        writing.execute("pragma journal_mode = delete")  # one file


def _from_postgres(reader: Any, target: Path) -> None:
    with named_faults(target), closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.executescript("begin;" + statements())
        with reader.snapshot():
            for table, order in TABLES.items():
                for rows in _chunks(reader, table, order):
                    db.executemany(
                        f"insert into {table} values ({', '.join('?' * len(rows[0]))})", rows
                    )
        db.execute(f"pragma user_version = {SCHEMA_VERSION}")
        db.execute("commit")


def _chunks(reader: Any, table: str, order: str) -> Iterator[Sequence[tuple]]:
    """A table's rows, so many at a time."""
    if not reader.has_table(table):  # of an older program
        return
    rows = iter(reader.rows(table, order))
    while chunk := [
        row for row in islice(rows, _CHUNK) if table != "meta" or row[0] not in _OF_POSTGRES
    ]:
        yield chunk


def _into_sqlite(path: Path, source: Path, beside: Callable[[], None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = take_lock(path.with_suffix(".lock"))
    try:
        for name in ("", "-wal", "-shm"):  # the log of a lost database would be played into this
            there = path.with_name(path.name + name)
            if there.exists():
                raise UsageFault(
                    "There is a ledger in this home, or what is left of one",
                    "Restore into another home, or move it away.", where=str(there),
                )
        partial = path.with_name(f".{path.name}.restoring")
        with durable.named_writes(path):
            try:
                shutil.copyfile(source, partial)
                partial.chmod(0o600)
                with partial.open("rb+") as file:
                    os.fsync(file.fileno())
                beside()
                partial.replace(path)
                durable.flush_folder(path.parent)
            finally:
                partial.unlink(missing_ok=True)
    finally:
        os.close(lock)


def _into_postgres(url: str, source: Path, beside: Callable[[], None]) -> None:
    from ledger.adapters.postgres import PostgresStore, shown

    store = PostgresStore(url, simulated=None)
    copy = SqliteReader(source)
    try:
        if store.revision() is not None:
            raise UsageFault(
                "There is a ledger in this database", "Restore into an empty one.",
                where=shown(url),
            )
        with store.transaction(), copy.snapshot():
            store.make_tables()
            for table, order in TABLES.items():
                for rows in _chunks(copy, table, order):
                    store.copy_rows(table, rows)
            beside()
    finally:
        copy.close()
        store.close()
