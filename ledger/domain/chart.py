"""The chart of accounts: which accounts there may be and what each may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CHART_FORMAT = "paylake-chart/2"
SIDES = {"asset": "D", "expense": "D", "liability": "C", "equity": "C", "income": "C"}
BOOKS = ("reserve", "own", "bank_memo", "self_memo")
PARTIES = ("none", "user", "merchant", "card")
MODES = ("institution", "bank", "self")
#: The settlement mode whose money stands in a kind of books.
MODE_OF_BOOKS = {"reserve": "institution", "bank_memo": "bank", "self_memo": "self"}
_KEYS = frozenset({
    "code", "name_zh", "name_en", "kind", "books", "party", "floor_minor", "below_floor_by",
    "settles", "ages", "accrues", "reconciled", "bank", "self", "report",
})


@dataclass(frozen=True, slots=True)
class AccountClass:
    """One line of the chart. `floor` in minor units on the normal side; None: no floor."""

    code: str
    name_zh: str
    name_en: str
    kind: str
    normal_side: str
    books: str
    party: str
    floor: int | None
    below_floor_by: frozenset[str]
    settles: bool
    ages: bool
    accrues: bool
    report: tuple[str, ...]
    reconciled: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole chart: classes by code, the scale of each currency that is kept, and by
    settlement mode the code that stands for each code (rules D0.3 to D0.6)."""

    version: int
    classes: Mapping[str, AccountClass]
    currencies: Mapping[str, int]
    modes: Mapping[str, Mapping[str, str]]

    @property
    def base_currency(self) -> str:
        """The first currency of the chart: what is priced without naming one is in it."""
        return next(iter(self.currencies))

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Chart:
        """Build the chart from its YAML document.

        :raises ValueError: naming the line that is wrong.
        """
        if document.get("format") != CHART_FORMAT:
            raise ValueError(f"format is {document.get('format')!r}, not {CHART_FORMAT}")
        classes: dict[str, AccountClass] = {}
        modes: dict[str, dict[str, str]] = {mode: {} for mode in MODES}
        for entry in document["accounts"]:
            line = _line(entry)
            if line.code in classes:
                raise ValueError(f"account {line.code} stands twice")
            classes[line.code] = line
            for mode in MODES:
                modes[mode][line.code] = entry.get(mode, line.code)
        for mode, books in (("bank", "bank_memo"), ("self", "self_memo")):
            for code, memo in modes[mode].items():
                if memo != code and (memo not in classes or classes[memo].books != books):
                    raise ValueError(f"account {code}: {memo} is not an account of {books}")
        currencies = {entry["code"]: int(entry["scale"]) for entry in document["currencies"]}
        if not classes or not currencies:
            raise ValueError("there are no accounts or no currencies")
        return cls(int(document["version"]), classes, currencies, modes)


def _line(entry: Mapping[str, Any]) -> AccountClass:
    code, kind, floor = entry["code"], entry["kind"], entry["floor_minor"]
    unknown = set(entry) - _KEYS
    if unknown:
        raise ValueError(f"account {code}: {', '.join(sorted(unknown))} is not known")
    if kind not in SIDES:
        raise ValueError(f"account {code}: kind {kind!r} is not known")
    if entry["books"] not in BOOKS:
        raise ValueError(f"account {code}: books {entry['books']!r} are not known")
    if entry["party"] not in PARTIES:
        raise ValueError(f"account {code}: party {entry['party']!r} is not known")
    if entry.get("reconciled") and entry["party"] != "none":
        raise ValueError(f"account {code}: only an account of the institution is reconciled")
    if floor is not None and type(floor) is not int:
        raise ValueError(f"account {code}: floor_minor is not a whole number")
    return AccountClass(
        code=code, name_zh=entry["name_zh"], name_en=entry["name_en"], kind=kind,
        normal_side=SIDES[kind], books=entry["books"], party=entry["party"], floor=floor,
        below_floor_by=frozenset(entry["below_floor_by"]),
        settles=bool(entry.get("settles", False)), ages=bool(entry.get("ages", False)),
        accrues=bool(entry.get("accrues", False)),
        report=tuple(entry.get("report", ())), reconciled=bool(entry.get("reconciled", False)),
    )


#: Parts an account's id from the number of one of its shards.
SHARD = "#"


def account_id(code: str, party_id: str | None) -> str:
    """`1001` for an account of the institution, `2201:M000001` for a party's."""
    return code if party_id is None else f"{code}:{party_id}"


def parts_of(account_id_: str) -> tuple[str, str | None]:
    """The code and the party of an account id; a shard (`1001#3`) has those of its account."""
    code, _, party = account_id_.partition(SHARD)[0].partition(":")
    return code, party or None
