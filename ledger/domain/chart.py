"""The chart of accounts: which accounts there may be and what each may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHART_FORMAT = "paylake-chart/1"
_SIDES = {"asset": "D", "expense": "D", "liability": "C", "income": "C"}
_PARTIES = ("none", "user", "merchant")


@dataclass(frozen=True, slots=True)
class AccountClass:
    """One line of the chart. `floor` in minor units on the normal side; None: no floor."""

    code: str
    name_zh: str
    name_en: str
    kind: str
    normal_side: str
    party: str
    floor: int | None
    below_floor_by: frozenset[str]


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole chart: classes by code, and the scale of each currency that is kept."""

    version: int
    classes: Mapping[str, AccountClass]
    currencies: Mapping[str, int]

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Chart:
        """Build the chart from its YAML document.

        :raises ValueError: naming the line that is wrong.
        """
        if document.get("format") != CHART_FORMAT:
            raise ValueError(f"format is {document.get('format')!r}, not {CHART_FORMAT}")
        classes: dict[str, AccountClass] = {}
        for entry in document["accounts"]:
            line = AccountClass(
                code=entry["code"],
                name_zh=entry["name_zh"],
                name_en=entry["name_en"],
                kind=entry["kind"],
                normal_side=entry["normal_side"],
                party=entry["party"],
                floor=entry["floor_minor"],
                below_floor_by=frozenset(entry["below_floor_by"]),
            )
            if line.code in classes:
                raise ValueError(f"account {line.code} stands twice")
            if _SIDES.get(line.kind) != line.normal_side:
                raise ValueError(f"account {line.code}: {line.kind} is not on {line.normal_side}")
            if line.party not in _PARTIES:
                raise ValueError(f"account {line.code}: party {line.party!r} is not known")
            if line.floor is not None and not isinstance(line.floor, int):
                raise ValueError(f"account {line.code}: floor_minor is not a whole number")
            classes[line.code] = line
        currencies = {entry["code"]: int(entry["scale"]) for entry in document["currencies"]}
        if not classes or not currencies:
            raise ValueError("there are no accounts or no currencies")
        return cls(int(document["version"]), classes, currencies)


def account_id(code: str, party_id: str | None) -> str:
    """`1001` for an account of the institution, `2201:M000001` for a party's."""
    return code if party_id is None else f"{code}:{party_id}"
