"""What a close reads of the log: the chain since the last head, re-hashed, and what the date moved.

Most of it, read beside the writer through a connection of its own, while postings go on; what is
posted meanwhile is read in further rounds, and the last of it by the writer itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import orjson

from ledger.domain.chain import entry_digest, linked_digest
from ledger.service.day_statements import Fees
from ledger.service.faults import RequestRefused
from ledger.service.ports import Reader
from paylake.errors import TransientFault

T = TypeVar("T")
Moved = dict[tuple[str, str], tuple[int, int]]
#: Rows after which the reading thread lets others have the interpreter, and for how long.
_ROWS, _PAUSE_SECONDS = 256, 0.0003


class DayReading:
    """The reading of one close.

    :param sequence, digest: of the last signed head: from there on the chain is recomputed
    :param stopping: whether the service is about to end, so that it is not worth going on
    """

    def __init__(
        self, day: str, sequence: int, digest: bytes, stopping: Callable[[], bool] = bool
    ) -> None:
        self.day = day
        self.stopping = stopping
        self.sequence, self.digest = sequence, digest
        self.movements: Moved = {}  # debit and credit of the date, by account and currency
        self.later: Moved = {}  # of all later dates together
        self.opening: dict[tuple[str, str], int] = {}
        self.fees = Fees()
        self.journals = self.legs = 0
        self._begun = False

    def read(self, reader: Reader) -> None:
        """Go on to the end of the log as it is now. Begins with a checkpoint, which must not lie
        before the last head.

        :raises RequestRefused: `chain_broken`
        :raises TransientFault: when the service ends meanwhile
        """
        with reader.snapshot():
            if not self._begun:
                self._to_checkpoint(reader)
                self._begun = True
            self.follow(self._patient(reader.entries(self.sequence + 1)))

    def _to_checkpoint(self, reader: Reader) -> None:
        at = reader.checkpoint()
        assert at is not None and at.sequence >= self.sequence
        for sequence, _, rest, stored in self._patient(
            reader.hashed(self.sequence + 1, at.sequence)
        ):
            self._next(sequence)
            self._linked(linked_digest(self.digest, rest), stored)
        if self.sequence != at.sequence:
            raise _broken(f"entry {self.sequence + 1} is missing")
        self.movements, self.later = reader.movements(self.day), reader.later_movements(self.day)
        self.opening = reader.closing_before(self.day)
        for row in self._patient(reader.day_entries(self.day)):
            if row[0] > at.sequence:
                break
            self._journal(row, orjson.loads(row[13]))

    def follow(self, rows: Iterable[tuple]) -> None:
        """Take in the entries that come next.

        :raises RequestRefused: `chain_broken`
        """
        for row in rows:
            self._next(row[0])
            self._linked(entry_digest(self.digest, row), row[16])
            listed = orjson.loads(row[13])
            if row[10] == self.day and row[1] is not None:
                self._journal(row, listed)
            moved = self.movements if row[10] == self.day else self.later
            for account_id, currency, direction, amount, _, _ in listed:
                debit, credit = moved.get((account_id, currency), (0, 0))
                moved[account_id, currency] = (
                    (debit + amount, credit) if direction == "D" else (debit, credit + amount)
                )

    def _next(self, sequence: int) -> None:
        self.sequence += 1
        if sequence != self.sequence:
            raise _broken(f"entry {self.sequence} is missing")

    def _linked(self, digest: bytes, stored: bytes) -> None:
        if digest != stored:
            raise _broken(f"entry {self.sequence}: its digest does not match its content")
        self.digest = digest

    def _journal(self, row: tuple, listed: list[list]) -> None:
        self.fees.add(row[12], listed)
        self.journals += 1
        self.legs += len(listed)

    def _patient(self, rows: Iterable[T]) -> Iterator[T]:
        """Rows with pauses: a thread that computes without one keeps the others waiting."""
        for number, row in enumerate(rows, 1):
            if number % _ROWS == 0:
                time.sleep(_PAUSE_SECONDS)
                if self.stopping():
                    raise TransientFault("the service is ending", "close the date again later")
            yield row


def _broken(detail: str) -> RequestRefused:
    return RequestRefused("chain_broken", detail, http_status=409)
