"""Balances at any date, as known at any moment.

Postings are kept by account, booking date and value date: those since the last checkpoint in
memory, older ones in the store's segments, which carry their totals, so that only the segments at
an edge are looked into. A balance as of a value date and as known at a time is the sum of the
postings with that value date or an earlier one, booked at that time or earlier.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain

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


Dates = dict[tuple[str, str], array]  # by booking and value date; three numbers a posting


class History:
    """Postings since the last checkpoint, and the way to those before it."""

    def __init__(self) -> None:
        self._since: list[tuple] = []
        self._taken: list[tuple] = []  # by a checkpoint that is being written

    def __len__(self) -> int:
        """Entries since the last checkpoint."""
        return len(self._since)

    def since(self) -> list[tuple]:
        """The entries since the last checkpoint, as :meth:`add` was given them."""
        return self._since

    def add(self, postings: list[tuple]) -> None:
        """Remember committed entries: (sequence, booked at, booking date, value date, legs,
        effects)."""
        self._since += postings

    def take(self) -> list[tuple]:
        """The tail for a checkpoint. Until :meth:`forget` it is still looked through here."""
        self._taken, self._since = self._since, []
        return self._taken

    def forget(self) -> None:
        """The checkpoint has what was taken."""
        self._taken = []

    def take_back(self) -> None:
        """There is no checkpoint of what was taken."""
        self._since, self._taken = self._taken + self._since, []

    def _tail(self, account_id: str, currency: str) -> Iterator[Segment]:
        """One account's segments of the tail; looking through it costs less than sorting it."""
        dates: Dates = {}
        for sequence, booked_at, day, value_date, legs, _ in chain(self._taken, self._since):
            for leg in legs:
                if leg[0] == account_id and leg[1] == currency:
                    dates.setdefault((day, value_date), array("q")).extend(
                        (sequence, seconds(booked_at), leg[3] if leg[2] == "D" else -leg[3])
                    )
        return _segments(account_id, currency, dates)

    def _all(self, reader: Reader, account_id: str, currency: str) -> Iterable[Segment]:
        yield from reader.segments(account_id, currency)
        yield from self._tail(account_id, currency)

    def balance(
        self, reader: Reader, account_id: str, currency: str, value_date: str, known_at: str,
    ) -> int:
        """Debit less credit of an account as of a value date and as known at a time (UTC text),
        minor units."""
        until = seconds(known_at)
        total = 0
        for segment in self._all(reader, account_id, currency):
            if segment.value_date > value_date:
                continue
            if segment.last_booked <= until:
                total += segment.debit - segment.credit
                continue
            postings = self._postings(reader, segment)
            total += sum(
                amount for moment, amount in zip(postings[1::3], postings[2::3], strict=True)
                if moment <= until
            )
        return total

    @staticmethod
    def _postings(reader: Reader, segment: Segment) -> array:
        postings = array("q")
        postings.frombytes(segment.postings or reader.postings(segment))
        return postings

    def sequences(
        self, reader: Reader, account_id: str, currency: str, first: str, last: str
    ) -> list[int]:
        """Sequences of the entries that moved an account, booked on dates from first to last."""
        found: list[int] = []
        for segment in self._all(reader, account_id, currency):
            if first <= segment.booking_date <= last:
                found += self._postings(reader, segment)[0::3]
        return sorted(set(found))


def segments(tail: Iterable[tuple]) -> list[Segment]:
    """Entries, as :meth:`History.add` was given them, as segments."""
    accounts: dict[tuple[str, str], Dates] = {}
    for sequence, booked_at, day, value_date, legs, _ in tail:
        moment = seconds(booked_at)
        for account_id, currency, direction, amount, _, _ in legs:
            dates = accounts.get((account_id, currency))
            if dates is None:
                dates = accounts[account_id, currency] = {}
            found = dates.get((day, value_date))
            if found is None:
                found = dates[day, value_date] = array("q")
            found.extend((sequence, moment, amount if direction == "D" else -amount))
    return [
        segment for (account_id, currency), dates in accounts.items()
        for segment in _segments(account_id, currency, dates)
    ]


def _segments(account_id: str, currency: str, dates: Dates) -> Iterator[Segment]:
    for (day, value_date), found in dates.items():
        amounts = found[2::3]
        debit = sum(amount for amount in amounts if amount > 0)
        yield Segment(
            account_id, currency, day, value_date, found[0], found[-3], max(found[1::3]),
            debit, debit - sum(amounts), found.tobytes(),
        )


def shown(value: int, normal_side: str) -> int:
    """A debit-less-credit sum signed to the normal side."""
    return value if normal_side == "D" else -value


