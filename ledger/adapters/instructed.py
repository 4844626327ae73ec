"""Which entries of a date have the institution's banks pay somebody: payouts to merchants,
withdrawals of users, prepaid cards paid back, payments from a merchant balance, and wealth products
that their provider has confirmed (rules D0.3, D0.42, D1.10, D1.19). Each is in the files of
one date, by the number under which its money leaves account 1001 or 9001.

What the bank answers later is told to it on the date of its order, unless its answer came within
the date; what a provider answers, when it has confirmed: before that nobody is owed money. What is
in no file, because no bank acts on the institution's word there: what goes back over a card network
(refunds, voids, what was taken for a payer of a card; the network has them from the switch and
settles them in its clearing sum), chargebacks (the network takes them), redemptions of wealth
products (the provider pays), and what had the bank's answer when it was booked (`prepaid_redeem`,
`merchant_spend`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from ledger.adapters.sql_reader import SqlReader
from ledger.domain.chain import journal_of
from ledger.domain.chart import parts_of
from ledger.service.ports import Row
from paylake.errors import PermanentFailure

#: Operations that instruct a bank: who is paid out of, and the field that says to whom.
_INSTRUCTS: dict[str, tuple[str, str | None]] = {
    "settlement": ("merchant_id", "destination_id"),
    "withdrawal": ("user_id", "destination_id"),
    "prepaid_redeem_order": ("card_id", "destination_id"),
    "merchant_spend_order": ("merchant_id", None),
    "wealth_purchase": ("user_id", "product_id"),
    "wealth_purchase_order": ("user_id", "product_id"),
}
#: Of these the bank is told when somebody else has confirmed them: an order's result.
_CONFIRMED = {"wealth_purchase_result": "original_transaction_id"}
#: These hold their money until the bank answers; one with legs was paid when it was booked
#: (withdrawals of the first format).
_HOLDS = ("withdrawal", "prepaid_redeem_order", "merchant_spend_order")
#: A bank's answers, and the field that names what they are of.
_ANSWERS = {
    "settlement_result": "payout_id", "withdrawal_result": "withdrawal_id",
    "prepaid_redeem_result": "original_transaction_id",
    "merchant_spend_result": "original_transaction_id",
}
_WANTED = (
    "settlement", "wealth_purchase", *_HOLDS, *_CONFIRMED, *_ANSWERS, "settlement_returned",
    "reversal",
)
#: code of the account that is paid out of -> its settlement mode
_MODES = {
    "2201": "institution", "9201": "bank", "9211": "self",
    "2101": "institution", "9101": "bank", "9111": "self",
    "2211": "institution", "2501": "institution",
}


@dataclass(frozen=True, slots=True)
class Payout:
    """One payment that a bank is to make.

    `kind` is the operation that has the number; `payee_id` the bound account's, else the product's,
    else empty. `held_minor` is what the payout holds on its account until its answer, None when it
    was booked; `began` the entry that holds it and `began_on` its date: of what waited for a
    checker, when it began to wait.
    """

    sequence: int
    number: str
    kind: str
    mode: str
    party_id: str
    amount_minor: int
    currency_code: str
    booking_date: str
    booked_at: str
    payee_id: str
    is_bound: bool
    account_id: str
    held_minor: int | None
    began: int
    began_on: str
    rail: str


def payouts_of(reader: SqlReader, day: date) -> list[Payout]:
    """The payouts of a date, in the order of the log, without those of which nothing is to be sent.

    :raises PermanentFailure: when one belongs into none of the files
    """
    listed = [(row, orjson.loads(row[12])) for row in reader.posted_of(day.isoformat(), _WANTED)]
    undone = {journal_of(said["journal_id"]) for row, said in listed if row[2] == "reversal"}
    past = _past(listed, undone)
    confirmed = [
        said[_CONFIRMED[row[2]]] for row, said in listed if row[2] in _CONFIRMED
    ]
    orders = reader.find_by_business_key(confirmed)
    found = []
    for row, said in listed:
        if row[1] is not None and row[1] in undone:
            continue
        if row[2] in _CONFIRMED:
            if row[1] is not None:  # it succeeded
                order = orders[said[_CONFIRMED[row[2]]]]
                found.append(_payout(reader, row, order, orjson.loads(order[12])))
        elif row[6] not in past and row[2] in _INSTRUCTS and (
            row[1] is None or row[2] not in _HOLDS
        ):
            found.append(_payout(reader, row, row, said))
    return found


def _past(listed: list[tuple[Row, dict[str, Any]]], undone: set[int]) -> set[str]:
    """Numbers of payouts of which nothing is to be sent: what the date's later entries say came
    back or was answered by the bank. A coming back that was reversed itself was none; a result that
    was leaves it `unknown` what the bank did, so it counts."""
    past = set()
    for row, said in listed:
        if row[2] in _ANSWERS:
            past.add(said[_ANSWERS[row[2]]])
        elif row[2] == "settlement_returned" and row[1] not in undone:
            past.add(said["payout_id"])
    return past


def _payout(reader: SqlReader, row: Row, order: Row, said: Mapping[str, Any]) -> Payout:
    """:param row: the entry that has the bank told; :param order: the one that has the number"""
    party, payee = _INSTRUCTS[order[2]]
    began = _began(reader, row, order[6])
    account_id, held = _source(began, order[6])
    mode = None if account_id is None else _MODES.get(parts_of(account_id)[0])
    if account_id is None or mode is None:
        raise PermanentFailure(
            f"{row[2]} {row[6]} (entry {row[0]}) belongs into none of the files",
            "verify the ledger: python -m ledger verify", where=account_id or "",
        )
    return Payout(
        row[0], order[6], order[2], mode, said[party], said["amount_minor"],
        said["currency_code"], row[10], row[9], said.get(payee, "") if payee else "",
        payee == "destination_id", account_id, held, began[0], began[10], said.get("via", "bank"),
    )


def _began(reader: SqlReader, row: Row, number: str) -> Row:
    """The entry that books a payout or places its hold. What waited for a checker placed it when it
    began to wait."""
    if row[13] == "[]" and row[15]:
        waited = orjson.loads(row[15])["pending"]
        for pending in reader.entries(waited, waited):
            if _held(number, pending[14]) is not None:
                return pending
    return row


def _source(row: Row, number: str) -> tuple[str | None, int | None]:
    """The account of a payout, that its legs debit or that its hold is on, and what is held."""
    for leg in orjson.loads(row[13]):
        if leg[2] == "D":
            return leg[0], None
    return _held(number, row[14]) or (None, None)


def _held(number: str, effects: str) -> tuple[str, int] | None:
    """The account on which these effects hold the amount of a payout, and how much."""
    for effect in orjson.loads(effects):
        if effect[0] == "hold" and effect[1] == number:
            return effect[2]["account_id"], effect[2]["placed"]
    return None
