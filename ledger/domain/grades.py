"""What a grade of the rating entails beside its limits: scenes that its parties do not start,
working days by which its merchants' payouts are late, the deposit that a start needs. Versions by
grade, each in force from its date, set by two people, with the rating's method behind it; which
rating gave a party its grade stands with the party. Rules D0.7, D0.33, D2.9.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ledger.domain.documents import Values, differs, put
from ledger.domain.operations import Context, Operation, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

_NONE: Mapping[str, Any] = {}


def grade_terms(
    state: State, v: Values, c: Context, scenes: Collection[str]
) -> Plan | Refusal:
    """A version of what a grade entails.

    :param scenes: those that there are
    """
    for name in ("delay_days", "deposit_minor", "barred_scenes"):
        if name not in v:  # entered under a template of before, which took it as none
            return differs(f"a version says its {name}: it is entered anew", name)
    unknown = sorted({str(scene) for scene in v["barred_scenes"]} - set(scenes))
    if unknown:
        return differs("there is no scene " + ", ".join(unknown), "barred_scenes")
    versions = list(state.get("grade_terms", v["grade"]) or ())
    if v["valid_from"] < c.booking_date or (
        versions and versions[-1]["valid_from"] >= v["valid_from"]
    ):
        return differs("a version is in force from today or later, and after the one before",
                       "valid_from")
    return put("grade_terms", v["grade"], [*versions, {
        "valid_from": v["valid_from"], "evidence": v["evidence"],
        "delay_days": v["delay_days"], "deposit_minor": v["deposit_minor"],
        "barred_scenes": sorted(v["barred_scenes"]),
    }])


def terms(state: State, party_id: str | None, day: str) -> Mapping[str, Any]:
    """What the grade of a party entails on a date; empty when nothing."""
    graded = state.tables.get("grade_terms")
    if not graded or party_id is None:
        return _NONE
    grade = (state.get("party", party_id) or _NONE).get("grade")
    for version in reversed(graded.get(grade, ())):
        if version["valid_from"] <= day:
            return version
    return _NONE


def barred(
    state: State, operation: Operation, party_ids: Iterable[str | None], day: str
) -> Refusal | None:
    """Whether the grade of one of the parties keeps it from what the operation starts."""
    if not operation.starts or not operation.scenes:
        return None
    for party_id in party_ids:
        for scene in terms(state, party_id, day).get("barred_scenes", ()):
            if scene in operation.scenes:
                return Refusal("grade_not_allowed", f"the grade of {party_id} bars {scene}")
    return None
