"""What the service needs from outside: a store, a signer of heads, a vault. Adapters implement
these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from ledger.domain.chain import Row

#: Commitment (hex), sealed value, number of the key that sealed it.
Secret = tuple[str, bytes, int]


@dataclass(frozen=True, slots=True)
class Segment:
    """Postings of one account, booking date and value date in a range of entries.

    `postings` holds three 64-bit numbers each, in chain order: sequence, booked at (seconds since
    1970), amount signed to debit. `last_booked` is the latest of those times.
    """

    account_id: str
    currency_code: str
    booking_date: str
    value_date: str
    first_sequence: int
    last_sequence: int
    last_booked: int
    debit: int
    credit: int
    postings: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The fold of the log up to a sequence: documents by (kind, key)."""

    sequence: int
    digest: bytes
    journal: int
    booked_at: str


class Reader(Protocol):
    """Reads of one ledger. Whatever a storage raises comes as one of the kernel's errors."""

    #: Whether its connection is gone for good.
    lost: bool

    def look(self) -> None:
        """Notice a connection that was lost since the last statement; call it when none runs."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Several reads of one state."""

    def close(self) -> None: ...

    def meta(self, name: str) -> str | None: ...

    def entries(self, first: int, last: int | None = None) -> Iterator[Row]:
        """Entries in sequence."""

    def later_of(self, business_key: str) -> list[Row]:
        """Entries that did something to an original, in sequence."""

    def decision(self, pending: int) -> Row | None:
        """The entry by which what waited was posted or rejected."""

    def orders_of(self, party_id: str, first: str, last: str) -> list[tuple[int, str | None]]:
        """Sequence and business key of a party's orders that moved nothing by themselves, booked
        on dates from first to last; without a key it waits for a checker, or did."""

    def queries_of(self, idempotency_key: str) -> list[tuple[str, str, str]]:
        """Time, actor and what was told, of the newest queries of a command's status."""

    def of_session(self, session_id: str, after: int) -> Iterator[str]:
        """The evidence of a session's requests in the entries after one."""

    def last_entry(self) -> Row | None: ...

    def find_by_key(self, keys: Sequence[str]) -> dict[str, Row]:
        """Entries by idempotency key."""

    def find_by_business_key(self, keys: Sequence[str]) -> dict[str, Row]:
        """Entries by business key."""

    def find_business_keys(self, keys: Sequence[str]) -> set[str]:
        """Those of the business keys that an entry carries."""

    def find_by_journal(self, journal: int) -> Row | None: ...

    def find_journals(
        self, booking_date: str | None, business_key: str | None, after: int, limit: int
    ) -> list[Row]:
        """Entries with legs, by journal number."""

    def day_entries(self, day: str) -> Iterator[Row]:
        """Entries with legs booked on a date, in sequence."""

    def hashed(self, first: int, last: int) -> Iterator[tuple[int, int | None, bytes, bytes]]:
        """Entries as sequence, journal, canonical bytes after the digest before, and digest."""

    def checkpoint(self) -> Checkpoint | None: ...

    def has_documents(self) -> bool:
        """Whether a checkpoint ever wrote something down."""

    def documents(self, kinds: Sequence[str] | None = None) -> Iterator[tuple[str, str, Any]]:
        """Documents of the checkpoint: kind, key, document; without `kinds`, all but items."""

    def items(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Counters of originals, as of the checkpoint."""

    def segments(
        self, account_id: str, currency_code: str, beyond: int = -1
    ) -> Iterator[Segment]:
        """Segments of an account in order of their first sequence, without their postings; those
        alone that were booked into after a second since 1970."""

    def settled(
        self, account_id: str, currency_code: str, value_date: str, until: int
    ) -> int:
        """Debit less credit of an account's segments whose postings were all booked by then, with
        that value date or an earlier one."""

    def postings(self, segment: Segment) -> bytes:
        """The postings of a segment that :meth:`segments` gave."""

    def movements(self, day: str) -> dict[tuple[str, str], tuple[int, int]]:
        """Debit and credit totals booked on a date, by account and currency."""

    def later_movements(self, day: str) -> dict[tuple[str, str], tuple[int, int]]:
        """The same for all later dates together."""

    def closing_before(self, day: str) -> dict[tuple[str, str], int]:
        """Closing balances at the last close before a date, by account and currency."""

    def find_close(self, day: str) -> dict[str, Any] | None: ...

    def closed_dates(self) -> list[str]: ...

    def head_names(self) -> list[str]: ...

    def head(self, name: str) -> dict[str, Any] | None: ...

    def heads(self) -> Iterator[dict[str, Any]]:
        """Every signed head in order: name, sequence, digest, key id, document, signature."""

    def day_balances(self, day: str) -> Iterator[tuple[str, str, int, int, int, int]]:
        """A closed date's balances by account id: account id, currency, opening, debit, credit,
        closing."""

    def day_balance(
        self, day: str, account_id: str, currency_code: str
    ) -> tuple[str, str, int, int, int, int] | None:
        """One account's row of :meth:`day_balances`."""

    def secret(self, commitment: str) -> tuple[bytes, int] | None:
        """The sealed value behind a commitment, and the number of the key that sealed it."""


class Store(Reader, Protocol):
    """Storage of one ledger; one writer."""

    #: Whether a commit failed of which nobody can say whether it was done.
    uncertain: bool

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what is written inside, or roll all of it back."""

    def beside(self) -> Reader:
        """A second connection, to read what is committed while another thread writes."""

    def append(self, rows: Sequence[Row]) -> None:
        """Add entries to the log."""

    def keep_secrets(self, secrets: Iterable[Secret]) -> None:
        """Add sealed values by commitment and key."""

    def write_checkpoint(
        self, at: Checkpoint, documents: Iterable[tuple[str, str, str | None]],
        segments: Iterable[Segment],
    ) -> None:
        """Replace documents (JSON text; None drops one), add segments, move the checkpoint."""

    def set_clock(self, now: str) -> None: ...

    def set_meta(self, name: str, value: str) -> None: ...

    def insert_close(self, close: dict[str, Any], balances: Sequence[tuple]) -> None: ...

    def add_queries(self, rows: Sequence[tuple[str, str, str, str]]) -> None:
        """Keep queries: key, time, actor, what was told."""

    def insert_head(self, head: dict[str, Any]) -> None: ...


class HeadSigner(Protocol):
    """Signs heads and keeps them in files outside the database."""

    key_id: str

    def sign(self, day: str, document: bytes) -> bytes: ...

    def keep(self, name: str, document: bytes, signature: bytes) -> None: ...

    def kept(self) -> set[str]: ...


class Vault(Protocol):
    """Commitments and sealed values of sensitive (C2) fields."""

    def commit(self, idempotency_key: str, field: str, value: str) -> Secret:
        """The salted commitment (hex) that stands in the log, the sealed value, the number of the
        key that sealed it."""

    def reveal(self, commitment: str, sealed: bytes, number: int) -> str:
        """The value behind a commitment."""


__all__ = [
    "Checkpoint", "HeadSigner", "Reader", "Row", "Secret", "Segment", "Store", "Vault",
]
