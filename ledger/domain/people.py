"""Handlers of the people of the institution: operators, their groups, the groups' rights.

The first of them are entered by the house's own system alone, for nobody could review them. That
ends for good once two may review in the module `authority`: from then on two of them, and somebody
who may enter, always remain.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ledger.domain import actors
from ledger.domain.documents import Values, differs, put
from ledger.domain.operations import Context, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

Change = tuple[str, str, Any]  # table, key, document


def operator(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A person and the key that proves it, which nobody else has (rules D4a.4, D4a.6)."""
    name, key = v["operator_id"], v["public_key"]
    return key_fault(state, key, ("operator", name)) or _kept(state, ("operator", name, {
        "name": v["operator_name"], "public_key": key, "enabled": v["enabled"],
    }), c, "enabled")


def membership(state: State, v: Values, c: Context) -> Plan | Refusal:
    """A person in a group, or no longer (rule D4a.5)."""
    name = v["operator_id"]
    if state.get("operator", name) is None:
        return differs(f"there is no operator {name}", "operator_id")
    groups = set(state.get("membership", name) or ())
    groups = groups | {v["group_id"]} if v["member"] else groups - {v["group_id"]}
    return _kept(state, ("membership", name, sorted(groups) or None), c, "member")


def right(state: State, v: Values, c: Context, modules: Collection[str]) -> Plan | Refusal:
    """A right of a group in a module (rule D4a.6); one table, from either side.

    :param modules: those in which somebody enters or reviews
    """
    key = f"{v['group_id']}/{v['module']}/{v['duty']}"
    if v["module"] not in modules and (v["allowed"] or state.get("right", key) is None):
        return differs("a module is one of: " + ", ".join(sorted(modules)), "module")
    document = {"since": c.booking_date} if v["allowed"] else None
    return _kept(state, ("right", key, document), c, "allowed")


def key_fault(state: State, key: str, own: tuple[str, str]) -> Refusal | None:
    """A key is of one person or caller alone (rules D0.37, D4a.9): else one could be maker and
    checker.

    :param own: table and name of whom it is to be
    """
    if len(key) != 128:
        return differs("an SM2 public key has 64 bytes", "public_key")
    for table in ("operator", "caller"):
        for name, document in state.table(table).items():
            if document["public_key"] == key and (table, name) != own:
                return differs(f"{table} {name} has this key; none is shared", "public_key")
    return None


def _kept(state: State, change: Change, c: Context, field: str) -> Plan | Refusal:
    """The change, unless it leaves fewer than two who may review in `authority`, or none who may
    enter, after there were two."""
    reviewers = actors.those_with_right(state, "authority", "review", change)
    plan = put(*change)
    if actors.bootstrapping(state) and len(reviewers) < 2:
        return plan
    if len(reviewers) < 2:
        return differs(
            "it leaves fewer than two who may review in authority: enter another first", field
        )
    if not actors.those_with_right(state, "authority", "enter", change):
        return differs(
            "it leaves nobody who may enter in authority: give that right first", field
        )
    if state.get(*actors.FOUNDED) is None:
        assert plan.effects is not None
        plan.effects.append(["put", *actors.FOUNDED, {"since": c.booking_date}])
    return plan
