"""A feed as ingestion sees it: its contract, and what a mapping relaxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from paylake import contracts
from paylake.contracts import Column, Contract
from paylake.crypto import sm3_hex
from paylake.errors import PermanentFailure

MINOR_UNITS = "minor_units"
"""Value of `amountDivisor` where each currency has a divisor of its own."""
FORMATS = ("csv", "jsonl", "parquet", "fixed_width")


@dataclass(frozen=True, eq=False)
class Feed:
    """One feed.

    :param relaxed: columns whose `required` a mapping lifts, because its sender has no such value.
    """

    contract: Contract
    relaxed: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise PermanentFailure(
                f"Feed {self.name} has the format {self.format!r}",
                f"Use one of {', '.join(FORMATS)}.",
                where=str(self.contract.path),
            )
        divisor = self.contract.get("amountDivisor")
        if divisor not in (None, 1, MINOR_UNITS):
            raise PermanentFailure(
                f"Feed {self.name} has the amountDivisor {divisor!r}",
                f"Use 1, or {MINOR_UNITS}: then each currency has its own.",
                where=str(self.contract.path),
            )
        if self.secret_columns and self.format not in ("csv", "fixed_width"):
            raise PermanentFailure(
                f"Feed {self.name} has C3 columns in the format {self.format}, in which they "
                "cannot be blanked byte for byte",
                "Ask the sender to leave them out, or to send CSV.",
                where=str(self.contract.path),
            )

    @classmethod
    def load(cls, name: str) -> Feed:
        """:raises PermanentFailure: when no contract has this name."""
        return cls(contracts.load(name))

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def table(self) -> str:
        return self.contract.table

    @property
    def format(self) -> str:
        return str(self.contract.get("format"))

    @property
    def encoding(self) -> str:
        return str(self.contract.get("encoding", "utf-8"))

    @property
    def delimiter(self) -> bytes:
        return str(self.contract.get("delimiter", ",")).encode("ascii")

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.contract.columns

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.contract.columns)

    @property
    def widths(self) -> tuple[int, ...]:
        """Bytes of each column of a fixed-width feed."""
        return tuple(int(c.properties["width"]) for c in self.columns)

    @property
    def key(self) -> tuple[str, ...]:
        return self.contract.key

    @property
    def record_key(self) -> tuple[str, ...]:
        return tuple(self.contract.get("recordKey") or self.key)

    @property
    def secret_columns(self) -> tuple[Column, ...]:
        """C3 columns."""
        return tuple(c for c in self.columns if c.classification == "C3")

    @property
    def amount_column(self) -> str | None:
        return self.contract.get("amountColumn")

    @property
    def is_in_minor_units(self) -> bool:
        """Whether its amounts are whole minor units, of each currency its own (ISO 4217)."""
        return self.contract.get("amountDivisor") == MINOR_UNITS

    @property
    def currency_column(self) -> str | None:
        return self.contract.get("currencyColumn")

    @property
    def bad_row_limit(self) -> Decimal:
        return Decimal(str(self.contract.get("badRowLimit")))

    @property
    def is_book(self) -> bool:
        return self.bad_row_limit == 0

    @property
    def lookback_days(self) -> int:
        return int(self.contract.get("duplicateLookbackDays") or 0)

    @property
    def lateness_days(self) -> int:
        return int(self.contract.get("latenessDays") or 0)

    @property
    def event_column(self) -> str | None:
        return self.contract.get("eventColumn")

    @property
    def minimum_rows(self) -> int:
        """Rows that a delivery has at least."""
        return int(self.contract.get("minimumRows") or 0)

    @property
    def signed_document(self) -> dict[str, str] | None:
        """Columns of a document that each row carries with its signature, by what they hold."""
        return self.contract.get("signedDocument")

    @property
    def blocking(self) -> bool:
        return bool(self.contract.get("blocking"))

    def is_required(self, column: Column) -> bool:
        return column.required and column.name not in self.relaxed

    @cached_property
    def digest(self) -> str:
        """SM3 of everything that decides how a line is read: a change means building again."""
        parts = [
            repr((c.name, c.type, self.is_required(c), c.is_key, c.classification,
                  c.valid_values, c.max_length, sorted(c.properties.items()),
                  sorted(c.options.items())))
            for c in self.columns
        ]
        parts += [f"{k}={v!r}" for k, v in sorted(self.contract.properties.items())]
        return sm3_hex("\n".join(parts).encode())


def all_feeds() -> dict[str, Feed]:
    """Every feed that has a contract, by name."""
    return {c.name: Feed(c) for c in contracts.all_contracts("feed")}
