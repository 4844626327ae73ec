"""Bills of a merchant's data-processing and verification fees (rule D0.27): items accrue on 1204,
a bill sums those of a period, and what both have confirmed is due on 1205.

What is left when a merchant has gone stands here too: unused prepaid fees, the deposit.

The institution confirms by issuing, the merchant by its own command or in writing. The source
knows no confirmation by silence: an unconfirmed bill stays unconfirmed, and nothing of it is due.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from ledger.domain.chart import account_id
from ledger.domain.documents import Handler, Values, differs
from ledger.domain.operations import Context, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

#: Accounts of a merchant's fees: for the next bill, due, paid before they arise.
ACCRUED, DUE, PREPAID = "1204", "1205", "2601"
DEPOSIT = "2602"
#: Items that come on a bill, by how their names begin.
BILLED = ("data_", "verif")
#: Fees that a contract asks at the start (rules D0.26, D0.34).
START_FEES = ("access", "use")
#: Fees that a contract may price each time (rule D0.24); `ledger/data/fields.yml` tells them apart.
PRICED = frozenset({
    "payment", "data_processing", "data_in", "data_out", "data_external_channel", "data_balance",
    "verification", "verify_person", "verify_firm", "verify_card_3", "verify_card_4",
    "verify_card_4_sms", "verify_face_low", "verify_face_high", "withdrawal", "service",
})
#: What its prices may name: items that operations take themselves as a share of the amount, too.
NAMED = PRICED | {"payment_ppm", "service_ppm"}
_DAY = timedelta(1)


def months_later(day: date, months: int) -> date:
    """The same day so many calendar months later, or the month's last when it is shorter; beyond
    what a date can say its last, which never comes."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if year > date.max.year:
        return date.max
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _terms(version: Mapping[str, Any]) -> tuple[str, int | None]:
    return version["fee_choice"], version.get("bill_months")


def _period(
    state: State, merchant: str, billed: str | None, oldest: str, today: str
) -> tuple[str, str] | Refusal:
    """First and last date of the next bill: the contract's months on end from where the last bill
    stopped; a period without items has no bill. It ends earlier when the terms of billing change,
    and on the day before today for a merchant that leaves or has left.

    :param oldest: the first date that has an item which is on no bill
    """
    versions = state.get("contract", merchant) or ()
    leaves = state.get("party", merchant)["state"] in ("leaving", "cancelled")
    fault = differs(f"{merchant} is not billed", "merchant_id")
    start = None if billed is None else date.fromisoformat(billed) + _DAY
    for place, version in enumerate(versions):
        choice, months = _terms(version)
        later = [v for v in versions[place + 1 :] if _terms(v) != (choice, months)]
        last = date.fromisoformat(later[0]["valid_from"]) - _DAY if later else date.max
        begins = date.fromisoformat(version["valid_from"])
        if choice != "bill" or last.isoformat() < oldest or (start or begins) > last:
            continue
        if months is None:  # its items come on the first bill of a version that names them
            fault = differs(
                f"contract {version['contract_id']} names no months of a bill", "merchant_id",
            )
            continue
        first = max(begins, start or begins)
        while (end := min(months_later(first, months) - _DAY, last)).isoformat() < oldest:
            first = end + _DAY
        if leaves:
            end = min(end, date.fromisoformat(today) - _DAY)
        return min(first.isoformat(), oldest), end.isoformat()
    return fault


def bill_issued(state: State, v: Values, c: Context) -> Plan | Refusal:
    """The sum of the period's items, never recomputed from a total (rule D0.30)."""
    merchant, currency = v["merchant_id"], v["currency_code"]
    key = f"{merchant}/{currency}"
    account = state.account(f"{ACCRUED}:{merchant}", currency)
    billed = state.get("billed", key)
    open_bills = [
        bill for bill in state.table("bill").values()
        if bill["account"] == key and bill["confirmed_on"] is None
    ]
    waiting = sum(bill["amount_minor"] for bill in open_bills)
    items = {} if account is None else account.buckets
    unbilled = [day for day in items if items[day] and (billed is None or day > billed)]
    if not unbilled:
        return differs(f"{merchant} has no item to bill", "merchant_id")
    period = _period(state, merchant, billed, min(unbilled), c.booking_date)
    if isinstance(period, Refusal):
        return period
    first, last = period
    if last >= c.booking_date:
        return Refusal("not_due", f"the period of the bill ends on {last}", "merchant_id")
    amount = sum(part for day, part in items.items() if day <= last) - waiting
    if amount <= 0:
        return differs(f"{merchant} has no item to bill", "merchant_id")
    return Plan([], effects=[
        ["put", "bill", v["bill_id"], {
            "account": key, "merchant_id": merchant, "currency_code": currency,
            "amount_minor": amount, "from": first, "through": last, "billed_before": billed,
            "issued_on": c.booking_date, "confirmed_on": None,
        }],
        ["put", "billed", key, last],
    ])


def charged(state: State, contract_id: str, item: str) -> int:
    """What of a start fee was charged under a contract version, minor units."""
    return state.get("charged", f"{contract_id}/{item}") or 0


def fee_charge(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A fee item: out of the prepaid account, or on the next bill when it is of data processing
    or verification, or due at once by the agreement that it belongs to (rules D0.26 to D0.28)."""
    merchant, currency, item = v["merchant_id"], v["currency_code"], v["fee_item"]
    amount, effects = v["amount_minor"], None
    price = (c.contract.get("prices") or {}).get(item)
    if price is not None:
        if currency != state.chart.base_currency:
            return Refusal(
                "fee_differs", f"the contract prices {item} in {state.chart.base_currency}",
                "currency_code",
            )
        due = price * v.get("quantity", 1)
        if amount != due:
            return Refusal("fee_differs", f"amount_minor must be {due}", "amount_minor")
    start = c.contract.get(f"{item}_fee_minor") if item in START_FEES else None
    if start is not None:
        if currency != state.chart.base_currency:
            return Refusal(
                "fee_differs", f"the contract asks the {item} fee in {state.chart.base_currency}",
                "currency_code",
            )
        left = start - charged(state, c.contract["contract_id"], item)
        if amount > left:
            return Refusal(
                "fee_differs", f"of the {item} fee of contract {c.contract['contract_id']} {left} "
                f"of {start} minor units are left to charge", "amount_minor",
            )
    if c.contract.get("fee_choice") == "prepaid":
        code = PREPAID
    else:
        code = ACCRUED if item.startswith(BILLED) else DUE
    if item in START_FEES and "contract_id" in c.contract:
        contract_id = c.contract["contract_id"]
        effects = [
            ["put", "charged", f"{contract_id}/{item}", charged(state, contract_id, item) + amount]
        ]
    return Plan(
        [
            [f"{code}:{merchant}", currency, "D", amount, "fee", None],
            ["6001", currency, "C", amount, "fee", None],
        ],
        effects=effects,
    )


def fees_unused(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Fees paid and unused are not returned: income once the merchant has left (rule D0.48)."""
    merchant, currency = v["merchant_id"], v["currency_code"]
    document = state.get("party", merchant)
    if document["state"] != "cancelled":
        return differs(f"{merchant} is {document['state']}", "merchant_id")
    account = state.account(account_id(PREPAID, merchant), currency)
    if account is None or account.balance <= 0:
        return differs(f"{merchant} has no prepaid fees left", "merchant_id")
    return Plan([
        [account.account_id, currency, "D", account.balance, "fee", None],
        ["6001", currency, "C", account.balance, "fee", None],
    ])


def deposit_returned(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A deposit goes back when the merchant's business has ended (rule D0.33)."""
    merchant, amount, currency = v["merchant_id"], v["amount_minor"], v["currency_code"]
    document = state.get("party", merchant)
    if document["state"] != "cancelled":
        return differs(
            f"{merchant} is {document['state']}; a deposit goes back at closing", "merchant_id"
        )
    return Plan([
        [account_id(DEPOSIT, merchant), currency, "D", amount, "deposit", None],
        ["1102", currency, "C", amount, "deposit", None],
    ])


def _open_bill(state: State, bill_id: str) -> dict[str, Any] | Refusal:
    bill = state.get("bill", bill_id)
    if bill is None or bill["confirmed_on"] is not None:
        said = "withdrawn" if bill is None else "confirmed"
        return Refusal("already_decided", f"bill {bill_id} was {said} before", "bill_id")
    return bill


def bill_confirmed(state: State, v: Values, c: Context) -> Plan | Refusal:
    """The merchant agrees to the bill's amount; it is due from here on. Its own signed command
    proves it; what is entered for it names the document that does."""
    bill = _open_bill(state, v["bill_id"])
    if isinstance(bill, Refusal):
        return bill
    if not c.actor.startswith("caller:") and v.get("evidence") is None:
        return differs(
            "a confirmation entered for the merchant has evidence", "evidence"
        )
    amount, currency = bill["amount_minor"], bill["currency_code"]
    if v["amount_minor"] != amount:
        return Refusal("original_differs", f"the bill is of {amount}", "amount_minor")
    merchant = bill["merchant_id"]
    return Plan(
        [
            [f"{DUE}:{merchant}", currency, "D", amount, "bill", None],
            [f"{ACCRUED}:{merchant}", currency, "C", amount, "bill", None],
        ],
        effects=[["put", "bill", v["bill_id"], {**bill, "confirmed_on": c.booking_date}]],
    )


def bill_withdrawn(state: State, v: Values, c: Context) -> Plan | Refusal:
    """An unconfirmed bill, the last of its merchant, that the merchant objects to: its items are
    corrected, and it is issued anew."""
    bill = _open_bill(state, v["bill_id"])
    if isinstance(bill, Refusal):
        return bill
    if state.get("billed", bill["account"]) != bill["through"]:
        return differs("a later bill was issued", "bill_id")
    return Plan([], effects=[
        ["put", "bill", v["bill_id"], None],
        ["put", "billed", bill["account"], bill["billed_before"]],
    ])


HANDLERS: dict[str, Handler] = {
    f.__name__: f for f in (
        fee_charge, fees_unused, deposit_returned, bill_issued, bill_confirmed, bill_withdrawn,
    )
}
