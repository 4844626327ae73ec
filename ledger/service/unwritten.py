"""The log as the next batch sees it: what is committed, and on top of it the entries that are
planned but still being written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ledger.service.ports import Reader, Row

if TYPE_CHECKING:
    from ledger.service.command import Command


class Entries:
    """Entries of one unit of work, in sequence."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.by_key: dict[str, Row] = {}
        self.by_business_key: dict[str, Row] = {}

    def add(self, rows: Sequence[Row]) -> None:
        """Entries that follow."""
        self.rows += rows
        for row in rows:
            self.by_key[row[5]] = row
            if row[6] is not None:
                self.by_business_key[row[6]] = row


class Unwritten:
    """Look-ups of a batch.

    :param reader: of what is committed; it may be behind or ahead of a unit that is being
        written, which makes no difference: the same entry is found here
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._units: list[Entries] = []
        # what was asked ahead, and what was found of it
        self._asked: set[str] = set()
        self._asked_business: set[str] = set()
        self._found: dict[str, Row] = {}
        self._taken: set[str] = set()

    @contextmanager
    def ahead(self, commands: Sequence[Command]) -> Iterator[None]:
        """Read at once the keys that the batches of these commands will look up: a statement
        costs more than a key. It holds as long as they are planned, since what they do themselves
        is found among the units."""
        keys = [command.key for command in commands]
        business = [c.business_key for c in commands if c.business_key is not None]
        self._found = self.reader.find_by_key(keys)
        self._taken = self.reader.find_business_keys(business)
        self._asked, self._asked_business = set(keys), set(business)
        try:
            yield
        finally:
            self._asked, self._asked_business = set(), set()
            self._found, self._taken = {}, set()

    def put(self, entries: Entries) -> None:
        """Entries that were planned; more may be added to them."""
        self._units.append(entries)

    def drop(self, entries: Entries) -> None:
        """They are committed, or never will be."""
        if entries in self._units:
            self._units.remove(entries)

    def clear(self) -> None:
        """Nothing is planned any more."""
        self._units.clear()

    def find_by_key(self, keys: Sequence[str]) -> dict[str, Row]:
        """Entries by idempotency key."""
        wanted = set(keys)
        if self._asked >= wanted:
            found = {key: self._found[key] for key in self._found.keys() & wanted}
        else:
            found = self.reader.find_by_key(keys)
        for unit in self._units:
            for key in unit.by_key.keys() & wanted:
                found[key] = unit.by_key[key]
        return found

    def find_by_business_key(self, keys: Sequence[str]) -> dict[str, Row]:
        """Entries by business key."""
        found = self.reader.find_by_business_key(keys)
        for unit in self._units:
            for key in unit.by_business_key.keys() & set(keys):
                found[key] = unit.by_business_key[key]
        return found

    def find_business_keys(self, keys: Sequence[str]) -> set[str]:
        """Those of the business keys that an entry carries."""
        wanted = set(keys)
        if self._asked_business >= wanted:
            found = self._taken & wanted
        else:
            found = self.reader.find_business_keys(keys)
        for unit in self._units:
            found |= unit.by_business_key.keys() & wanted
        return found

    def find_by_journal(self, journal: int) -> Row | None:
        """An entry by its journal number."""
        for unit in self._units:
            for row in unit.rows:
                if row[1] == journal:
                    return row
        return self.reader.find_by_journal(journal)

    def planned(self) -> list[Row]:
        """Entries that are planned or being written, of units before the one being planned."""
        return [row for unit in self._units for row in unit.rows]

    def entry(self, sequence: int) -> Row | None:
        """An entry by its sequence."""
        for unit in self._units:
            for row in unit.rows:
                if row[0] == sequence:
                    return row
        return next(iter(self.reader.entries(sequence, sequence)), None)

    def items(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Counters of originals, as of the checkpoint."""
        return self.reader.items(keys)
