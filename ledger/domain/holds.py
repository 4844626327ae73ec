"""Holds: money that stays in its account and may not leave it.

Available = balance less open holds. For every hold, captured + released <= placed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

HOLD_KINDS_FORMAT = "paylake-hold-kinds/1"


@dataclass(frozen=True, slots=True)
class HoldKind:
    """What a kind of hold allows; `ledger/data/hold_kinds.yml` explains the columns."""

    name: str
    zh: str
    en: str
    scope: str
    codes: frozenset[str]
    exceeds: bool
    days: int | None
    released_by: str
    no_expiry: bool
    rule: str


def hold_kinds(document: Mapping[str, Any]) -> dict[str, HoldKind]:
    """The kinds by name.

    :raises ValueError: naming the kind that is wrong
    """
    if document.get("format") != HOLD_KINDS_FORMAT:
        raise ValueError(f"format is not {HOLD_KINDS_FORMAT}")
    found = {}
    for name, entry in document["kinds"].items():
        kind = HoldKind(name, **{**entry, "codes": frozenset(entry["codes"])})
        if kind.scope not in ("amount", "account", "either"):
            raise ValueError(f"{name}: scope {kind.scope!r} is not known")
        if kind.released_by not in ("operation", "person", "authority"):
            raise ValueError(f"{name}: released_by {kind.released_by!r} is not known")
        found[name] = kind
    return found


def ends_on(kind: HoldKind, placed_on: str, asked: str | None) -> str | None:
    """The last date of a hold: what was asked for, or the kind's days after the day it was
    placed, which is day 0 (rule D0.15); None: it has no end of its own."""
    own = None
    if kind.days is not None:
        own = (date.fromisoformat(placed_on) + timedelta(kind.days)).isoformat()
    return min(filter(None, (own, asked)), default=None)


def left(hold: Mapping[str, Any]) -> int:
    """What of a hold is still held, minor units."""
    return hold["placed"] - hold["captured"] - hold["released"]


def reduced(hold: Mapping[str, Any], name: str, amount: int) -> dict[str, Any]:
    """A hold with so much captured or released; it ends when nothing is left of it."""
    document = {**hold, name: hold[name] + amount}
    document["ended"] = hold["scope"] == "account" or left(document) == 0
    return document


def given_back(
    kinds: Mapping[str, HoldKind], holds: Mapping[str, Mapping[str, Any]],
    waiting: Mapping[str, Any],
) -> list[list]:
    """The effects by which what a rejected command held is free again, unless somebody took the
    hold over.

    :param waiting: what waited
    """
    found = [(name, holds.get(name)) for name in waiting.get("holds", ())]
    return [
        ["hold", name, reduced(hold, "released", left(hold))] for name, hold in found
        if hold is not None and kinds[hold["kind"]].released_by == "operation"
    ]
