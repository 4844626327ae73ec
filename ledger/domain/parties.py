"""Handlers of parties and their contracts: from their entry to start, suspension and end. Nobody
starts before the review of who they are (rule D1.8)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from ledger.domain import billing, grades
from ledger.domain.account import Account
from ledger.domain.billing import months_later
from ledger.domain.chart import MODE_OF_BOOKS
from ledger.domain.documents import Handler, Values, differs, put
from ledger.domain.money import AMOUNT_LIMIT
from ledger.domain.operations import Context, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

#: Who does business of its own: a merchant, and a platform over the books of its users. Each
#: starts with a contract, its fees paid, and a channel (rule D0.34).
TRADES = ("merchant", "tenant")
#: What a check of a user's identity is of.
_CHECKED = ("details", "sensitive_details")


def party(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A party entered; a merchant, tenant, provider or terminal after a checker's review, a user
    or card once its identity was checked (rules D0.40, D4a.8 to D4a.12). The books of a user or
    card are of its owner's mode, so another owner takes it with empty books alone (rule D0.2).
    Entered anew, what it does not name stays as it was; a check is of the details that it saw, so
    others of a checked user or card need one of their own (rules D0.40, D1.8)."""
    name, kind = v["party_id"], v["party_kind"]
    known = state.get("party", name)
    before: Mapping[str, Any] = {} if known is None else known
    owner = v.get("owner_id", before.get("owner_id"))
    if known is not None and (known["kind"] != kind or known["state"] == "cancelled"):
        return differs(f"{name} is a {known['kind']} and {known['state']}", "party_id")
    if known is not None and v.get("grade") not in (None, known["grade"]):
        return differs(f"the grade of {name} is changed by a grade_change", "grade")
    checked = before.get("identity_check")
    if checked is not None and kind in ("user", "card") and (
        v.get("identity_check", checked) == checked
    ) and any(part in v and v[part] != before.get(part) for part in _CHECKED):
        return differs(f"check {checked} was of the details before", "identity_check")
    if kind == "terminal" and owner is None:
        return differs("a terminal has an owner", "owner_id")
    if owner is not None:
        above = state.get("party", owner)
        if above is None:
            return Refusal("party_unknown", f"{owner} is not registered", "owner_id")
        if above["kind"] not in TRADES or (
            kind == "terminal" and above["state"] != "active"
        ):
            return differs(f"{owner} is a {above['kind']} and {above['state']}", "owner_id")
    mine: list[Account] = []
    if known is not None and kind in ("user", "card") and known["owner_id"] != owner:
        mine = [
            account for accounts in state.accounts.values() for account in accounts.values()
            if account.party_id == name
        ]
        full = next(filter(_not_empty, mine), None)
        if full is not None:
            return differs(f"account {full.account_id} is not empty", "owner_id")
    if known is not None:
        entered = known["state"]
    elif kind in ("user", "card"):
        entered = "active" if v.get("identity_check") else "entered"
    else:
        entered = "reviewed" if kind in TRADES else "active"
    # entered anew, it stays suspended on the ground and evidence that it has (rule D0.46), in the
    # grade that two people gave it
    kept = {} if known is None else {
        **{name: known.get(name) for name in ("ground", "evidence", "since", "channels")},
        **{name: known[name]
           for name in ("grade", "grade_evidence", "grade_since", "sensitive_details")
           if name in known},
    }
    plan = put("party", name, {
        "kind": kind, "state": entered, "owner_id": owner,
        "grade": v.get("grade", "standard"),
        "identity_check": v.get("identity_check", checked),
        "ground": None, "details": v.get("details", before.get("details")),
        "since": c.booking_date,
        "channels": {} if kind in TRADES else None, **kept, **_sealed(v),
    })
    assert plan.effects is not None
    plan.effects += [
        ["account", account.account_id, account.currency_code, {"tenant": owner}]
        for account in mine if account.tenant == known["owner_id"]
    ]
    return plan


def _not_empty(account: Account) -> bool:
    return bool(account.balance or account.held or account.frozen)


def grade_change(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Another grade, with the rating behind it; its limits hold at once (rules D0.45, D2.9)."""
    name = v["party_id"]
    document = state.get("party", name)
    if document is None:
        return Refusal("party_unknown", f"{name} is not registered", "party_id")
    if document["state"] == "cancelled" or document["grade"] == v["grade"]:
        return differs(f"{name} is {document['state']} and of grade {document['grade']}", "grade")
    return put("party", name, {
        **document, "grade": v["grade"], "grade_evidence": v["evidence"],
        "grade_since": c.booking_date,
    })


def _sealed(v: Values) -> dict[str, Any]:
    """The commitments to what is sensitive, where there is any."""
    given = v.get("sensitive_details")
    return {} if given is None else {"sensitive_details": given}


def channel_onboarded(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A channel has given a merchant its parameters (入网, rule D0.34); given again, newer ones
    take their place. The channel's own answer: one person enters it."""
    if not v["details"]:
        return differs("the channel's parameters are empty", "details")
    document = state.get("party", v["merchant_id"])
    return put("party", v["merchant_id"], {**document, "channels": {
        **(document.get("channels") or {}), v["channel"]: {
            "onboarding_id": v["onboarding_id"], "parameters": v["details"],
            "since": c.booking_date,
        },
    }})


def _start_missing(
    state: State, name: str, contract: Mapping[str, Any], evidence: str | None, day: str
) -> Refusal | None:
    """What a merchant's first start still needs (rule D0.34): the fees that its contract asks are
    charged and paid, computed from the books, a channel has given its parameters, the account is
    bound that its money goes to (rules D0.42, D4a.8), and the deposit that its grade asks is there
    (rule D0.33). What a provider collects is not booked here (rule
    D0.25); evidence says that it was paid."""
    prices = {item: contract.get(f"{item}_fee_minor") for item in billing.START_FEES}
    for item, price in prices.items():
        if price is None:
            return Refusal(
                "start_missing",
                f"contract {contract['contract_id']} says no {item} fee; 0 is none",
            )
        charged = billing.charged(state, contract["contract_id"], item)
        if contract["fee_payee"] != "provider" and charged < price:
            return Refusal(
                "start_missing", f"of the {item} fee {charged} of {price} minor units are charged"
            )
    if contract["fee_payee"] == "provider" and any(prices.values()) and evidence is None:
        return Refusal(
            "start_missing", "the provider's receipt of the fees is evidence", "evidence"
        )
    for currency in state.accounts:
        owed = state.account(f"{billing.DUE}:{name}", currency)
        if owed is not None and owed.balance > 0:
            return Refusal("start_missing", f"account {owed.account_id} is not paid")
    if not state.get("party", name).get("channels"):
        return Refusal("start_missing", f"no channel has given {name} its parameters")
    if contract["settlement_mode"] != "self" and not any(
        found["party_id"] == name for found in state.table("destination").values()
    ):
        return Refusal("start_missing", f"no bank account is bound to {name}")
    needed = grades.terms(state, name, day).get("deposit_minor", 0)
    deposit = state.account(f"2602:{name}", state.chart.base_currency)
    there = 0 if deposit is None else deposit.balance
    if there < needed:
        return Refusal("start_missing", f"of the deposit {there} of {needed} minor units are there")
    return None


_FROM = {
    "active": ("entered", "reviewed", "suspended"),
    "suspended": ("active", "leaving"),
    "leaving": ("active", "suspended"),
    "cancelled": ("entered", "reviewed", "active", "suspended", "leaving"),
}


def party_state(state: State, v: Values, c: Context) -> Plan | Refusal:
    """From state to state (rules D0.34, D0.40, D0.46, D0.48, D4a.10, D4a.13)."""
    name, wanted, ground = v["party_id"], v["state"], v.get("suspension_ground")
    document = state.get("party", name)
    if document is None:
        return Refusal("party_unknown", f"{name} is not registered", "party_id")
    now = document["state"]
    if now not in _FROM[wanted]:
        return differs(f"{name} is {now}, it cannot become {wanted}", "state")
    if wanted == "leaving" and document["kind"] not in TRADES:
        return differs(f"{name} is a {document['kind']}, which is cancelled at once", "state")
    check = v.get("identity_check") or document["identity_check"]
    if wanted == "active":
        if document["kind"] in ("user", "card") and check is None:
            return differs(f"{name} has no passed identity check", "identity_check")
        if document["kind"] in TRADES:
            contract = state.contract(name, c.booking_date)
            if contract is None:
                return Refusal("contract_missing", f"{name} has no contract in force")
            missing = now == "reviewed" and _start_missing(
                state, name, contract, v.get("evidence"), c.booking_date
            )
            if missing:
                return missing
        if now == "suspended" and ground != document["ground"]:
            return differs(
                f"{name} is suspended on ground {document['ground']}", "suspension_ground"
            )
    if wanted == "suspended" and ground is None:
        return differs("a suspension names its ground", "suspension_ground")
    on_ground = ground is not None and wanted in ("suspended", "cancelled")
    if on_ground and v.get("evidence") is None:
        return differs("what is done on a ground has evidence", "evidence")
    if wanted == "cancelled" and not on_ground:  # on a ground: at once
        kept = _leaves(state, document, v, c)
        if kept is not None:
            return kept
    return put("party", name, {
        **document, "state": wanted, "identity_check": check, "since": c.booking_date,
        "ground": ground if on_ground else None, "evidence": v.get("evidence"),
    })


def _leaves(state: State, document: Values, v: Values, c: Context) -> Refusal | None:
    """Why a party may not end its business by its own wish. A merchant or platform that started
    becomes `leaving` on its application, which stops new business at once (rule D4a.10), and ends
    when the conditions of rule D0.48 hold and the institution consents in writing. One that never
    started needs neither notice nor consent."""
    name, now = v["party_id"], document["state"]
    if now != "leaving" and document["kind"] not in TRADES:
        return None
    if now in ("active", "suspended"):
        return differs(f"{name} is {now}: it becomes leaving first", "state")
    left = _not_yet_gone(
        state, name, document["since"] if now == "leaving" else None, c.booking_date
    )
    if left is not None:
        return differs(left, "state")
    if now == "leaving" and v.get("evidence") is None:
        return differs("the evidence is the written consent to an early end", "evidence")
    return None


def _not_yet_gone(state: State, name: str, since: str | None, today: str) -> str | None:
    """What still keeps a merchant that wants to leave early, computed from its books: public
    notice of a month, no frozen funds, no open dispute, users cleared, fees and whatever else it
    owes paid (rule D0.48).

    :param since: date of the notice; None: it needs none
    """
    if since is not None and today < months_later(date.fromisoformat(since), 1).isoformat():
        return f"public notice runs since {since}, one month has not passed"
    disputed = {codes["2202"] for codes in state.chart.modes.values()}
    parties = state.table("party")
    for accounts in state.accounts.values():
        for account in sorted(accounts.values(), key=lambda a: a.account_id):
            owner = parties.get(account.party_id or "", {}).get("owner_id")
            if name not in (account.party_id, account.tenant, owner):
                continue
            where = f"account {account.account_id}"
            if account.held or account.frozen or (account.status == "frozen" and account.balance):
                return f"{where} has frozen funds"
            if account.balance < 0:
                return f"{where} is below zero"
            if account.code in disputed and account.balance:
                return f"{where} has open disputes"
            if account.balance and account.line.party in ("user", "card"):
                return f"{where} of a user is not cleared"
            if account.balance and (account.line.ages or account.line.accrues):
                return f"{where} is not paid"
    return None


def contract(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A contract version, in force from a date; the mode changes only at zero balances and holds,
    to that of the first contract too (rule D0.2), nothing earlier is recomputed (rule D0.31)."""
    merchant, start = v["merchant_id"], v["valid_from"]
    if state.get("party", merchant) is None:
        return Refusal("party_unknown", f"{merchant} is not registered", "merchant_id")
    months = v.get("bill_months")
    if months is not None and (v["fee_choice"] != "bill" or not 1 <= months <= 12):
        return differs("a bill is per 1 to 12 months, a prepaid account has none", "bill_months")
    prices = v.get("prices")
    if prices is not None and not (prices and prices.keys() <= billing.NAMED and all(
        type(price) is int and 0 <= price <= AMOUNT_LIMIT for price in prices.values()
    )):
        return differs(
            "prices are whole numbers by fee item, of minor units, or millionths of the amount "
            "(_ppm), one of: " + ", ".join(sorted(billing.NAMED)), "prices",
        )
    versions = list(state.get("contract", merchant) or ())
    if start < c.booking_date and versions:
        return differs(f"{start} lies before today", "valid_from")
    if versions and versions[-1]["valid_from"] >= start:
        return differs(f"a version from {versions[-1]['valid_from']} is there", "valid_from")
    # without a contract money stands in the institution's books
    before = versions[-1]["settlement_mode"] if versions else "institution"
    changes = before != v["settlement_mode"]
    if changes:
        parties = state.table("party")
        for account in state.all_accounts():
            owner = parties.get(account.party_id or "", {}).get("owner_id")
            if merchant in (account.party_id, account.tenant, owner) and _not_empty(account) and (
                versions or MODE_OF_BOOKS.get(account.line.books) == before
            ):
                return Refusal(
                    "mode_differs", f"account {account.account_id} is not empty",
                    "settlement_mode",
                )
    if changes and (start > c.booking_date or (versions and start != c.booking_date)):
        # books that are empty today need not be on a later date
        return differs(f"another mode holds from today, {c.booking_date}", "valid_from")
    versions.append({
        "contract_id": v["contract_id"], "settlement_mode": v["settlement_mode"],
        "settlement_cycle": v["settlement_cycle"], "minimum_minor": v["minimum_minor"],
        "fee_choice": v["fee_choice"], "valid_from": start, "details": v.get("details"),
        "fee_payee": v.get("fee_payee", "institution"), "data_ppm": v.get("data_ppm"),
        "bill_months": months, "access_fee_minor": v.get("access_fee_minor"),
        "use_fee_minor": v.get("use_fee_minor"), "prices": prices,
        **_sealed(v),
    })
    return put("contract", merchant, versions)


HANDLERS: dict[str, Handler] = {
    f.__name__: f for f in (party, grade_change, channel_onboarded, party_state, contract)
}
