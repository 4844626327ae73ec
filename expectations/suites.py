"""Suites as data: reading and checking `suites/*.yml` (their keys are described in README.md)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from paylake.errors import PermanentFailure
from paylake.settings import ROOT

FOLDER = Path(__file__).resolve().parent / "suites"
THRESHOLDS = ROOT / "dbt" / "seeds" / "check_threshold.csv"

# libyaml where it is there: 11 files in a tenth of the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: Checks of single rows, evaluated by Great Expectations on the mart's rows.
ROW_KINDS = ("unique", "not_null", "in_set", "between")
#: Checks of a whole date: SQL gives the evidence, Great Expectations judges it.
DATE_KINDS = ("rows_present", "reconcile", "none")
SEVERITIES = ("fail", "warn")


@dataclass(frozen=True)
class Check:
    """One check. `minimum` and `maximum` are numbers or name a row of the threshold seed."""

    code: str
    kind: str
    severity: str
    is_waivable: bool
    owner: str
    reason: str
    title_zh: str
    title_en: str
    reason_zh: str
    legal_basis: str | None = None
    columns: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    minimum: Any = None
    maximum: Any = None
    sql: str | None = None
    minimum_items: int = 0
    feeds: tuple[str, ...] = ()

    def bounds(self, day: date) -> tuple[Decimal | None, Decimal | None]:
        """Lower and upper bound on a business date."""
        return _bound(self.minimum, "lower_bound", day), _bound(self.maximum, "upper_bound", day)

    @property
    def expected(self) -> str:
        """What the check asks, for a reader; bounds are added where they are known."""
        return {
            "unique": f"one row for each {', '.join(self.columns)}",
            "not_null": f"no empty {', '.join(self.columns)}",
            "in_set": f"{', '.join(self.columns)} in {', '.join(self.values)}",
            "between": f"{', '.join(self.columns)} within bounds",
            "rows_present": f"at least {max(1, self.minimum_items)} row(s)",
            "reconcile": "all items equal",
            "none": "no such item",
        }[self.kind]


@dataclass(frozen=True)
class Suite:
    """The checks of one table (`layer.table`)."""

    name: str
    table: str
    checks: tuple[Check, ...]


def _bound(given: Any, side: str, day: date) -> Decimal | None:
    if given is None:
        return None
    if not isinstance(given, dict):
        return Decimal(str(given))
    found = _thresholds().get(given["threshold"], [])
    for row in found:
        begins = not row["valid_from"] or date.fromisoformat(row["valid_from"]) <= day
        ends = row["valid_to"] and date.fromisoformat(row["valid_to"]) < day
        if begins and not ends and row[side]:
            return Decimal(row[side])
    raise PermanentFailure(
        f"The threshold {given['threshold']!r} has no {side} for {day}",
        "Add a row with its validity to the seed.",
        where=str(THRESHOLDS.relative_to(ROOT)),
    )


@lru_cache(maxsize=1)
def _thresholds() -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    with THRESHOLDS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["check_code"], []).append(row)
    return found


def load(folder: Path = FOLDER) -> list[Suite]:
    """Every suite, by name.

    :raises PermanentFailure: for a file that is not a suite; the sentence names the key.
    """
    suites = [_suite(path) for path in sorted(folder.glob("*.yml"))]
    seen: dict[str, str] = {}
    for suite in suites:
        for check in suite.checks:
            if check.code in seen:
                raise _bad(
                    folder / f"{suite.name}.yml",
                    f"check {check.code} is also in suite {seen[check.code]}",
                )
            seen[check.code] = suite.name
    return suites


def _suite(path: Path) -> Suite:
    try:
        node = yaml.load(path.read_text("utf-8"), Loader=_LOADER)
        if node["suite"] != path.stem:
            raise _bad(path, f"suite {node['suite']!r} is not the file's name")
        owner, feeds = node["owner"], tuple(node["feeds"])
        checks = tuple(_check(path, raw, owner, feeds) for raw in node["checks"])
        return Suite(node["suite"], node["table"], checks)
    except (KeyError, TypeError, yaml.YAMLError) as error:
        raise _bad(path, f"{error!r}") from error


def _check(path: Path, raw: dict[str, Any], owner: str, feeds: tuple[str, ...]) -> Check:
    known = {
        "code", "kind", "severity", "waivable", "owner", "reason", "legal_basis", "columns",
        "values", "minimum", "maximum", "sql", "minimum_items", "feeds", "title_zh", "title_en",
        "reason_zh",
    }
    code = raw["code"]
    unknown = sorted(set(raw) - known)
    kind, severity = raw["kind"], raw["severity"]
    problem = None
    if unknown:
        problem = f"unknown keys {unknown}"
    elif kind not in (*ROW_KINDS, *DATE_KINDS):
        problem = f"kind {kind!r} is not known"
    elif severity not in SEVERITIES:
        problem = f"severity {severity!r} is neither fail nor warn"
    elif kind in ROW_KINDS and not raw.get("columns"):
        problem = "it names no columns"
    elif kind in ("reconcile", "none") and not raw.get("sql"):
        problem = "it has no sql"
    elif kind == "in_set" and not raw.get("values"):
        problem = "it has no values"
    elif kind == "between" and raw.get("minimum") is None and raw.get("maximum") is None:
        problem = "it has no bound"
    if problem:
        raise _bad(path, f"check {code}: {problem}")
    return Check(
        code=code,
        kind=kind,
        severity=severity,
        is_waivable=bool(raw["waivable"]),
        owner=raw.get("owner", owner),
        reason=raw["reason"],
        title_zh=raw["title_zh"],
        title_en=raw["title_en"],
        reason_zh=raw["reason_zh"],
        legal_basis=raw.get("legal_basis"),
        columns=tuple(raw.get("columns", ())),
        values=tuple(raw.get("values", ())),
        minimum=raw.get("minimum"),
        maximum=raw.get("maximum"),
        sql=raw.get("sql"),
        minimum_items=int(raw.get("minimum_items", 0)),
        feeds=tuple(raw.get("feeds", feeds)),
    )


def _bad(path: Path, what: str) -> PermanentFailure:
    return PermanentFailure(
        f"Not a usable suite: {what}",
        "Follow expectations/README.md.",
        where=f"expectations/suites/{path.name}",
    )
