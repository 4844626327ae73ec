"""Operations as legs of a journal, vectorised: what the ledger's export of a date would hold.

Only for feeds that are written without a ledger (:mod:`simulator.bulk`); a test compares them with
the real export. Templates: design.md, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from simulator import reference as ref
from simulator.population import Population
from simulator.records import (
    DISPUTE,
    FEE,
    PAYMENT,
    REFUND,
    SETTLEMENT,
    TOP_UP,
    WITHDRAWAL,
    Operations,
)

ACCOUNT_CODES = ("1001", "2101", "2201", "2202", "2301")
ACCOUNT_KINDS = ("asset", "liability", "liability", "liability", "liability")
RESERVE, USER, PENDING, DISPUTED, FEES = range(5)
COMPONENTS = (
    "clearing", "gross", "issuer_fee", "network_fee", "acquirer_fee", "service_fee", "payout",
    "deposit", "dispute",
)
_C = {name: n for n, name in enumerate(COMPONENTS)}
_DEBIT, _CREDIT = 0, 1
_INTERNAL = ref.CHANNELS.index("internal")
_SLOTS = 6


@dataclass(frozen=True)
class Legs:
    """Legs in order of journal and number; shape (legs,) each.

    `operation` indexes the operations, `account` and `component` the names above, `party` is a
    merchant's or user's index or -1, `side` 0 for debit, 1 for credit.
    """

    operation: np.ndarray
    number: np.ndarray
    account: np.ndarray
    party: np.ndarray
    side: np.ndarray
    component: np.ndarray
    amount: np.ndarray


def legs(operations: Operations) -> Legs:
    """All legs of a date, zero legs left out."""
    n = len(operations)
    amount = np.zeros((n, _SLOTS), np.int64)
    account = np.zeros((n, _SLOTS), np.int64)
    party = np.full((n, _SLOTS), -1, np.int64)
    side = np.zeros((n, _SLOTS), np.int64)
    component = np.zeros((n, _SLOTS), np.int64)
    o = operations

    def put(rows: np.ndarray, slot: int, code: int, who: np.ndarray | int, direction: int,
            name: str, value: np.ndarray) -> None:
        account[rows, slot] = code
        party[rows, slot] = who if isinstance(who, int) else who[rows]
        side[rows, slot] = direction
        component[rows, slot] = _C[name]
        amount[rows, slot] = value[rows]

    for kind, debit, credit in ((PAYMENT, _DEBIT, _CREDIT), (REFUND, _CREDIT, _DEBIT)):
        rows = o.kind == kind
        own = rows & (o.channel == _INTERNAL)
        cleared = rows & (o.channel != _INTERNAL)
        put(own, 0, USER, o.user, debit, "gross", o.amount)
        put(cleared, 0, RESERVE, -1, debit, "clearing", o.amount - o.issuer_fee - o.network_fee)
        put(rows, 1, PENDING, o.party, credit, "gross", o.amount)
        put(rows, 2, PENDING, o.party, debit, "issuer_fee", o.issuer_fee)
        put(rows, 3, PENDING, o.party, debit, "network_fee", o.network_fee)
        put(rows, 4, PENDING, o.party, debit, "acquirer_fee", o.acquirer_fee)
        put(rows, 5, FEES, -1, credit, "acquirer_fee", o.acquirer_fee)
    for kind, slots in {
        FEE: ((PENDING, o.party, _DEBIT, "service_fee"), (FEES, -1, _CREDIT, "service_fee")),
        SETTLEMENT: ((PENDING, o.party, _DEBIT, "payout"), (RESERVE, -1, _CREDIT, "payout")),
        TOP_UP: ((RESERVE, -1, _DEBIT, "deposit"), (USER, o.party, _CREDIT, "deposit")),
        DISPUTE: ((PENDING, o.party, _DEBIT, "dispute"), (DISPUTED, o.party, _CREDIT, "dispute")),
    }.items():
        for slot, (code, who, direction, name) in enumerate(slots):
            put(o.kind == kind, slot, code, who, direction, name, o.amount)
    rows = o.kind == WITHDRAWAL
    put(rows, 0, USER, o.party, _DEBIT, "payout", o.amount + o.acquirer_fee)
    put(rows, 1, RESERVE, -1, _CREDIT, "payout", o.amount)
    put(rows, 2, FEES, -1, _CREDIT, "service_fee", o.acquirer_fee)

    there = amount > 0
    operation, _ = np.nonzero(there)
    return Legs(
        operation, np.cumsum(there, axis=1)[there], account[there], party[there], side[there],
        component[there], amount[there],
    )


def custodian_references(operations: Operations, made: Legs, day: date) -> np.ndarray:
    """Reference of each leg on the reserve account, "" elsewhere; shape (legs,)."""
    clearing = np.array([f"CLR-{name}-{day:%Y%m%d}" for name in ref.CHANNELS])
    found = np.full(len(made.operation), "", "U32")
    reserve = made.account == RESERVE
    is_clearing = reserve & (made.component == _C["clearing"])
    found[is_clearing] = clearing[operations.channel[made.operation[is_clearing]]]
    direct = reserve & ~is_clearing
    found[direct] = operations.key[made.operation[direct]]
    return found


def party_names(people: Population) -> dict[int, np.ndarray]:
    """Party ids by account: users for 2101, merchants for 2201 and 2202."""
    merchants = np.array([m.merchant_id for m in people.merchants])
    users = people.user_ids(np.arange(people.users))
    return {USER: users, PENDING: merchants, DISPUTED: merchants}
