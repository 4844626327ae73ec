"""What a date is made of: balances, operations, movements at the custodian."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from simulator.params import Params
from simulator.population import Population
from simulator.trade import Attempts, PlannedRefund

PAYMENT, REFUND, FEE, SETTLEMENT, TOP_UP, WITHDRAWAL, DISPUTE = range(7)
KINDS = ("payment", "refund", "fee", "settlement", "top_up", "withdrawal", "dispute")


@dataclass
class State:
    """Balances at the end of a date, minor units.

    `transit` are the sums that book and custodian see on different dates: reference, signed
    amount (book less custodian) and the date since when.
    """

    day: date
    users: np.ndarray
    pending: np.ndarray
    disputed: np.ndarray
    fee_pending: int = 0
    book: int = 0
    custodian: int = 0
    transit: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    refused: set[tuple[int, int]] = field(default_factory=set)
    awaited_top_ups: dict[str, tuple[int, int, str]] = field(default_factory=dict)

    @classmethod
    def opening(cls, params: Params, people: Population) -> State:
        """Before the first date: nothing anywhere."""
        merchants = len(people.merchants)
        return cls(
            params.start - timedelta(days=1),
            np.zeros(people.users, np.int64),
            np.zeros(merchants, np.int64),
            np.zeros(merchants, np.int64),
        )


@dataclass(frozen=True)
class Operations:
    """What moves money on a date, in the order of time; shape (n,) each, minor units.

    `key` is the business key, `origin` the payment that a refund or dispute refers to. `party` is
    the merchant's index, or the user's for top-ups and withdrawals; `user` is the payer's for
    payments from a payment account, else -1. `channel` is -1 where none clears it.
    """

    kind: np.ndarray
    second: np.ndarray
    key: np.ndarray
    origin: np.ndarray
    party: np.ndarray
    user: np.ndarray
    channel: np.ndarray
    amount: np.ndarray
    issuer_fee: np.ndarray
    network_fee: np.ndarray
    acquirer_fee: np.ndarray

    def __len__(self) -> int:
        return len(self.kind)

    def only(self, kind: int) -> Operations:
        """The operations of one kind."""
        chosen = self.kind == kind
        return Operations(**{name: column[chosen] for name, column in vars(self).items()})


@dataclass(frozen=True)
class Movement:
    """A line of the custodian: reference, signed amount (in +, out -), second, counterparty."""

    reference: str
    amount: int
    second: int
    kind: str
    merchant: int = -1


@dataclass(frozen=True)
class RefundRows:
    """Refunds that the switch saw on a date, refused ones included; shape (n,) each."""

    plan: PlannedRefund
    accepted: np.ndarray
    ids: np.ndarray
    origin_ids: np.ndarray


@dataclass(frozen=True)
class Dispute:
    """A chargeback: its own id, the payment's date and index, amount."""

    transaction_id: str
    second: int
    origin_day: date
    origin_index: int
    merchant: int
    amount: int


@dataclass(frozen=True)
class Day:
    """Everything that happened on a business date."""

    day: date
    attempts: Attempts
    refunds: RefundRows
    dispute: Dispute | None
    operations: Operations
    movements: list[Movement]
    due: np.ndarray
    opening: State
    closing: State


class Rows:
    """Collects operations of several kinds into one table in order of time."""

    def __init__(self) -> None:
        self.parts: list[dict[str, np.ndarray]] = []

    def add(self, kind: int, second: np.ndarray, key: np.ndarray, party: np.ndarray,
            amount: np.ndarray, **more: np.ndarray) -> None:
        n = len(second)
        zero, none = np.zeros(n, np.int64), np.full(n, -1, np.int64)
        self.parts.append({
            "kind": np.full(n, kind, np.int64), "second": second, "key": key,
            "origin": np.full(n, "", "U20"), "party": party, "user": none, "channel": none,
            "amount": amount, "issuer_fee": zero, "network_fee": zero, "acquirer_fee": zero,
            **more,
        })

    def table(self) -> Operations:
        columns = {
            name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]
        }
        # In one second: money comes in before it goes out; within a kind by key.
        rank = np.array([1, 2, 4, 6, 0, 5, 3])[columns["kind"]]
        order = np.lexsort((columns["key"], rank, columns["second"]))
        return Operations(**{name: column[order] for name, column in columns.items()})
