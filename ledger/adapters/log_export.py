"""The log as files: for a consumer, for an archive, and for whoever wants to verify it without the
database.

`entries.jsonl` has one entry a line, its columns as a JSON list (digest hexadecimal), `heads.jsonl`
the signed heads (document as text, signature hexadecimal). Sensitive values are not in it: the log
has commitments alone. The trust file's keys are all that a verification needs beside it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ledger.adapters.storage import open_reader
from ledger.service.ports import Row
from paylake.durable import named_writes
from paylake.errors import PermanentFailure
from paylake.settings import Settings

ENTRIES, HEADS = "entries.jsonl", "heads.jsonl"
#: Lines of one part of a stream: each is fetched by a thread of its own choosing.
_LINES = 200
#: Places of entries that are kept in memory before they go to the index.
_PLACES = 10_000


@dataclass(frozen=True, slots=True)
class LogExported:
    """What was written."""

    entries: int
    heads: int
    folder: Path


def line(row: Row) -> bytes:
    """One entry as a line."""
    return orjson.dumps([*row[:16], row[16].hex()], option=orjson.OPT_APPEND_NEWLINE)


def stream(settings: Settings, after: int) -> Generator[bytes, None, None]:
    """Entries after a sequence as lines, many at a time, by a connection of its own, up to the end
    that the log has when it is asked. Each part may be taken by another thread, and is read in a
    snapshot of its own, which ends before it is given: the log only grows, so the parts are of one
    state, and a slow consumer holds nothing of the database open."""
    reader = open_reader(settings, any_thread=True)
    try:
        end = reader.last_entry()
        last = 0 if end is None else end[0]
        for first in range(after + 1, last + 1, _LINES):
            with reader.snapshot():
                part = b"".join(map(line, reader.entries(first, min(first + _LINES - 1, last))))
            if part:
                yield part
    finally:
        reader.close()


def export_log(settings: Settings, folder: Path) -> LogExported:
    """Write the whole log and its heads into a folder; files appear when they are whole.

    :raises PermanentFailure: when there is no ledger
    :raises DiskFull, EnvironmentFault: when the folder takes no file
    """
    reader = open_reader(settings)
    counts = []
    try:
        with named_writes(folder), reader.snapshot():
            folder.mkdir(parents=True, exist_ok=True)
            for name, lines in (
                (ENTRIES, (line(row) for row in reader.entries(1))),
                (HEADS, (_head(head) for head in reader.heads())),
            ):
                partial = folder / f".{name}.partial"
                count = 0
                with partial.open("wb") as file:
                    for data in lines:
                        file.write(data)
                        count += 1
                partial.replace(folder / name)
                counts.append(count)
    finally:
        reader.close()
    return LogExported(counts[0], counts[1], folder)


def _head(head: dict[str, Any]) -> bytes:
    return orjson.dumps({
        **head, "digest": head["digest"].hex(), "document": head["document"].decode(),
        "signature": head["signature"].hex(),
    }, option=orjson.OPT_APPEND_NEWLINE)


class ExportReader:
    """Reads an export as `verify` reads a database; what is derived is not in it. Of the entries
    that it gave it finds one again by its journal or its business key: their places in the file
    stand in a temporary database, so that the memory does not grow with the log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places: list[tuple[int, int | None, str | None]] = []
        self._index = sqlite3.connect("")  # temporary: SQLite removes it
        self._index.execute("create table entry (place integer, journal integer, key text)")
        for column in ("journal", "key"):
            self._index.execute(
                f"create index by_{column} on entry ({column}) where {column} is not null"
            )
        for name in (ENTRIES, HEADS):
            if not (folder / name).is_file():
                raise PermanentFailure(
                    f"the export has no {name}", "export the log again", where=str(folder)
                )

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Files do not change."""
        yield

    def _lines(self, name: str) -> Iterator[tuple[int, int, Any]]:
        """Number of each line, its place in the file, what it says."""
        place = 0
        with (self.folder / name).open("rb") as file:
            for number, data in enumerate(file, 1):
                try:
                    yield number, place, orjson.loads(data)
                except orjson.JSONDecodeError as error:
                    raise PermanentFailure(
                        f"line {number} of {name} is not JSON ({error})",
                        "export the log again, or ask for another copy",
                        where=str(self.folder / name),
                    ) from error
                place += len(data)

    def entries(self, first: int, last: int | None = None) -> Iterator[Row]:
        """Entries in the order of the file."""
        for number, place, row in self._lines(ENTRIES):
            try:
                found = (*row[:16], bytes.fromhex(row[16]))
            except (TypeError, ValueError, IndexError) as error:
                raise PermanentFailure(
                    f"line {number} of {ENTRIES} is not an entry", "export the log again",
                    where=str(self.folder / ENTRIES),
                ) from error
            yield found
            if isinstance(row[1], int) or isinstance(row[6], str):
                self._places.append((place, row[1], row[6]))
            if len(self._places) == _PLACES:
                self._keep()

    def _keep(self) -> None:
        self._index.executemany("insert into entry values (?, ?, ?)", self._places)
        self._places.clear()

    def _found(self, column: str, value: Any) -> Row | None:
        """The first of the entries given so far that has a value."""
        self._keep()
        there = self._index.execute(
            f"select min(place) from entry where {column} = ?", (value,)
        ).fetchone()[0]
        if there is None:
            return None
        with (self.folder / ENTRIES).open("rb") as file:
            file.seek(there)
            row = orjson.loads(file.readline())
        return (*row[:16], bytes.fromhex(row[16]))

    def find_by_journal(self, journal: int) -> Row | None:
        """The entry of a journal, of those given so far."""
        return self._found("journal", journal)

    def find_by_business_key(self, keys: Sequence[str]) -> dict[str, Row]:
        """The entries with these business keys, of those given so far."""
        found = {key: self._found("key", key) for key in keys}
        return {key: row for key, row in found.items() if row is not None}

    def heads(self) -> Iterator[dict[str, Any]]:
        """Signed heads in the order of signing."""
        for _, _, head in self._lines(HEADS):
            yield {
                **head, "digest": bytes.fromhex(head["digest"]),
                "document": head["document"].encode(),
                "signature": bytes.fromhex(head["signature"]),
            }

    def checkpoint(self) -> None:
        """An export has none."""

    def closed_dates(self) -> list[str]:
        """Closes are derived from the log, and their heads are there."""
        return []
