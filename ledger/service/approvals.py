"""What `verify` judges of maker and checker: whether an entry should have had an approval, and
whether the checker had the right to review when it was given.

A template's condition is evaluated on the entry's content and on the registers as the log had made
them by then, as at posting. Rules D4a.6, D4a.9, D4b.13.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ledger.domain import tariffs
from ledger.domain.actors import FOUNDED, bootstrapping, has_right, those_with_right
from ledger.domain.conditions import CONDITIONS
from ledger.domain.operations import Context, Operation, Operations
from ledger.domain.state import State

_EMPTY: Mapping[str, Any] = {}
#: The entry with which a migrated ledger begins; it has no template.
TAKEN_OVER = ("taken_over", "system:format-1")


def lacks_approval(
    operations: Operations, state: State, row: tuple, legs: Sequence[list]
) -> str | None:
    """Why a posted entry without an approval should have one; None when it need not.

    :param state: as it was before the entry
    """
    type_, actor = row[2], row[7]
    if (type_, actor) == TAKEN_OVER and row[0] == 1:
        return None
    operation = operations.by_type[type_]
    if operation.module == "approvals":
        return _review(operations, state, row)
    kind, _, _ = actor.partition(":")
    if not _demanded(operation, state, row) or (
        operation.module == "authority" and kind == "system" and bootstrapping(state)
    ):
        for account_id, currency, direction, *_ in legs:
            if leaves_purpose(state, account_id, currency, direction):
                return f"money left {account_id}, which has a purpose, without an approval"
        return None
    return f"{type_} needs a checker, and it has no approval"


def leaves_purpose(state: State, account_id: str, currency: str, direction: str) -> bool:
    """Whether a leg takes money from an account of the institution that has a purpose: its use is
    reviewed (rule D4b.13)."""
    if ":" in account_id:
        return False
    account = state.accounts[currency][account_id]
    return account.purpose is not None and (direction == "D") != (account.debit_sign > 0)


def _demanded(operation: Operation, state: State, row: tuple) -> bool:
    if operation.approval is None:
        return False
    values = orjson.loads(row[12])
    asked = (
        operation.approval if row[3] >= operation.approval_since else operation.approval_before
    )
    if asked is not None:
        tariff = tariffs.in_force(state, values.get("currency_code"), row[3])
        context = Context(row[10], "institution", _EMPTY, _EMPTY, tariff, row[7])
        if asked(values, context):
            return True
    condition, since = operation.approval_register or ("", row[3] + 1)
    return row[3] >= since and CONDITIONS[condition](state, values)


def people_fault(state: State, row: tuple) -> str | None:
    """Why people and rights may not stand as an entry left them: once two could review them, two
    always can, and the log says since when."""
    if row[2] not in ("operator", "membership", "right") or row[3] < 2:
        return None
    reviewers = those_with_right(state, "authority", "review")
    if state.get(*FOUNDED) is None:
        return None if len(reviewers) < 2 else "it does not say that two may review in authority"
    if len(reviewers) < 2:
        return "it leaves fewer than two who may review in authority"
    return None


def _review(operations: Operations, state: State, row: tuple) -> str | None:
    """A rejection is an entry of its own; an approval stands with what it approved."""
    if row[2] != "reject":
        return "an approval stands by itself, without what it approved"
    said = json.loads(row[12])
    waiting = state.get("pending", str(said["pending"]))
    if waiting is None:
        return "it rejects what did not wait"
    return no_right(operations, state, waiting, said["operator_id"])


def no_right(
    operations: Operations, state: State, waiting: Mapping[str, Any], checker: str
) -> str | None:
    """Why a person could not review what waited; None when it could."""
    if waiting["actor"] == f"operator:{checker}":
        return "its maker approved it"
    module = operations.by_type[waiting["type"]].module
    if not has_right(state, checker, module, "review"):
        return f"{checker} had not the right to review in {module}"
    return None
