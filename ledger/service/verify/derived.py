"""What is derived from the log: the documents and segments of the checkpoint, and indices."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any

from ledger.service import folding
from ledger.service.verify.found import UNREADABLE, Broken, not_of_its_form
from ledger.service.verify.log import Day, Log


class Derived:
    """What a checkpoint wrote down, held against the replay."""

    def __init__(self, reader: Any, log: Log) -> None:
        self.reader = reader
        self.log = log
        self._at = reader.checkpoint()

    @property
    def sequence(self) -> int:
        """The entry at which the log has to be held against it."""
        return self._at.sequence if self._at else 0

    def _documents(self) -> Broken | None:
        """The checkpoint's documents against the replay up to its entry."""
        expected = {(kind, key): doc for kind, key, doc in folding.every(self.log.state)}
        stored: Iterator[tuple[str, str, Any]] = self.reader.documents()
        seen = set()
        for kind, key, document in stored:
            seen.add((kind, key))
            if expected.get((kind, key)) != document:
                return Broken(f"document {kind} {key}", "the log gives another one")
        for key, document in self.reader.all_items():
            seen.add(("item", key))
            if expected.get(("item", key)) != document:
                return Broken(f"item {key}", "the log gives another one")
        for kind, key in expected:
            if (kind, key) not in seen:
                return Broken(f"document {kind} {key}", "it is missing")
        return None

    def at_checkpoint(self) -> Broken | None:
        """The checkpoint and all that it wrote down, at its entry."""
        at = self._at
        if at is not None and (at.sequence, at.digest, at.journal, at.booked_at) != (
            self.log.found.entries, self.log.digest, self.log.found.journals, self.log.booked_at
        ):
            return Broken("checkpoint", "the log gives another one")
        if at is None and self.reader.has_documents():
            return Broken("checkpoint", "it is missing")
        return self._documents() or self._segments()

    def beyond_log(self) -> Broken | None:
        """A checkpoint that reaches further than the log."""
        if self._at is None:
            return None
        if self._at.sequence > self.log.found.entries:
            return Broken(
                "checkpoint", f"it reaches to entry {self._at.sequence}, the log to "
                f"{self.log.found.entries}: the end of the log is missing",
            )
        return None

    def storage(self) -> Broken | None:
        """The storage's own check: rows are read here in their order, by the service by indices."""
        fault = self.reader.storage_fault()
        return None if fault is None else Broken("database", fault)

    def _segments(self) -> Broken | None:
        """Every posting by account and dates, up to the checkpoint."""
        last: tuple[str, ...] = ()
        found = mark = 0
        for segment in self.reader.all_segments():
            name = (segment.account_id, segment.currency_code, segment.booking_date,
                    segment.value_date)
            if name != last:
                if last and mark != self._expected(*last):
                    return Broken(_segments_of(last), "the log gives other postings")
                found, mark, last = found + 1, 0, name
            postings = array("q")
            try:
                postings.frombytes(segment.postings)
                amounts = postings[2::3]
                debit = sum(amount for amount in amounts if amount > 0)
                says = (
                    postings[0], postings[-3], max(postings[1::3]), debit, debit - sum(amounts),
                )
                for sequence, moment, amount in zip(*[iter(postings)] * 3, strict=True):
                    mark = self.log.print_on(mark, sequence, moment, amount)
            except UNREADABLE as error:
                return Broken(
                    _segments_of(name),
                    not_of_its_form(error),
                )
            if says != (
                segment.first_sequence, segment.last_sequence, segment.last_booked,
                segment.debit, segment.credit,
            ):
                return Broken(_segments_of(name), "its totals are not those of its postings")
        if last and mark != self._expected(*last):
            return Broken(_segments_of(last), "the log gives other postings")
        wanted = self._printed()
        if found != len(wanted):
            there = {
                (s.account_id, s.currency_code, s.booking_date, s.value_date)
                for s in self.reader.all_segments()
            }
            missing = min(set(wanted) - there)
            return Broken(_segments_of(missing), "they are missing")
        return None

    def _expected(self, account: str, currency: str, day: str, value_date: str) -> int | None:
        of = self.log.days.get(day, Day())
        if value_date != day:
            return of.other.get((account, currency, value_date))
        moved = of.movements.get((account, currency))
        return moved[2] or None if moved else None

    def _printed(self) -> list[tuple[str, str, str, str]]:
        """What has segments."""
        names = [
            (account, currency, day, day) for day, of in self.log.days.items()
            for (account, currency), moved in of.movements.items() if moved[2]
        ]
        return names + [
            (account, currency, day, value_date) for day, of in self.log.days.items()
            for account, currency, value_date in of.other
        ]


def _segments_of(name: tuple[str, ...]) -> str:
    account, _, day, value_date = name
    shown = f"segments of {account} on {day}"
    return shown if value_date == day else f"{shown}, value date {value_date}"
