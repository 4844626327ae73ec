"""What a reconciliation reads of the log: the postings of one account that its statement covers,
and the account's balance at the end of its dates. Beside the writer, with pauses, as a close reads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import orjson

from ledger.domain.chain import journal_id
from ledger.domain.reconciliations import is_of
from ledger.service.ports import Reader
from paylake.errors import TransientFault

#: Rows after which the reading thread lets others have the interpreter, and for how long.
_ROWS, _PAUSE_SECONDS = 256, 0.0003
#: Days that are looked up one by one for the first entry of an account's first statement.
_DAYS = 1000


@dataclass(frozen=True, slots=True)
class Posting:
    """A leg on the account: the journal's public number and the leg's, its value date, its amount
    (minor units, on the normal side), and its custodian reference, else the entry's business key,
    else the journal's number."""

    journal: str
    name: str
    value_date: str
    amount: int
    reference: str


class AccountReading:
    """The reading of one reconciliation.

    :param sign: 1 if a debit raises the account, else -1
    :param seen: last value date and sequence through which the reconciliation before saw the
        postings; None: there was none
    :param balance: of the account with its shards at `through`, minor units
    :param stopping: whether the service is about to end
    """

    def __init__(
        self, account_id: str, currency: str, sign: int, first: str, last: str,
        seen: tuple[str, int] | None, balance: int, through: int,
        stopping: Callable[[], bool] = bool,
    ) -> None:
        self.account_id, self.currency, self.sign = account_id, currency, sign
        self.first, self.last, self.seen = first, last, seen
        self.closing = balance
        self.through = through
        self.postings: list[Posting] = []
        self.read_from = through + 1  # the next reconciliation finds nothing of its own before
        self._needle = f'"{account_id}'
        self._stopping = stopping

    def begin(self, reader: Reader, start: int | None, today: str) -> None:
        """Read up to `through`.

        :param start: the first entry that may matter; None: to be found by its booking date, for
            what counts from a value date was booked on it or later
        """
        with reader.snapshot():
            if start is None:
                start = self._first_entry(reader, today)
            self._take(reader.entries(start, self.through))

    def follow(self, rows: Iterable[tuple]) -> bool:
        """Take in the entries that come next; whether any of them belongs to the statement."""
        number, closing = len(self.postings), self.closing
        self.through = max(self.through, self._take(rows))
        # no balance of before has what they moved: what lies beyond the dates stays out of it
        self.closing = closing + sum(posting.amount for posting in self.postings[number:])
        return len(self.postings) > number

    def read_on(self, reader: Reader) -> bool:
        """Take in what was posted meanwhile; whether any of it belongs to the statement."""
        with reader.snapshot():
            return self.follow(reader.entries(self.through + 1))

    def _first_entry(self, reader: Reader, today: str) -> int:
        day, end = date.fromisoformat(self.first), date.fromisoformat(today)
        if (end - day).days > _DAYS:
            return 1
        found = []
        while day <= end:
            rows = reader.find_journals(day.isoformat(), None, 0, 1)
            found += [row[0] for row in rows]
            day += timedelta(1)
        return min(found, default=self.through + 1)

    def _take(self, rows: Iterable[tuple]) -> int:
        """Take in entries; the sequence of the last one."""
        sequence = 0
        for number, row in enumerate(rows, 1):
            sequence = row[0]
            if number % _ROWS == 0:
                time.sleep(_PAUSE_SECONDS)
                if self._stopping():
                    raise TransientFault("the service is ending", "send the statement again later")
            if row[1] is not None and self._needle in row[13]:
                self._journal(row)
        return sequence

    def _journal(self, row: tuple) -> None:
        day = row[11]
        if self.seen is None:
            counts = day >= self.first
        else:
            counts = day > self.seen[0] or row[0] > self.seen[1]
        journal = journal_id(row[1])
        for number, leg in enumerate(orjson.loads(row[13]), 1):
            account_id, currency, direction, amount, _, reference = leg
            if currency != self.currency or not is_of(self.account_id, account_id):
                continue
            signed = self.sign * (amount if direction == "D" else -amount)
            if day > self.last:
                self.closing -= signed
                self.read_from = min(self.read_from, row[0])
            elif counts:
                self.postings.append(Posting(
                    journal, f"{journal}/{number}", day, signed,
                    reference or row[6] or journal,
                ))
