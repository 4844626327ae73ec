"""Checking the chain: recompute every digest from the rows and compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ledger.domain.chain import Leg, journal_digest, journal_id
from ledger.domain.commands import TYPES, content_digest
from ledger.domain.templates import JOURNAL_TYPE

#: What reading a hand-edited row may raise; it is a broken row, not a fault of the program.
UNREADABLE = (TypeError, ValueError, KeyError, AttributeError)


@dataclass(slots=True)
class JournalRow:
    """A stored journal with its command and legs, as read back."""

    sequence: int
    journal_type: str
    business_key: str
    original_sequence: int | None
    currency_code: str
    booking_date: str
    booked_at: str
    leg_count: int
    chain_digest: bytes
    idempotency_key: str
    command_type: str
    command_digest: bytes
    command_values: dict[str, Any]
    command_sequence: int | None
    leg_numbers: list[int]
    leg_refs: list[int]
    legs: list[Leg]


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row that does not hold: which, and why."""

    row: str
    reason: str

    def sentence(self) -> str:
        return f"{self.row}: {self.reason}"


class ChainCheck:
    """Walks journals in sequence and keeps what later checks compare with.

    :param previous: digest before the first journal
    :param first: sequence of the first journal
    :param keep: sequences whose digests to keep (those of day heads)
    """

    def __init__(self, previous: bytes, first: int, keep: Iterable[int] = ()) -> None:
        self.digest = previous
        self.next = first
        self.keep = set(keep)
        self.digests: dict[int, bytes] = {}
        self.journals = 0
        self.legs = 0
        self.debits: dict[int, int] = {}

    def run(self, rows: Iterable[JournalRow]) -> Broken | None:
        """Check rows up to the first broken one."""
        for row in rows:
            try:
                reason = self._reason(row)
            except UNREADABLE:
                reason = "one of its values is not of its type"
            if reason is not None:
                return Broken(f"journal {row.sequence} ({journal_id(row.sequence)})", reason)
            self.next += 1
            self.digest = row.chain_digest
            self.journals += 1
            self.legs += row.leg_count
            if row.sequence in self.keep:
                self.digests[row.sequence] = row.chain_digest
        return None

    def _reason(self, row: JournalRow) -> str | None:
        if row.sequence != self.next:
            return f"expected sequence {self.next}: journals are missing"
        if row.command_sequence != row.sequence:
            return "its command does not name it"
        if JOURNAL_TYPE.get(row.command_type) != row.journal_type:
            return f"its command is a {row.command_type}"
        if row.command_type not in TYPES or (
            content_digest(row.command_type, row.command_values) != row.command_digest
        ):
            return "the content of its command does not match the command's digest"
        if len(row.legs) != row.leg_count or row.leg_numbers != list(
            range(1, row.leg_count + 1)
        ):
            return f"it has {len(row.legs)} legs, not {row.leg_count} numbered from 1"
        digest = journal_digest(
            self.digest, row.sequence, row.journal_type, row.business_key,
            row.original_sequence, row.idempotency_key, row.command_digest, row.currency_code,
            row.booking_date, row.booked_at, row.legs,
        )
        if digest != row.chain_digest:
            return "its chain digest does not match its content and the digest before it"
        total = 0
        for ref, leg in zip(row.leg_refs, row.legs, strict=True):
            signed = leg[2] if leg[1] == "D" else -leg[2]
            total += signed
            self.debits[ref] = self.debits.get(ref, 0) + signed
        if total:
            return f"its legs do not balance: debit less credit is {total} minor units"
        return None
