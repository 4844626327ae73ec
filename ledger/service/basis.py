"""What a change of a register that waits for its checker would replace. A maker asks for a change
of what is there; when somebody changes that meanwhile, what the checker would approve is another
one: the lifting of a later stop, the end of a freeze or suspension that came since. Rules D0.16,
D0.46, D2.10, D4a.9."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from ledger.domain.chain import sm3
from ledger.domain.state import State

#: Operations that replace what stands in a register under the same name.
_REPLACE = frozenset({
    "account_floor", "account_status", "breaker", "caller", "destination", "grade_change", "limit",
    "operator", "party", "party_state", "stop_lift", "tariff",
})


def basis(state: State, type_: str, effects: Iterable[list] | None) -> str | None:
    """Digest of what these effects would replace, hexadecimal; None of an operation that replaces
    nothing, or whose change holds whatever stood there before.

    :param state: before the effects
    """
    if type_ not in _REPLACE:
        return None
    there: list[Any] = []
    for effect in effects or ():
        if effect[0] == "put":
            there.append([*effect[:3], state.get(effect[1], effect[2])])
        elif effect[0] == "account":
            account = state.accounts[effect[2]][effect[1]]
            there.append([*effect[:3], {name: getattr(account, name) for name in effect[3]}])
    return sm3(orjson.dumps(there, option=orjson.OPT_SORT_KEYS)).hex()
