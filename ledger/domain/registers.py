"""Handlers of the registers: accounts, parties, contracts, bound accounts, authorisations,
people, callers, limits, stops. Each gives a :class:`Plan` with effects and no legs, or the reason
why the register does not allow it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from ledger.domain import billing
from ledger.domain.billing import months_later
from ledger.domain.chart import account_id
from ledger.domain.operations import CLASSES, Context, Leg, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import Account, State

#: Fees of withdrawals until a tariff is set (rule D1.11).
DEFAULT_TARIFF = {
    "bank_ppm": 5000, "third_party_ppm": 10000, "least_minor": 0, "approval_above_minor": None,
}
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
Values = Mapping[str, Any]
Handler = Callable[[State, Values, Context], Plan | Refusal]


def _differs(detail: str, field: str | None = None) -> Refusal:
    return Refusal("register_differs", detail, field)


def _put(table: str, key: str, document: Any) -> Plan:
    return Plan([], effects=[["put", table, key, document]])


# accounts


def open_account(state: State, v: Values, c: Context) -> Plan | Refusal:
    """An account of the chart, for a registered party when its class has one (rule D0.1)."""
    code, party, currency = v["account_code"], v.get("party_id"), v["currency_code"]
    line = state.chart.classes.get(code)
    if line is None:
        return _differs(f"{code} is not in the chart of accounts", "account_code")
    if (line.party == "none") != (party is None):
        return _differs(
            f"{code} {'has no' if line.party == 'none' else 'needs a'} party", "party_id"
        )
    if party is not None and state.get("party", party) is None:
        return Refusal("party_unknown", f"{party} is not registered", "party_id")
    name = account_id(code, party)
    if state.account(name, currency) is not None:
        return _differs(f"account {name} in {currency} is open")
    parent = v.get("parent_account_id")
    if parent is not None:
        refusal = _parent_fault(state, parent, currency, line.books)
        if refusal is not None:
            return refusal
    owner = state.get("party", party or "") or {}
    tenant = v.get("tenant_id", owner.get("owner_id"))
    if tenant is not None and state.get("party", tenant) is None:
        return Refusal("party_unknown", f"{tenant} is not registered", "tenant_id")
    purpose = v.get("purpose")
    if purpose is not None and not all(isinstance(p, str) for p in purpose):
        return _differs("purpose is a list of operation types", "purpose")
    document = {
        "code": code, "party_id": party, "opened_date": c.booking_date, "parent": parent,
        "tenant": tenant, "purpose": sorted(purpose) if purpose else None,
    }
    return Plan([], effects=[["open", name, currency, document]])


def _parent_fault(state: State, parent: str, currency: str, books: str) -> Refusal | None:
    above = state.account(parent, currency)
    if above is None:
        return _differs(f"account {parent} in {currency} is not open", "parent_account_id")
    if above.line.books != books:
        return _differs(f"{parent} is of other books", "parent_account_id")
    return None


def move_account(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Hang an account, with all below it, under another; no cycle (rule D0.1)."""
    account = state.account(v["account_id"], v["currency_code"])
    if account is None:
        return Refusal("account_not_open", f"account {v['account_id']} is not open", "account_id")
    parent = v.get("parent_account_id")
    if parent is not None:
        refusal = _parent_fault(state, parent, account.currency_code, account.line.books)
        if refusal is not None:
            return refusal
        above: str | None = parent
        while above is not None:
            if above == account.account_id:
                return _differs(f"{parent} stands below {above}", "parent_account_id")
            found = state.account(above, account.currency_code)
            above = None if found is None else found.parent
    return Plan([], effects=[
        ["account", account.account_id, account.currency_code, {"parent": parent}]
    ])


def account_status(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Normal, no debit, no credit, frozen, closed. It closes at balance, holds and disputes zero
    (rule D4a.10), and stays closed."""
    account = state.account(v["account_id"], v["currency_code"])
    if account is None:
        return Refusal("account_not_open", f"account {v['account_id']} is not open", "account_id")
    status = v["status"]
    if account.status == "closed":
        return _differs(f"account {account.account_id} is closed", "status")
    if account.status == status:
        return _differs(f"account {account.account_id} is {status}", "status")
    if status == "closed":
        open_things = _open_things(state, account)
        if open_things:
            return _differs(f"account {account.account_id} has {open_things}", "status")
    return Plan([], effects=[
        ["account", account.account_id, account.currency_code, {"status": status}]
    ])


def _open_things(state: State, account: Account) -> str | None:
    if account.balance:
        return f"a balance of {account.balance} minor units"
    if account.held or account.frozen:
        return "holds"
    if account.party_id is not None and account.line.settles:
        disputed = state.account(
            account_id(state.chart.modes["institution"]["2202"], account.party_id),
            account.currency_code,
        )
        if disputed is not None and disputed.balance:
            return "open disputes"
    for below in state.accounts[account.currency_code].values():
        if below.parent == account.account_id and below.status != "closed":
            return f"open account {below.account_id} below it"
    return None


# parties and contracts


def party(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A party entered; a merchant, tenant, provider or terminal after a checker's review, a user
    or card once its identity was checked (rules D0.40, D4a.8 to D4a.12)."""
    name, kind, owner = v["party_id"], v["party_kind"], v.get("owner_id")
    known = state.get("party", name)
    if known is not None and (known["kind"] != kind or known["state"] == "cancelled"):
        return _differs(f"{name} is a {known['kind']} and {known['state']}", "party_id")
    if kind == "terminal" and owner is None:
        return _differs("a terminal has an owner", "owner_id")
    if owner is not None:
        above = state.get("party", owner)
        if above is None:
            return Refusal("party_unknown", f"{owner} is not registered", "owner_id")
        if above["kind"] not in ("merchant", "tenant") or (
            kind == "terminal" and above["state"] != "active"
        ):
            return _differs(f"{owner} is a {above['kind']} and {above['state']}", "owner_id")
    if known is not None:
        entered = known["state"]
    elif kind in ("user", "card"):
        entered = "active" if v.get("identity_check") else "entered"
    else:
        entered = "reviewed" if kind == "merchant" else "active"
    # entered anew, it stays suspended on the ground and evidence that it has (rule D0.46)
    kept = {} if known is None else {
        name: known.get(name) for name in ("ground", "evidence", "since", "channels")
    }
    return _put("party", name, {
        "kind": kind, "state": entered, "owner_id": owner,
        "grade": v.get("grade", "standard"), "identity_check": v.get("identity_check"),
        "ground": None, "details": v.get("details"), "since": c.booking_date,
        "channels": {} if kind == "merchant" else None, **kept,
    })


def channel_onboarded(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A channel has given a merchant its parameters (入网, rule D0.34); given again, newer ones
    take their place. The channel's own answer: one person enters it."""
    if not v["details"]:
        return _differs("the channel's parameters are empty", "details")
    document = state.get("party", v["merchant_id"])
    return _put("party", v["merchant_id"], {**document, "channels": {
        **(document.get("channels") or {}), v["channel"]: {
            "onboarding_id": v["onboarding_id"], "parameters": v["details"],
            "since": c.booking_date,
        },
    }})


def _start_missing(
    state: State, name: str, contract: Mapping[str, Any], evidence: str | None
) -> Refusal | None:
    """What a merchant's first start still needs (rule D0.34): the fees that its contract asks are
    charged and paid, computed from the books, and a channel has given its parameters. What a
    provider collects is not booked here (rule D0.25); evidence says that it was paid."""
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
        return _differs(f"{name} is {now}, it cannot become {wanted}", "state")
    check = v.get("identity_check") or document["identity_check"]
    if wanted == "active":
        if document["kind"] in ("user", "card") and check is None:
            return _differs(f"{name} has no passed identity check", "identity_check")
        if document["kind"] == "merchant":
            contract = state.contract(name, c.booking_date)
            if contract is None:
                return Refusal("contract_missing", f"{name} has no contract in force")
            missing = now == "reviewed" and _start_missing(state, name, contract, v.get("evidence"))
            if missing:
                return missing
        if now == "suspended" and ground != document["ground"]:
            return _differs(
                f"{name} is suspended on ground {document['ground']}", "suspension_ground"
            )
    if wanted == "suspended" and ground is None:
        return _differs("a suspension names its ground", "suspension_ground")
    on_ground = ground is not None and wanted in ("suspended", "cancelled")
    if on_ground and v.get("evidence") is None:
        return _differs("what is done on a ground has evidence", "evidence")
    if (now, wanted) == ("leaving", "cancelled") and not on_ground:  # on a ground: at once
        left = _not_yet_gone(state, name, document["since"], c.booking_date)
        if left is not None:
            return _differs(left, "state")
    return _put("party", name, {
        **document, "state": wanted, "identity_check": check, "since": c.booking_date,
        "ground": ground if on_ground else None, "evidence": v.get("evidence"),
    })


def _not_yet_gone(state: State, name: str, since: str, today: str) -> str | None:
    """What still keeps a merchant that wants to leave early, computed from its books: public
    notice of a month, no frozen funds, no open dispute, users cleared, fees paid (rule D0.48)."""
    if today < months_later(date.fromisoformat(since), 1).isoformat():
        return f"public notice runs since {since}, one month has not passed"
    disputed = {codes["2202"] for codes in state.chart.modes.values()}
    for accounts in state.accounts.values():
        for account in sorted(accounts.values(), key=lambda a: a.account_id):
            if name not in (account.party_id, account.tenant):
                continue
            where = f"account {account.account_id}"
            if account.held or account.frozen:
                return f"{where} has frozen funds"
            if account.code in disputed and account.balance:
                return f"{where} has open disputes"
            if account.balance and account.line.party in ("user", "card"):
                return f"{where} of a user is not cleared"
            if account.balance and (account.line.ages or account.line.accrues):
                return f"{where} is not paid"
    return None


def contract(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A contract version, in force from a date; the mode changes only at zero balances and holds
    (rule D0.2), nothing earlier is recomputed (rule D0.31)."""
    merchant, start = v["merchant_id"], v["valid_from"]
    if state.get("party", merchant) is None:
        return Refusal("party_unknown", f"{merchant} is not registered", "merchant_id")
    months = v.get("bill_months")
    if months is not None and (v["fee_choice"] != "bill" or not 1 <= months <= 12):
        return _differs("a bill is per 1 to 12 months, a prepaid account has none", "bill_months")
    versions = list(state.get("contract", merchant) or ())
    if start < c.booking_date and versions:
        return _differs(f"{start} lies before today", "valid_from")
    if versions and versions[-1]["valid_from"] >= start:
        return _differs(f"a version from {versions[-1]['valid_from']} is there", "valid_from")
    changes = versions and versions[-1]["settlement_mode"] != v["settlement_mode"]
    if changes:
        for accounts in state.accounts.values():
            for account in accounts.values():
                mine = merchant in (account.party_id, account.tenant)
                if mine and (account.balance or account.held or account.frozen):
                    return Refusal(
                        "mode_differs", f"account {account.account_id} is not empty",
                        "settlement_mode",
                    )
    if changes and start != c.booking_date:
        # books that are empty today need not be on a later date
        return _differs(f"another mode holds from today, {c.booking_date}", "valid_from")
    versions.append({
        "contract_id": v["contract_id"], "settlement_mode": v["settlement_mode"],
        "settlement_cycle": v["settlement_cycle"], "minimum_minor": v["minimum_minor"],
        "fee_choice": v["fee_choice"], "valid_from": start, "details": v.get("details"),
        "fee_payee": v.get("fee_payee", "institution"), "data_ppm": v.get("data_ppm"),
        "bill_months": months, "access_fee_minor": v.get("access_fee_minor"),
        "use_fee_minor": v.get("use_fee_minor"),
    })
    return _put("contract", merchant, versions)


def destination(state: State, v: Values, c: Context) -> Plan | Refusal:
    """An account that money may leave to; a merchant's new one takes the place of its old one,
    which stays until then (rules D0.42, D1.10)."""
    owner = state.get("party", v["party_id"])
    if owner is None:
        return Refusal("party_unknown", f"{v['party_id']} is not registered", "party_id")
    plan = _put("destination", v["destination_id"], {
        "party_id": v["party_id"], "bound_account": v["bound_account"],
        "bound_name": v["bound_name"], "bank_code": v["bank_code"],
    })
    if owner["kind"] not in ("user", "card"):
        assert plan.effects is not None
        plan.effects += [
            ["put", "destination", name, None]
            for name, found in sorted(state.table("destination").items())
            if found["party_id"] == v["party_id"]
        ]
    return plan


def fees_unused(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Fees paid and unused are not returned: income once the merchant has left (rule D0.48)."""
    merchant, currency = v["merchant_id"], v["currency_code"]
    document = state.get("party", merchant)
    if document["state"] != "cancelled":
        return _differs(f"{merchant} is {document['state']}", "merchant_id")
    account = state.account(account_id("2601", merchant), currency)
    if account is None or account.balance <= 0:
        return _differs(f"{merchant} has no prepaid fees left", "merchant_id")
    return Plan([
        [account.account_id, currency, "D", account.balance, "fee", None],
        ["6001", currency, "C", account.balance, "fee", None],
    ])


def compensation(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A customer's loss, in full: out of the provision as far as it goes, the rest an expense of
    own funds (rule D0.61). The shares come of the provision's balance alone."""
    amount, currency, user = v["amount_minor"], v["currency_code"], v["user_id"]
    provision = state.account("2701", currency)
    # no provision was ever formed: own funds bear the whole
    covered = 0 if provision is None else max(0, min(amount, provision.available))
    legs: list[Leg] = []
    if covered:
        legs.append(["2701", currency, "D", covered, "compensation", None])
    if covered < amount:
        legs.append(["6401", currency, "D", amount - covered, "compensation", None])
    return Plan([
        *legs, ["1101", currency, "C", amount, "compensation", None],
        ["1001", currency, "D", amount, "deposit", v["movement_id"]],
        [f"2101:{user}", currency, "C", amount, "compensation", None],
    ])


def bind_account(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A user's own card or account, bound by the user (rule D1.10)."""
    owner = state.get("party", v["party_id"])
    if owner is not None and owner["kind"] not in ("user", "card"):
        return _differs("a merchant's account is bound by maker and checker", "party_id")
    return destination(state, v, c)


def tariff(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Fees of withdrawals (rule D1.11)."""
    return _put("tariff", "withdrawal", {
        "id": v["tariff_id"], "bank_ppm": v["bank_ppm"],
        "third_party_ppm": v["third_party_ppm"], "least_minor": v["least_minor"],
        "approval_above_minor": v.get("approval_above_minor"),
    })


# the payer's consent


def authorise(state: State, v: Values, c: Context) -> Plan | Refusal:
    """What a payer agreed to: payer, payee, amount, once (rule D0.35)."""
    return _put("authorisation", v["authorisation_id"], {
        "payer_id": v["payer_id"], "payee": v["payee"], "amount_minor": v["amount_minor"],
        "currency_code": v["currency_code"],
    })


def mandate(state: State, v: Values, c: Context) -> Plan | Refusal:
    """What a payer agreed to for repeated collections (rules D0.35, D2.2)."""
    if v["valid_to"] < v["valid_from"]:
        return _differs("it ends before it begins", "valid_to")
    return _put("mandate", v["mandate_id"], {
        "payer_id": v["payer_id"], "payee": v["payee"], "amount_minor": v["amount_minor"],
        "currency_code": v["currency_code"], "valid_from": v["valid_from"],
        "valid_to": v["valid_to"],
    })


def mandate_end(state: State, v: Values, c: Context) -> Plan | Refusal:
    """No collection by this mandate any more."""
    if state.get("mandate", v["mandate_id"]) is None:
        return Refusal(
            "authorisation_unknown", f"there is no open mandate {v['mandate_id']}", "mandate_id"
        )
    return _put("mandate", v["mandate_id"], None)


# people, callers, guards


def operator(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A person and the key that proves it (rule D4a.4)."""
    if len(v["public_key"]) != 128:
        return _differs("an SM2 public key has 64 bytes", "public_key")
    return _put("operator", v["operator_id"], {
        "name": v["operator_name"], "public_key": v["public_key"], "enabled": v["enabled"],
    })


def membership(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A person in a group, or no longer (rule D4a.5)."""
    if state.get("operator", v["operator_id"]) is None:
        return _differs(f"there is no operator {v['operator_id']}", "operator_id")
    groups = set(state.get("membership", v["operator_id"]) or ())
    groups = groups | {v["group_id"]} if v["member"] else groups - {v["group_id"]}
    return _put("membership", v["operator_id"], sorted(groups) or None)


def right(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A right of a group in a module (rule D4a.6); one table, from either side."""
    key = f"{v['group_id']}/{v['module']}/{v['duty']}"
    return _put("right", key, {"since": c.booking_date} if v["allowed"] else None)


def caller(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A system that sends signed requests: a merchant's own, or a provider's on its behalf, each
    with its own key (rules D0.37, D0.38)."""
    if len(v["public_key"]) != 128:
        return _differs("an SM2 public key has 64 bytes", "public_key")
    for name, document in state.table("caller").items():
        if name != v["caller_id"] and document["public_key"] == v["public_key"]:
            return _differs(f"{name} has this key; none is shared", "public_key")
    for name, most in v["rates"].items():
        # a rate that nothing would ever look at is no rate (rule D2.24)
        if name not in CLASSES or type(most) is not int or most < 1:
            return _differs(
                f"a rate is a whole number from 1 for one of {', '.join(CLASSES)}", "rates"
            )
    for name in (v["party_id"], *v["on_behalf"]):
        if not isinstance(name, str) or state.get("party", name) is None:
            return Refusal("party_unknown", f"{name} is not registered", "party_id")
    return _put("caller", v["caller_id"], {
        "party_id": v["party_id"], "public_key": v["public_key"], "on_behalf": v["on_behalf"],
        "rates": v["rates"], "enabled": v["enabled"], "cover_count": v.get("cover_count"),
        "cover_seconds": v.get("cover_seconds"),
    })


def stop(state: State, v: Values, c: Context) -> Plan | Refusal:
    """An emergency stop, placed by one (rule D2.10)."""
    if (v["stop_scope"] == "all") != (v.get("stop_target") is None):
        return _differs("a stop of everything has no target, any other has one", "stop_target")
    if state.get("stop", v["stop_id"]) is not None:
        return _differs(f"stop {v['stop_id']} is there", "stop_id")
    return _put("stop", v["stop_id"], {
        "id": v["stop_id"], "scope": v["stop_scope"], "target": v.get("stop_target"),
        "mode": v["stop_mode"], "placed_by": c.actor, "reason": v["reason"],
        "since": c.booking_date,
    })


def stop_lift(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Lifted by two: its maker and its checker (rule D2.10)."""
    if state.get("stop", v["stop_id"]) is None:
        return _differs(f"there is no stop {v['stop_id']}", "stop_id")
    return _put("stop", v["stop_id"], None)


def session_open(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A session of a caller: its requests are numbered from 1."""
    return _put("session", v["session_id"], {"caller": v["caller_id"], "covered": 0})


def session_cover(state: State, v: Values, c: Context) -> Plan | Refusal:
    """The caller's signature over the next requests of its session; the service has verified it,
    `verify` does so again (rule D0.36)."""
    session = state.get("session", v["session_id"])
    if session is None or c.actor != f"caller:{session['caller']}":
        return _differs(f"{v['session_id']} is no session of {c.actor}", "session_id")
    digests = v["digests"]
    if v["first_number"] != session["covered"] + 1 or not digests:
        return _differs(f"the next is number {session['covered'] + 1}", "first_number")
    if not all(isinstance(d, str) and _DIGEST.match(d) for d in digests):
        return _differs("digests are 64 hexadecimal digits each", "digests")
    return _put("session", v["session_id"], {
        **session, "covered": session["covered"] + len(digests),
    })


def foreign_read(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Never posts: the refusal in the log is the record of the try (rule D0.53)."""
    return Refusal("not_your_merchant", f"{v['asked']} is not of {c.actor}", "asked")


def period_close(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Nothing is dated back into a closed period any more (rule D0.56)."""
    through = state.get("period", "closed")
    if state.closed is None or v["valid_to"] > state.closed:
        return _differs(f"{v['valid_to']} is not closed", "valid_to")
    if through is not None and v["valid_to"] <= through:
        return _differs(f"the period through {through} is closed", "valid_to")
    return _put("period", "closed", v["valid_to"])


def breaker(state: State, v: Values, c: Context) -> Plan | Refusal:
    """When the ledger stops a merchant by itself (rules D0.66, D2.10)."""
    if not 1 <= v["refused_percent"] <= 100 or not v["window_seconds"] or not v["least_count"]:
        return _differs("a share is 1 to 100 per cent, window and count are from 1")
    return _put("breaker", "merchant", {
        "window_seconds": v["window_seconds"], "least_count": v["least_count"],
        "refused_percent": v["refused_percent"],
    })


HANDLERS: dict[str, Handler] = {
    **billing.HANDLERS,
    **{function.__name__: function for function in (
        open_account, move_account, account_status, party, party_state, channel_onboarded,
        contract, destination, bind_account, fees_unused,
        compensation, tariff, authorise, mandate,
        mandate_end, operator, membership, right, caller, stop, stop_lift, period_close,
        breaker, session_open, session_cover, foreign_read,
    )},
}
