"""Who asked for the status of a command, and when: the fifth step of the status log (rule D2.7).

A read must not grow the chain nor wait for the disk, so queries are kept in an append-only table of
their own and written together, within a second and when the ledger closes; what was not yet written
when the machine stops is lost. One who asks again and again is one row a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.service.ports import Store

#: Queries that wait to be written: more are written at once.
_MOST = 1000


class Queried:
    """The queries of one ledger. Used by its one writer thread."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.waiting: list[tuple[str, str, str, str]] = []  # key, time, actor, what was told

    def note(self, key: str, actor: str, moment: str, told: str) -> None:
        """Someone was told the status of a command at a time (UTC text)."""
        minute = (moment[:16], actor, told)
        if any((at[:16], who, what) == minute for at, who, what in self.of(key)):
            return
        if len(self.waiting) >= _MOST:
            self.flush()
        self.waiting.append((key, moment, actor, told))

    def of(self, key: str) -> Iterator[tuple[str, str, str]]:
        """Time, actor and what was told, of the newest hundred queries, oldest first."""
        yield from self.store.queries_of(key)
        for listed, *rest in self.waiting:
            if listed == key:
                yield rest[0], rest[1], rest[2]

    def flush(self) -> None:
        """Write what waits."""
        if self.waiting:
            with self.store.transaction():
                self.store.add_queries(self.waiting)
            self.waiting = []
