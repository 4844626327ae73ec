"""Mandates: what a payer agreed to for repeated collections, and what each collection uses of it.

Beside the most of one collection and its dates a mandate may say how often it is used in all, for
how much in all, how many calendar months pass between two debits of the payer for this payee, and
how many months it spans at the most. What was used is kept in three registers: `collected` by
mandate that has such terms; by payer and payee, whichever mandate a debit was by, `collected_last`
(the latest date) and `collected_until` (the dates from which months let the next one come, the
latest first, so that a reversal leaves those of the others). So a
debit by a mandate without months counts for the next by one that has them, and comes into the
months of no other. A void or refund gives nothing back, a reversal of the debit its time and its
sum. Rules D0.35, D2.2, D2.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from ledger.domain.billing import months_later
from ledger.domain.documents import Handler, Values, differs, put
from ledger.domain.operations import Context, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

#: The registers of what was collected.
COLLECTED = ("collected", "collected_last", "collected_until")
_TERMS = ("total_minor", "total_count", "spacing_months")
_NOTHING = {"count": 0, "total": 0}
#: Version of the templates by mandate from which every collection leaves its date; before, those by
#: a mandate with terms did, and an earlier date in place of a later one.
_DATED_SINCE = 3
#: Version from which the months after a debit bind whichever mandate comes next; before, those
#: that have months themselves.
_BINDS_ALL_SINCE = 4
#: Version from which a debit leaves the months of those before it beside its own, and of how many.
_BESIDE_SINCE, _MOST_BESIDE = 5, 12


def mandate(state: State, v: Values, c: Context) -> Plan | Refusal:
    """What a payer agreed to for repeated collections."""
    if v["valid_to"] < v["valid_from"]:
        return differs("it ends before it begins", "valid_to")
    for name in ("total_count", "spacing_months", "span_months"):
        if v.get(name) == 0:
            return differs(f"{name} is from 1", name)
    span = v.get("span_months")
    if span is not None:
        last = months_later(date.fromisoformat(v["valid_from"]), span).isoformat()
        if v["valid_to"] > last:
            return differs(f"{span} months from {v['valid_from']} end on {last}", "valid_to")
    return put("mandate", v["mandate_id"], {
        "payer_id": v["payer_id"], "payee": v["payee"], "amount_minor": v["amount_minor"],
        "currency_code": v["currency_code"], "valid_from": v["valid_from"],
        "valid_to": v["valid_to"],
        **{name: v[name] for name in (*_TERMS, "span_months") if v.get(name) is not None},
    })


def mandate_end(state: State, v: Values, c: Context) -> Plan | Refusal:
    """No collection by this mandate any more."""
    if state.get("mandate", v["mandate_id"]) is None:
        return Refusal(
            "authorisation_unknown", f"there is no open mandate {v['mandate_id']}", "mandate_id"
        )
    plan = put("mandate", v["mandate_id"], None)
    if state.get("collected", v["mandate_id"]) is not None:
        assert plan.effects is not None
        plan.effects.append(["put", "collected", v["mandate_id"], None])
    return plan


def bounded(document: Mapping[str, Any]) -> bool:
    """Whether what is collected by a mandate counts against terms of it."""
    return any(name in document for name in _TERMS)


def crossed(
    state: State, reference: str, document: Mapping[str, Any], amount: int, day: str, version: int
) -> str | None:
    """Which of a mandate's terms one more collection would cross, or the months after another one,
    in words, or None; exactly the most passes.

    :param version: of the template by which it is booked
    """
    used = state.get("collected", reference) or _NOTHING
    most, often = document.get("total_minor"), document.get("total_count")
    if most is not None and used["total"] + amount > most:
        return f"{most} minor units in all, of which {used['total']} are collected"
    if often is not None and used["count"] >= often:
        return f"{often} collections in all"
    pair = _pair(document)
    months, last = document.get("spacing_months"), state.get("collected_last", pair)
    if months is not None and last is not None:
        next_day = months_later(date.fromisoformat(last), months).isoformat()
        if day < next_day:
            return f"the next collection on {next_day}, {months} months after that of {last}"
    untils = _untils(state.get("collected_until", pair))
    if version >= _BINDS_ALL_SINCE and untils and day < untils[0]:
        return f"the next collection on {untils[0]}, after the months of another mandate"
    return None


def collected(
    state: State, reference: str, document: Mapping[str, Any], amount: int, day: str, version: int
) -> list[list]:
    """The effects of a collection on what its mandate has used, and on when the two were last.

    :param version: of the template by which it is booked
    """
    effects: list[list] = []
    pair = _pair(document)
    if bounded(document):
        used = state.get("collected", reference) or _NOTHING
        effects.append(["put", "collected", reference,
                        {"count": used["count"] + 1, "total": used["total"] + amount}])
    if version >= _DATED_SINCE:
        effects.append(["put", "collected_last", pair,
                        max(day, state.get("collected_last", pair) or day)])
    elif effects:
        effects.append(["put", "collected_last", pair, day])
    months = document.get("spacing_months")
    if version >= _BINDS_ALL_SINCE and months is not None:
        until = months_later(date.fromisoformat(day), months).isoformat()
        untils = sorted([until, *_untils(state.get("collected_until", pair))], reverse=True)
        effects.append(["put", "collected_until", pair,
                        untils[:_MOST_BESIDE] if version >= _BESIDE_SINCE else untils[0]])
    return effects


def _untils(found: str | list[str] | None) -> list[str]:
    """The dates of a document of `collected_until`, the latest first; a template of before left one
    alone."""
    return [found] if isinstance(found, str) else found or []


def months_given_back(state: State, effect: list) -> list[list]:
    """The effects of a collection's reversal on the months that bind every mandate: its own are
    gone, those of the others stay.

    :param effect: of the collection on `collected_until`
    """
    _, table, pair, document = effect
    left, own = list(_untils(state.get(table, pair))), _untils(document)[0]
    if own not in left:
        return []
    left.remove(own)
    return [["put", table, pair, left or None]]


def given_back(state: State, reference: str, amount: int) -> list[list]:
    """The effects of a collection's reversal: it was a wrong booking of the institution, so the
    mandate has its time and its sum again. The date stays, since the one before it is not known:
    for mandates that have months themselves it counts."""
    used = state.get("collected", reference)
    if used is None:
        return []
    left = {"count": used["count"] - 1, "total": used["total"] - amount}
    return [["put", "collected", reference, left if left["count"] else None]]


def _pair(document: Mapping[str, Any]) -> str:
    return f"{document['payer_id']} {document['payee']}"


HANDLERS: dict[str, Handler] = {f.__name__: f for f in (mandate, mandate_end)}
