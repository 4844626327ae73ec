"""What an entry of each outcome may hold: a refusal changes nothing; what waits for a checker moves
no money, keeps its command, its business key and what it holds; what waited is decided once."""

from __future__ import annotations

from typing import Any

import orjson

from ledger.domain.state import State


def form_fault(state: State, row: tuple, effects: Any) -> str | None:
    """Why an entry cannot have these columns.

    :param state: as it was before the entry
    :param effects: of the entry; of a refusal its reason
    """
    outcome = row[4]
    if outcome == "posted":
        return _decided_fault(state, row, effects)
    if outcome not in ("pending", "refused"):
        return f"there is no outcome {outcome}"
    if row[13] != "[]" or row[6] is not None or row[15]:
        return f"it is {outcome}, and has legs, a business key or an approval"
    if outcome == "pending":
        return _waiting_fault(state, row, effects)
    return None if "reason" in effects else "it is refused without a reason"


def _waiting_fault(state: State, row: tuple, effects: list[list]) -> str | None:
    number = row[0]
    first, *others = effects
    says = {"type": row[2], "content": row[12], "actor": row[7]}
    if first[:3] != ["put", "pending", str(number)] or not says.items() <= first[3].items():
        return "it does not keep what waits"
    placed, kept = [], 0
    for effect in others:
        if effect[0] == "hold" and not (
            effect[2]["captured"] or effect[2]["released"] or effect[2]["ended"]
        ):
            if effect[1] in state.holds:
                return f"it places hold {effect[1]}, which was there"
            placed.append(effect[1])
        elif effect[:2] == ["put", "reserved"] and effect[3] == number:
            kept += 1
            if kept > 1 or state.get("reserved", effect[2]) is not None:
                return f"it keeps {effect[2]}, which is not its own"
        else:
            return "it waits for a checker, and changes something already"
    return None if sorted(placed) == first[3].get("holds", []) else "it holds something else"


def _decided_fault(state: State, row: tuple, effects: list[list]) -> str | None:
    """What was approved or rejected waits no more, and what waits was entered as such."""
    said = row[15] or (row[12] if row[2] == "reject" else None)
    number = None if said is None else str(orjson.loads(said)["pending"])
    if number is not None and state.get("pending", number) is None:
        return "it decides what does not wait"
    gone = ["put", "pending", number, None]
    changed = [effect for effect in effects if effect[:2] == ["put", "pending"]]
    if changed != ([] if number is None else [gone]):
        return "what waits for a checker is not what it was, less what it decided"
    for effect in effects:
        if effect[:2] == ["put", "reserved"] and (
            number is None or effect[3] is not None
            or state.get("reserved", effect[2]) != int(number)
        ):
            return f"it changes for whom {effect[2]} is kept"
    return None
