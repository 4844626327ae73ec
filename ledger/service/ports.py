"""What the service needs from outside: a store and a signer of heads. Adapters implement these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from ledger.domain.templates import Dispute, Payment


@dataclass(frozen=True, slots=True)
class StoredCommand:
    """A recorded command with its outcome: a journal, or a refusal."""

    type: str
    digest: bytes
    values: dict[str, Any]
    sequence: int | None
    reason: str | None
    field: str | None
    detail: str | None
    booking_date: str | None
    booked_at: str | None


@dataclass(frozen=True, slots=True)
class StoredAccount:
    """An account row. `balance` is signed to the normal side."""

    ref: int
    account_id: str
    code: str
    party_id: str | None
    currency_code: str
    opened_date: str
    balance: int


@dataclass(slots=True)
class Draft:
    """Rows of one unit of work, in the column order of the adapter's statements."""

    commands: list[tuple] = field(default_factory=list)
    journals: list[tuple] = field(default_factory=list)
    legs: list[tuple] = field(default_factory=list)
    payments: list[tuple] = field(default_factory=list)
    disputes: list[tuple] = field(default_factory=list)
    changed_payments: dict[int, Payment] = field(default_factory=dict)
    changed_disputes: dict[int, Dispute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """What the service keeps in memory, read once at start."""

    accounts: list[StoredAccount]
    last_sequence: int
    last_digest: bytes
    last_command_number: int
    last_booked_at: str
    last_closed: str | None
    clock: str | None


class Reader(Protocol):
    """Reads of one ledger."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Several reads of one state."""

    def accounts(self) -> list[StoredAccount]: ...

    def meta(self, name: str) -> str | None: ...

    def journals(self, first: int, last: int | None = None) -> Iterator[Any]:
        """Journals with legs and command, in sequence, for checking the chain."""

    def find_sequences(
        self, booking_date: str | None, business_key: str | None, after: int, limit: int
    ) -> list[int]: ...

    def movements(self, day: str) -> dict[int, tuple[int, int]]:
        """Debit and credit totals booked on a date, by account ref."""

    def later_movements(self, day: str) -> dict[int, tuple[int, int]]:
        """The same for all later dates together."""

    def find_close(self, day: str) -> dict[str, Any] | None: ...

    def closed_dates(self) -> list[str]: ...

    def commands(self) -> Iterator[tuple[int, str, bytes, Any, int | None]]:
        """Recorded commands in order: number, type, digest, content, journal's sequence."""

    def stray_leg(self) -> tuple[int, int] | None:
        """The first leg without a journal."""

    def wrong_payment(self) -> tuple[int, int, int, int, int] | None:
        """The first payment whose counters its refunds and disputes do not give."""

    def trial_of(self, day: str) -> list[tuple[str, str, int, int, int, int]]:
        """A closed date's balances summed by account code and currency."""

    def day_balances(self, day: str) -> Iterator[tuple[StoredAccount, int, int, int, int]]:
        """A closed date's balances: account, opening, debit, credit, closing."""


class Store(Reader, Protocol):
    """Storage of one ledger; one writer."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what is written inside, or roll all of it back."""

    def load(self) -> State: ...

    def insert_accounts(self, rows: Sequence[StoredAccount]) -> None: ...

    def find_commands(self, keys: Sequence[str]) -> dict[str, StoredCommand]: ...

    def taken(self, business_keys: Sequence[str]) -> set[str]: ...

    def find_payments(self, transaction_ids: Sequence[str]) -> dict[str, Payment]: ...

    def payments_at(self, sequences: Sequence[int]) -> dict[int, Payment]: ...

    def find_disputes(
        self, transaction_ids: Sequence[str]
    ) -> dict[str, tuple[int, int, int, int | None]]:
        """Disputes as (sequence, sequence of the payment, amount, sequence of the release)."""

    def write(self, draft: Draft, balances: Iterable[tuple[int, int]]) -> None:
        """Insert the draft's rows and set balances given as (balance, account ref)."""

    def set_clock(self, now: str) -> None: ...

    # day close

    def earlier_open_date(self, day: str, after: str | None) -> str | None:
        """The first date before `day`, and after `after`, that has journals."""

    def day_totals(self, day: str) -> tuple[int, int]:
        """Journals and legs booked on a date."""

    def closing_before(self, day: str) -> dict[int, int]:
        """Closing balances at the last close before `day`, by account ref."""

    def close(self) -> None: ...

    def insert_close(self, close: dict[str, Any], balances: Sequence[tuple]) -> None: ...


class HeadSigner(Protocol):
    """Signs a day's head and keeps it in files outside the database."""

    key_id: str

    def sign(self, day: str, document: bytes) -> bytes: ...

    def keep(self, day: str, document: bytes, signature: bytes) -> None: ...
