"""What has to be done by a date: the arrival of withdrawals, the answer to other orders, the
agreement on denied payments, the review of refunds, the payment of access and use fees and of
confirmed bills. Nothing here decides by itself; the list is for the desk. Rules D0.14, D0.26,
D0.27, D1.12, D1.17."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.billing import START_FEES, charged
from ledger.domain.settling import arrives_on

if TYPE_CHECKING:
    from ledger.domain.account import Account
    from ledger.service.ledger import Ledger

#: From the notice, which goes out with the hold, for a merchant to agree with the cardholder.
AGREEMENT_DAYS = 1
REVIEW_DAYS = 3
CONTRACT_FEE_DAYS = 3
BILL_DAYS = 7
#: No rule gives the answer to an order a time; the desk asks for it when a withdrawal would have to
#: be there at the latest (rule D1.12).
ANSWER_DAYS = 3
#: What is a user's request for a refund when it waits: of a payment, a transfer, a withdrawal.
_REFUNDS = ("refund", "transfer_refund", "withdrawal_returned")


def deadlines(ledger: Ledger, today: date) -> list[dict[str, Any]]:
    """What is open, by the day it is due; `overdue` from the day after."""
    found = [
        *_withdrawals(ledger), *_orders(ledger), *_denied(ledger), *_reviews(ledger),
        *_fees(ledger, today), *_not_charged(ledger, today),
    ]
    for line in found:
        line["overdue"] = line["due_on"] < today.isoformat()
    return sorted(found, key=lambda line: (line["due_on"], line["kind"], line["number"]))


def _withdrawals(ledger: Ledger) -> Iterator[dict[str, Any]]:
    names = [n for n, hold in ledger.state.holds.items() if hold["kind"] == "withdrawal"]
    for name, row in ledger.store.find_by_business_key(names).items():
        asked = date.fromisoformat(row[10])
        via = orjson.loads(row[12]).get("via", "bank")
        due, latest = arrives_on(asked, via, ledger.clock.working_day)
        yield {"kind": "withdrawal", "number": name, "due_on": due.isoformat(),
               "latest_on": latest.isoformat()}


def _orders(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """What was ordered to be paid out and nobody has answered, or not known."""
    for name, hold in ledger.state.holds.items():
        if hold["kind"] == "outgoing":
            placed = date.fromisoformat(hold["placed_on"])
            yield {"kind": "order", "number": name,
                   "due_on": ledger.clock.working_day(placed, ANSWER_DAYS).isoformat()}


def _denied(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Payments that their cardholders deny: after this time, or earlier if the merchant cannot
    solve it, the amount may be taken from pending settlement for the customer (rule D0.14)."""
    for name, hold in ledger.state.holds.items():
        if hold["kind"] == "denied":
            placed = date.fromisoformat(hold["placed_on"])
            yield {"kind": "denied_payment", "number": name,
                   "due_on": ledger.clock.working_day(placed, AGREEMENT_DAYS).isoformat()}


def _reviews(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """A user's refund is reviewed within three working days; the money goes back with it."""
    for sequence, document in ledger.state.table("pending").items():
        if document["type"] in _REFUNDS:
            entered = date.fromisoformat(ledger.clock.booking_date(document["booked_at"]))
            yield {"kind": "refund_review", "number": sequence,
                   "due_on": ledger.clock.working_day(entered, REVIEW_DAYS).isoformat()}


def _fees(ledger: Ledger, today: date) -> Iterator[dict[str, Any]]:
    """Fees that are not paid: access and use fee are due three working days after the contract
    version, signed or renewed, that they belong to, a bill seven after its confirmation."""
    working_day = ledger.clock.working_day
    for account in ledger.state.all_accounts():
        if account.code != "1205" or account.balance <= 0:
            continue
        assert account.party_id is not None
        for row in _unpaid(ledger, account, today):
            content = orjson.loads(row[12])
            if row[2] == "bill_confirmed":
                confirmed = date.fromisoformat(row[10])
                yield {"kind": "bill", "number": content["bill_id"],
                       "due_on": working_day(confirmed, BILL_DAYS).isoformat()}
                continue
            contract = ledger.state.contract(account.party_id, row[10])
            if content.get("fee_item") in START_FEES and contract is not None:
                signed = date.fromisoformat(contract["valid_from"])
                yield {"kind": "contract_fee", "number": row[6],
                       "due_on": working_day(signed, CONTRACT_FEE_DAYS).isoformat()}


def _not_charged(ledger: Ledger, today: date) -> Iterator[dict[str, Any]]:
    """What contract versions in force ask of access and use fees and nobody has charged: it is due
    all the same, three working days after the version, signed or renewed, holds (rule D0.26)."""
    parties = ledger.state.table("party")
    for merchant, versions in ledger.state.table("contract").items():
        if parties[merchant]["state"] == "cancelled":
            continue
        for version in versions:
            if version["valid_from"] > today.isoformat() or version["fee_payee"] == "provider":
                continue
            due = ledger.clock.working_day(
                date.fromisoformat(version["valid_from"]), CONTRACT_FEE_DAYS
            ).isoformat()
            for item in START_FEES:
                asked = version.get(f"{item}_fee_minor") or 0
                if charged(ledger.state, version["contract_id"], item) < asked:
                    yield {"kind": "contract_fee", "due_on": due,
                           "number": f"{version['contract_id']}/{item}"}


def _unpaid(ledger: Ledger, account: Account, today: date) -> list[tuple]:
    """The entries behind a claim that are not paid in full; the oldest is paid first."""
    owed: list[tuple[tuple, int]] = []
    paid = 0
    for sequence in ledger.history.sequences(
        ledger.store, account.account_id, account.currency_code,
        account.opened_date, today.isoformat(),
    ):
        row = next(iter(ledger.store.entries(sequence, sequence)))
        for name, currency, direction, amount, _, _ in orjson.loads(row[13]):
            if (name, currency) == (account.account_id, account.currency_code):
                if direction == "D":
                    owed.append((row, amount))
                else:
                    paid += amount
    found = []
    for row, amount in owed:
        if paid < amount:
            found.append(row)
        paid = max(paid - amount, 0)
    return found
