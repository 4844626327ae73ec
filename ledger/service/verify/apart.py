"""What an entry may hold that is not planned again, of whatever version: of the types whose
handlers ask what the log does not say, and of those that book nothing in any version. So no money
moves and nothing else changes under the name of a rejection, a close of a period, a reconciliation
or a read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ledger.domain.holds import HoldKind, given_back
from ledger.domain.reconciliations import CLOSINGS, DONE, ITEMS, LAST
from ledger.domain.state import State

#: Handlers that need more than the log (closes, what was matched), or that have a judgement of
#: their own in `verify`.
APART = frozenset({"approve", "period_close", "reconciliation", "reconciliation_close", "reject"})
#: What is the ledger's own to record, and what of the registers it changes.
_RECORDED = {
    "foreign_read": (), "sensitive_read": (), "session_open": ("session",),
    "session_cover": ("session",),
}
#: Registers in which what waits for a checker stands; judged in `forms.py`.
_WAITED = ("pending", "reserved")


def apart_fault(
    kinds: Mapping[str, HoldKind], state: State, row: tuple, legs: list[list],
    effects: list[list],
) -> str | None:
    """Why a posted entry of such a type holds what it may not.

    :param state: as it was before the entry
    """
    type_ = row[2]
    if type_ not in APART and type_ not in _RECORDED:
        return None
    if type_ == "approve":
        return "an approval stands by itself, without what it approved"
    if legs:
        return f"a {type_} books nothing, and it has legs"
    said = orjson.loads(row[12])
    rest = [e for e in effects if e[0] != "put" or e[1] not in _WAITED]
    if type_ == "reject":
        waiting = state.get("pending", str(said["pending"])) or {}
        free = [] if not rest else given_back(kinds, state.holds, waiting)
        # programs of before gave nothing back
        good = rest == orjson.loads(orjson.dumps(free))
    elif type_ == "period_close":
        good = rest == [["put", "period", "closed", said["valid_to"]]]
    elif type_ == "reconciliation":
        good = _reconciled(said, rest)
    elif type_ == "reconciliation_close":
        good = _closed(said, rest)
    else:
        good = all(
            e[0] == "put" and e[1] in _RECORDED[type_] and e[2] == said["session_id"]
            for e in rest
        )
    return None if good else f"it changes what a {type_} does not"


def _reconciled(said: Mapping[str, Any], rest: list[list]) -> bool:
    """The reconciliation, the one that it replaces, the last one of its account and the items that
    its content names."""
    account = f"{said['account_id']}/{said['currency_code']}"
    names = {
        DONE: {said["reconciliation_id"], said.get("supersedes")}, LAST: {account},
    }
    items = [
        ["put", ITEMS, item, document] for page in said["item_changes"] for item, document in page
    ]
    return [e for e in rest if e[:2] == ["put", ITEMS]] == items and all(
        e[0] == "put" and (e[1] == ITEMS or (e[1] in names and e[2] in names[e[1]]))
        for e in rest
    )


def _closed(said: Mapping[str, Any], rest: list[list]) -> bool:
    """The items that its content names are gone; the closing, or what they became, is there."""
    closing = said["closing_id"]
    gone = [e[2] for e in rest if e[:2] == ["put", ITEMS] and e[3] is None]
    return gone == said["open_items"] and all(
        e[0] == "put" and (
            e[1] == LAST or e[1:3] in ([CLOSINGS, closing], [ITEMS, closing])
            or (e[1] == ITEMS and e[3] is None)
        ) for e in rest
    )
