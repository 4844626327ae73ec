"""Balances at any date, as known at any moment.

Postings are kept by account, booking date and value date: those since the last checkpoint in
memory, older ones in the store's segments, which carry their totals, so that only the segments at
an edge are looked into. A balance as of a value date and as known at a time is the sum of the
postings with that value date or an earlier one, booked at that time or earlier.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from ledger.domain.positions import TABLE as POSITIONS
from ledger.domain.positions import pair
from ledger.service.ports import Reader, Segment

_EPOCH: dict[str, int] = {}


def seconds(moment: str) -> int:
    """A UTC text of the ledger as seconds since 1970. Looked up by the minute: thousands of
    postings share one."""
    minute = moment[:16]
    start = _EPOCH.get(minute)
    if start is None:
        if len(_EPOCH) > 10_000:
            _EPOCH.clear()
        start = _EPOCH[minute] = int(
            datetime.fromisoformat(minute + ":00").replace(tzinfo=UTC).timestamp()
        )
    return start + int(moment[17:19])


class Piece:
    """Postings of one account with one booking date and one value date: three numbers each
    (sequence, seconds since 1970, debit or less credit), their sums, and the last second."""

    __slots__ = ("credit", "debit", "last", "postings")

    def __init__(self) -> None:
        self.postings: list[int] = []
        self.debit = self.credit = self.last = 0

    def join(self, later: Piece) -> None:
        """Take in what came later."""
        self.postings += later.postings
        self.debit += later.debit
        self.credit += later.credit
        self.last = max(self.last, later.last)

    def known(self, until: int) -> int:
        """Debit less credit of what was booked by a second since 1970."""
        if self.last <= until:
            return self.debit - self.credit
        return sum(
            amount for moment, amount in zip(self.postings[1::3], self.postings[2::3], strict=True)
            if moment <= until
        )

    def segment(self, account_id: str, currency: str, day: str, value_date: str) -> Segment:
        """As the store keeps it."""
        postings = self.postings
        kept = struct.pack(f"={len(postings)}q", *postings)  # half of what an array's own takes
        return Segment(
            account_id, currency, day, value_date, postings[0], postings[-3],
            self.last, self.debit, self.credit, kept,
        )


class Tail:
    """Entries since a checkpoint: their postings by account and dates, and the documents that they
    touched. Kept up posting by posting, so that a checkpoint has little left to do."""

    def __init__(self) -> None:
        self.number = 0
        # by currency, booking date and value date, which many in a row have in common; by account
        self._pieces: dict[tuple[str, str, str], dict[str, Piece]] = {}
        self._others: set[tuple[str, str]] = set()
        self.documents: set[tuple[str, str]] = set()  # kind and key
        self.uses: set[tuple[str, str, str, str]] = set()  # scene, account, currency, date

    @property
    def accounts(self) -> set[tuple[str, str]]:
        """Accounts, with currency, that were posted to or otherwise touched."""
        return self._others.union(
            (account_id, dated[0]) for dated, pieces in self._pieces.items()
            for account_id in pieces
        )

    def add(self, entries: Iterable[tuple]) -> None:
        """Take in (sequence, booked at, booking date, value date, legs, effects)."""
        last, moment = "", 0
        of, of_day, of_value = "", "", ""
        pieces: dict[str, Piece] = {}
        for entry in entries:
            sequence: int = entry[0]
            booked_at: str = entry[1]
            day: str = entry[2]
            value_date: str = entry[3]
            legs: list[list[Any]] = entry[4]
            self.number += 1
            if booked_at != last:
                last, moment = booked_at, seconds(booked_at)
            for leg in legs:
                currency: str = leg[1]
                if currency != of or day != of_day or value_date != of_value:
                    of, of_day, of_value = currency, day, value_date
                    pieces = self._pieces.setdefault((of, day, value_date), {})
                account_id: str = leg[0]
                piece = pieces.get(account_id)
                if piece is None:
                    piece = pieces[account_id] = Piece()
                if moment > piece.last:
                    piece.last = moment
                amount: int = leg[3]
                if leg[2] == "D":
                    piece.debit += amount
                else:
                    piece.credit += amount
                    amount = -amount
                postings = piece.postings
                postings.append(sequence)
                postings.append(moment)
                postings.append(amount)
            if entry[5]:
                self._touch(entry[5], day)

    def _touch(self, effects: list[list[Any]], day: str) -> None:
        for effect in effects:
            kind = effect[0]
            if kind == "use":
                self.uses.add((effect[1], effect[2], effect[3], day))
            elif kind == "put":
                self.documents.add((f"table.{effect[1]}", effect[2]))
            elif kind == "position":
                self.documents.add((f"table.{POSITIONS}", pair(effect[1], effect[2])))
            elif kind == "item":
                self.documents.add(("item", effect[1]))
            elif kind == "hold":
                self.documents.add(("hold", effect[1]))
                self._others.add((effect[2]["account_id"], effect[2]["currency_code"]))
            else:
                self._others.add((effect[1], effect[2]))

    def balance(self, account_id: str, currency: str, value_date: str, until: int) -> int:
        """Debit less credit of an account as of a value date, as known at a second since 1970."""
        total = 0
        for (of, _, valued), pieces in self._pieces.items():
            if of == currency and valued <= value_date and account_id in pieces:
                total += pieces[account_id].known(until)
        return total

    def of(self, account_id: str, currency: str) -> Iterator[Segment]:
        """One account's segments."""
        for (of, day, value_date), pieces in self._pieces.items():
            if of == currency and account_id in pieces:
                yield pieces[account_id].segment(account_id, currency, day, value_date)

    def segments(self) -> list[Segment]:
        """Those of all accounts."""
        return [
            piece.segment(account_id, *dated) for dated, pieces in self._pieces.items()
            for account_id, piece in pieces.items()
        ]

    def join(self, later: Tail) -> None:
        """Take in the entries after these."""
        self.number += later.number
        self._others |= later._others
        self.documents |= later.documents
        self.uses |= later.uses
        for dated, pieces in later._pieces.items():
            own = self._pieces.setdefault(dated, {})
            for account_id, piece in pieces.items():
                own.setdefault(account_id, Piece()).join(piece)


class History:
    """Postings since the last checkpoint, and the way to those before it."""

    def __init__(self) -> None:
        self._since = Tail()
        self._taken = Tail()  # by a checkpoint that is being written

    def __len__(self) -> int:
        """Entries since the last checkpoint."""
        return self._since.number

    def add(self, postings: list[tuple]) -> None:
        """Remember committed entries, as :meth:`Tail.add` takes them."""
        self._since.add(postings)

    @property
    def tail(self) -> Tail:
        """What the next checkpoint has to write."""
        return self._since

    def take(self) -> Tail:
        """The tail for a checkpoint. Until :meth:`forget` it is still looked through here."""
        self._taken, self._since = self._since, Tail()
        return self._taken

    def forget(self) -> None:
        """The checkpoint has what was taken."""
        self._taken = Tail()

    def take_back(self) -> None:
        """There is no checkpoint of what was taken."""
        self._taken.join(self._since)
        self._since, self._taken = self._taken, Tail()

    def segments(self, reader: Reader, account_id: str, currency: str) -> Iterator[Segment]:
        """Segments of an account, oldest first; the store's without their postings."""
        yield from reader.segments(account_id, currency, -1)
        yield from self._taken.of(account_id, currency)
        yield from self._since.of(account_id, currency)

    def committed(
        self, reader: Reader, account_id: str, currency: str, *, taken: bool
    ) -> Iterator[Segment]:
        """All segments of an account, each once.

        :param taken: whether those that a checkpoint is writing have to come from here; else the
            store has them already
        """
        yield from reader.segments(account_id, currency, -1)
        if taken:
            yield from self._taken.of(account_id, currency)
        yield from self._since.of(account_id, currency)

    def balance(
        self, reader: Reader, account_id: str, currency: str, value_date: str, known_at: str,
    ) -> int:
        """Debit less credit of an account as of a value date and as known at a time (UTC text),
        minor units."""
        until = seconds(known_at)
        total = reader.settled(account_id, currency, value_date, until)
        for tail in (self._taken, self._since):
            total += tail.balance(account_id, currency, value_date, until)
        for segment in reader.segments(account_id, currency, until):
            if segment.value_date > value_date:
                continue
            postings = self.postings(reader, segment)
            moments = postings[1::3]
            if min(moments) <= until:
                total += sum(
                    amount for moment, amount in zip(moments, postings[2::3], strict=True)
                    if moment <= until
                )
        return total

    @staticmethod
    def postings(reader: Reader, segment: Segment) -> array:
        """Its postings, as in :class:`Piece`."""
        postings = array("q")
        postings.frombytes(segment.postings or reader.postings(segment))
        return postings

    def sequences(
        self, reader: Reader, account_id: str, currency: str, first: str, last: str
    ) -> list[int]:
        """Sequences of the entries that moved an account, booked on dates from first to last."""
        found: list[int] = []
        for segment in self.segments(reader, account_id, currency):
            if first <= segment.booking_date <= last:
                found += self.postings(reader, segment)[0::3]
        return sorted(set(found))


def shown(value: int, normal_side: str) -> int:
    """A debit-less-credit sum signed to the normal side."""
    return value if normal_side == "D" else -value


