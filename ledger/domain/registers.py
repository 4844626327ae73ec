"""Handlers of the registers: accounts, bound accounts, authorisations, callers, stops; those of
parties and contracts stand in :mod:`ledger.domain.parties`, of people in
:mod:`ledger.domain.people`, of mandates in :mod:`ledger.domain.mandates`. Each gives a
:class:`Plan` with effects and no legs, or the reason why the register does not allow it."""

from __future__ import annotations

import re
from collections.abc import Container

from ledger.domain import (
    billing,
    corrections,
    exchanging,
    mandates,
    parties,
    people,
    reconciliations,
    shards,
    splitting,
    tariffs,
)
from ledger.domain.account import Account
from ledger.domain.actors import LEDGER, has_right
from ledger.domain.chart import SHARD, account_id
from ledger.domain.documents import Handler, Values, differs, put
from ledger.domain.guards import BOUGHT, LEAVES
from ledger.domain.operations import CLASSES, RAILS, Context, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
#: Where sensitive values are read: the register, and the reason when the name is not in it.
_READ = {
    "destination": ("destination", "destination_unknown"),
    "waiting": ("pending", "pending_unknown"),
}


# accounts

#: Claims, and the accounts whose balance makes them grow: by what is unpaid, by a bill, by a
#: negative net. They close after these (rules D0.9, D0.21, D0.27).
_SOURCES = {"1201": ("2201",), "1203": ("1202",), "1205": ("1204",)}
#: Kinds of parties that may have an account of a class, by whose the chart says that it is.
_KINDS = {
    "user": {"user"}, "card": {"card"}, "merchant": {"merchant", "tenant", "provider"},
}


def open_account(state: State, v: Values, c: Context) -> Plan | Refusal:
    """An account of the chart, for a registered party when its class has one (rule D0.1)."""
    code, party, currency = v["account_code"], v.get("party_id"), v["currency_code"]
    line = state.chart.classes.get(code)
    if line is None:
        return differs(f"{code} is not in the chart of accounts", "account_code")
    if (line.party == "none") != (party is None):
        return differs(
            f"{code} {'has no' if line.party == 'none' else 'needs a'} party", "party_id"
        )
    owner = state.get("party", party or "")
    if party is not None and owner is None:
        return Refusal("party_unknown", f"{party} is not registered", "party_id")
    if owner is not None and owner["kind"] not in _KINDS[line.party]:
        return differs(f"{code} is not for a {owner['kind']}", "party_id")
    if owner is not None and owner["kind"] == "provider" and line.kind != "asset":
        return differs(f"{code} is not for a provider, who does no business here", "party_id")
    name = account_id(code, party)
    if state.account(name, currency) is not None:
        return differs(f"account {name} in {currency} is open")
    parent = v.get("parent_account_id")
    if parent is not None:
        refusal = _parent_fault(state, parent, currency, line.books)
        if refusal is not None:
            return refusal
    tenant = v.get("tenant_id", (owner or {}).get("owner_id"))
    if tenant is not None and state.get("party", tenant) is None:
        return Refusal("party_unknown", f"{tenant} is not registered", "tenant_id")
    purpose = v.get("purpose")
    if purpose is not None and not all(isinstance(p, str) for p in purpose):
        return differs("purpose is a list of operation types", "purpose")
    document = {
        "code": code, "party_id": party, "opened_date": c.booking_date, "parent": parent,
        "tenant": tenant, "purpose": sorted(purpose) if purpose else None,
    }
    return Plan([], effects=[["open", name, currency, document]])


def _parent_fault(state: State, parent: str, currency: str, books: str) -> Refusal | None:
    above = state.account(parent, currency)
    if above is None:
        return differs(f"account {parent} in {currency} is not open", "parent_account_id")
    if SHARD in parent:
        return differs(f"{parent} is a shard: nothing hangs below it", "parent_account_id")
    if above.line.books != books:
        return differs(f"{parent} is of other books", "parent_account_id")
    return None


def move_account(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Hang an account, with all below it, under another; no cycle (rule D0.1)."""
    account = state.account(v["account_id"], v["currency_code"])
    if account is None:
        return Refusal("account_not_open", f"account {v['account_id']} is not open", "account_id")
    if SHARD in account.account_id:
        return differs("a shard stays below its account", "account_id")
    parent = v.get("parent_account_id")
    if parent is not None:
        refusal = _parent_fault(state, parent, account.currency_code, account.line.books)
        if refusal is not None:
            return refusal
        above: str | None = parent
        while above is not None:
            if above == account.account_id:
                return differs(f"{parent} stands below {above}", "parent_account_id")
            found = state.account(above, account.currency_code)
            above = None if found is None else found.parent
    return Plan([], effects=[
        ["account", account.account_id, account.currency_code, {"parent": parent}]
    ])


def account_status(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Normal, no debit, no credit, frozen, closed. It closes at balance, holds and disputes zero
    (rule D4a.10), and stays closed; so what would have to be booked to it later keeps it open."""
    account = state.account(v["account_id"], v["currency_code"])
    if account is None:
        return Refusal("account_not_open", f"account {v['account_id']} is not open", "account_id")
    status = v["status"]
    if SHARD in account.account_id:
        return differs("a shard has the status of its account", "account_id")
    if account.status == "closed":
        return differs(f"account {account.account_id} is closed", "status")
    if account.status == status:
        return differs(f"account {account.account_id} is {status}", "status")
    if status == "closed":
        if account.line.party == "none":
            return differs(f"{account.account_id} is the institution's own, and open", "status")
        open_things = _open_things(state, account)
        if open_things:
            return differs(f"account {account.account_id} has {open_things}", "status")
    return Plan([], effects=[
        ["account", part.account_id, account.currency_code, {"status": status}]
        for part in (account, *shards.shards_of(state, account))
    ])


def account_floor(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A floor of one account's own, above that of its class and never below it: what has to stay
    on it. Postings are held to it from then on; without an amount it is its class's again."""
    account = state.account(v["account_id"], v["currency_code"])
    if account is None:
        return Refusal("account_not_open", f"account {v['account_id']} is not open", "account_id")
    if SHARD in account.account_id or any(shards.shards_of(state, account)):
        return differs(f"account {account.account_id} is kept in shards", "account_id")
    least = account.line.floor
    wanted = v.get("floor_minor", least)
    if least is not None and wanted < least:
        return differs(f"the floor of {account.code} is {least} minor units", "floor_minor")
    return Plan([], effects=[
        ["account", account.account_id, account.currency_code, {"floor": wanted}]
    ])


def _open_things(state: State, account: Account) -> str | None:
    balance = shards.balance(state, account)
    if balance:
        return f"a balance of {balance} minor units"
    if account.held or account.frozen:
        return "holds"
    for codes in state.chart.modes.values():
        if account.party_id is None or account.code != codes["2201"]:
            continue
        disputed = state.account(
            account_id(codes["2202"], account.party_id), account.currency_code
        )
        if disputed is not None and disputed.balance:
            return "open disputes"
    owner = state.get("party", account.party_id or "")
    if account.line.party == "merchant" and owner is not None and (
        owner["state"] not in LEAVES
    ):
        return f"an owner who is {owner['state']}"
    for code in _SOURCES.get(account.code, ()):
        source = state.account(account_id(code, account.party_id), account.currency_code)
        if source is not None and source.status != "closed":
            return f"account {source.account_id} open, of which it takes what is owed"
    for below in state.accounts[account.currency_code].values():
        if below.parent == account.account_id and below.status != "closed" and (
            SHARD not in below.account_id
        ):
            return f"open account {below.account_id} below it"
    return None


# bound accounts, tariffs


def destination(state: State, v: Values, c: Context) -> Plan | Refusal:
    """An account that money may leave to; a merchant's new one takes the place of its old one,
    which stays until then (rules D0.42, D1.10)."""
    owner = state.get("party", v["party_id"])
    if owner is None:
        return Refusal("party_unknown", f"{v['party_id']} is not registered", "party_id")
    plan = put("destination", v["destination_id"], {
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


def bind_account(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A user's own card or account, bound by the user (rule D1.10)."""
    owner = state.get("party", v["party_id"])
    if owner is not None and owner["kind"] not in ("user", "card"):
        return differs("a merchant's account is bound by maker and checker", "party_id")
    return destination(state, v, c)


# the payer's consent


def authorise(state: State, v: Values, c: Context) -> Plan | Refusal:
    """What a payer agreed to: payer, payee, amount, once (rule D0.35); to an exchange, what it gets
    for the amount."""
    gets = {name: v[name] for name in BOUGHT if v.get(name) is not None}
    if len(gets) == 1:
        lacking = BOUGHT[1] if BOUGHT[0] in gets else BOUGHT[0]
        return differs("what is bought is an amount and its currency", lacking)
    return put("authorisation", v["authorisation_id"], {
        "payer_id": v["payer_id"], "payee": v["payee"], "amount_minor": v["amount_minor"],
        "currency_code": v["currency_code"], **gets,
    })


# callers, guards


def caller(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A system that sends signed requests: a merchant's own, or a provider's on its behalf, each
    with its own key (rules D0.37, D0.38)."""
    shared = people.key_fault(state, v["public_key"], ("caller", v["caller_id"]))
    if shared is not None:
        return shared
    for name, most in v["rates"].items():
        # a rate that nothing would ever look at is no rate (rule D2.24)
        if name not in CLASSES or type(most) is not int or most < 1:
            return differs(
                f"a rate is a whole number from 1 for one of {', '.join(CLASSES)}", "rates"
            )
    for name in (v["party_id"], *v["on_behalf"]):
        if not isinstance(name, str) or state.get("party", name) is None:
            return Refusal("party_unknown", f"{name} is not registered", "party_id")
    rails = v.get("rails") or []
    if not all(isinstance(rail, str) and rail for rail in rails):
        return differs("rails are names of channels or banks' ways", "rails")
    return put("caller", v["caller_id"], {
        "party_id": v["party_id"], "public_key": v["public_key"], "on_behalf": v["on_behalf"],
        "rates": v["rates"], "enabled": v["enabled"], "cover_count": v.get("cover_count"),
        "cover_seconds": v.get("cover_seconds"), "rails": rails,
    })


def stop(state: State, v: Values, c: Context) -> Plan | Refusal:
    """An emergency stop, placed by one (rule D2.10), of something that there is: a wrong name
    would stop nothing."""
    scope, target = v["stop_scope"], v.get("stop_target")
    if (scope == "all") != (target is None):
        return differs("a stop of everything has no target, any other has one", "stop_target")
    if target is not None:
        known: Container[str] = {
            "rail": RAILS, "merchant": state.table("party"), "caller": state.table("caller"),
            "account": {name for accounts in state.accounts.values() for name in accounts},
        }[scope]
        if target not in known:
            return differs(f"there is no {scope} {target}", "stop_target")
    if state.get("stop", v["stop_id"]) is not None:
        return differs(f"stop {v['stop_id']} is there", "stop_id")
    return put("stop", v["stop_id"], {
        "id": v["stop_id"], "scope": scope, "target": target,
        "mode": v["stop_mode"], "placed_by": c.actor, "reason": v["reason"],
        "since": c.booking_date,
    })


def stop_lift(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Lifted by two: its maker and its checker (rule D2.10)."""
    if state.get("stop", v["stop_id"]) is None:
        return differs(f"there is no stop {v['stop_id']}", "stop_id")
    return put("stop", v["stop_id"], None)


def session_open(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A session of a caller: its requests are numbered from 1."""
    return put("session", v["session_id"], {"caller": v["caller_id"], "covered": 0})


def session_cover(state: State, v: Values, c: Context) -> Plan | Refusal:
    """The caller's signature over the next requests of its session; the service has verified it,
    `verify` does so again (rule D0.36)."""
    session = state.get("session", v["session_id"])
    if session is None or c.actor != f"caller:{session['caller']}":
        return differs(f"{v['session_id']} is no session of {c.actor}", "session_id")
    digests = v["digests"]
    if v["first_number"] != session["covered"] + 1 or not digests:
        return differs(f"the next is number {session['covered'] + 1}", "first_number")
    if not all(isinstance(d, str) and _DIGEST.match(d) for d in digests):
        return differs("digests are 64 hexadecimal digits each", "digests")
    return put("session", v["session_id"], {
        **session, "covered": session["covered"] + len(digests),
    })


def foreign_read(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Never posts: the refusal in the log is the record of the try (rule D0.53)."""
    return Refusal("not_your_merchant", f"{v['asked']} is not of {c.actor}", "asked")


def sensitive_read(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A person who may review in the module reads sensitive values, or the ledger writes those of
    payees into files for the banks; this is the record, of a try that was refused too (rules
    D0.42, D2.17)."""
    if v["interface"] == "instructions" and c.actor == LEDGER.name:
        return Plan([], effects=[])  # the writer of the files for the banks
    if v.get("asked_by") is not None:
        return differs("who reads for itself is the sender", "asked_by")
    kind, _, name = c.actor.partition(":")
    if kind != "operator" or not has_right(state, name, v["module"], "review"):
        return Refusal(
            "no_right", f"{c.actor} has not the right to review in {v['module']}", "type"
        )
    table, unknown = _READ.get(v["interface"], ("", ""))
    if not table:
        return differs("no sensitive values are read there", "interface")
    if state.get(table, v["asked"]) is None:
        return Refusal(unknown, f"there is no {table} {v['asked']}", "asked")
    return Plan([], effects=[])


def period_close(state: State, v: Values, c: Context) -> Plan | Refusal:
    """Nothing is dated back into a closed period any more; what two people sign holds the digest
    of the trial balance that it ends with (rule D0.56)."""
    through = state.get("period", "closed")
    if state.closed is None or v["valid_to"] > state.closed:
        return differs(f"{v['valid_to']} is not closed", "valid_to")
    if through is not None and v["valid_to"] <= through:
        return differs(f"the period through {through} is closed", "valid_to")
    signed = state.trial_balance(v["valid_to"])
    if signed is None:
        return differs(f"{v['valid_to']} has no close", "valid_to")
    if v.get("trial_balance_sm3") != signed:  # entered under the first version: without one
        return differs(f"the trial balance of {v['valid_to']} is another", "trial_balance_sm3")
    return put("period", "closed", v["valid_to"])


def breaker(state: State, v: Values, c: Context) -> Plan | Refusal:
    """When the ledger stops a merchant, or a rail, by itself (rules D0.66, D2.10)."""
    if not 1 <= v["refused_percent"] <= 100 or not v["window_seconds"] or not v["least_count"]:
        return differs("a share is 1 to 100 per cent, window and count are from 1")
    return put("breaker", v.get("breaker_scope", "merchant"), {
        "window_seconds": v["window_seconds"], "least_count": v["least_count"],
        "refused_percent": v["refused_percent"],
    })


HANDLERS: dict[str, Handler] = {
    **billing.HANDLERS, **mandates.HANDLERS, **parties.HANDLERS, **corrections.HANDLERS,
    **reconciliations.HANDLERS, **splitting.HANDLERS, **exchanging.HANDLERS,
    **{function.__name__: function for function in (
        open_account, move_account, account_status, account_floor, shards.account_shards,
        destination, bind_account, tariffs.tariff, authorise, people.operator, people.membership,
        caller, stop, stop_lift, period_close, breaker, session_open,
        session_cover, foreign_read, sensitive_read,
    )},
}
