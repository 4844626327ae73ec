"""Conditions on which an operation needs a checker that depend on what the registers say.

A template names one in `approval_register`, beside `approval`, which knows the command and the
tariff alone. `verify` asks it again of the state as the log had made it before the entry, so it
looks at nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ledger.domain.state import State

Condition = Callable[[State, Mapping[str, Any]], bool]

#: What an account in each status lets post: what lowers its balance, what raises it.
_LETS = {
    "normal": {"lowers", "raises"}, "no_debit": {"raises"}, "no_credit": {"lowers"},
    "frozen": {"raises"}, "closed": set(),
}


def loosens(state: State, v: Mapping[str, Any]) -> bool:
    """Whether an account's new status ends a freeze, or lets post what the old one did not: one
    person may only restrict (rule D0.16)."""
    account = state.account(v["account_id"], v["currency_code"])
    if account is None:
        return False
    return account.status == "frozen" or not _LETS[v["status"]] <= _LETS[account.status]


CONDITIONS: dict[str, Condition] = {"loosens": loosens}
