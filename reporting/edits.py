"""Edit checks: rules as data (``rules/<report>.yml``), run over a report's rows before signing.

Severities are those of the HMDA filing process: **S** syntactical and **V** validity block the
filing; **Q** quality and **M** macro quality need a named person's reason. A result is one of a
closed set; *not determinable* (the input that a rule needs is absent) is never a pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import yaml

from paylake.crypto import sm3_hex
from paylake.errors import PaylakeError, PermanentFailure
from reporting.amounts import exact
from reporting.data import Rows
from reporting.specification import Specification

RULES = Path(__file__).parent / "rules"
SEVERITIES = ("S", "V", "Q", "M")
BLOCKING = ("S", "V")
RESULTS = ("pass", "fired", "not_determinable", "error")
CHECKS = ("sql", "mandatory", "codes", "scale")


@dataclass(frozen=True)
class Rule:
    """One edit check.

    :param sql: for ``check: sql``: a query over the report's datasets that returns what is wrong:
        business_date, item, observed, expected.
    :param needs: dataset -> columns; a date with an empty one is not determinable.
    :param needs_earlier: dataset that must have rows of the date before.
    :param basis: where the rule comes from.
    """

    code: str
    severity: str
    check: str
    title: str
    basis: str
    valid_from: date
    valid_to: date | None
    sql: str | None
    needs: Mapping[str, tuple[str, ...]]
    needs_earlier: str | None
    passes: Mapping[str, Any]
    fires: Mapping[str, Any]

    def is_valid_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found, as text."""

    item: str
    observed: str
    expected: str


@dataclass(frozen=True)
class Outcome:
    """What one rule said about one date."""

    rule: Rule
    business_date: date
    result: str
    findings: tuple[Finding, ...] = field(default=())

    @property
    def blocks(self) -> bool:
        """True when the report cannot be filed whatever anyone says."""
        return self.result == "error" or (self.result == "fired" and self.rule.severity in BLOCKING)

    @property
    def needs_reason(self) -> bool:
        return self.result == "fired" and not self.blocks

    @property
    def digest(self) -> str:
        """SM3 over the findings: a reason is for these and lapses when they change."""
        lines = sorted(f"{f.item}\x1f{f.observed}\x1f{f.expected}" for f in self.findings)
        return sm3_hex("\x1e".join([self.rule.code, *lines]).encode())

    def sentence(self) -> str:
        shown = "; ".join(
            f"{f.item}: {f.observed} instead of {f.expected}" for f in self.findings[:3]
        )
        more = f" and {len(self.findings) - 3} more" if len(self.findings) > 3 else ""
        return f"{self.rule.code} ({self.rule.title}) {self.result}: {shown}{more}"


@cache
def load(report: str) -> tuple[Rule, ...]:
    """The rules of a report, in the order in which they are checked.

    :raises PermanentFailure: for a rule file that contradicts itself.
    """
    return tuple(_rule(body, report) for body in _document(report)["rules"])


def base_example(report: str) -> Mapping[str, list[dict[str, Any]]]:
    """Rows that pass every rule of the report; each rule's examples change some of them."""
    return _document(report)["base"]


@cache
def _document(report: str) -> dict[str, Any]:
    path = RULES / f"{report}.yml"
    if not path.is_file():
        raise PermanentFailure(f"Report {report} has no edit checks", f"Write {path.name}.")
    return yaml.safe_load(path.read_text("utf-8"))


def _rule(body: Mapping[str, Any], report: str) -> Rule:
    try:
        rule = Rule(
            code=body["code"],
            severity=body["severity"],
            check=body.get("check", "sql"),
            title=body["title"],
            basis=body["basis"],
            valid_from=body["valid_from"],
            valid_to=body["valid_to"],
            sql=body.get("sql"),
            needs={k: tuple(v) for k, v in body.get("needs", {}).items()},
            needs_earlier=body.get("needs_earlier"),
            passes=body["passes"],
            fires=body["fires"],
        )
    except KeyError as error:
        raise PermanentFailure(
            f"An edit check of {report} lacks {error}", "Correct the rule file."
        ) from None
    wrong = rule.severity not in SEVERITIES or rule.check not in CHECKS
    if wrong or (rule.check == "sql") != bool(rule.sql):
        raise PermanentFailure(
            f"Edit check {rule.code} has severity {rule.severity!r} and check {rule.check!r}",
            "Correct the rule file.",
        )
    return rule


def run(
    spec: Specification, rules: Sequence[Rule], rows: Rows, days: Sequence[date]
) -> dict[date, list[Outcome]]:
    """Every rule over every date, each rule's query once for all dates."""
    outcomes: dict[date, list[Outcome]] = {day: [] for day in days}
    with duckdb.connect(":memory:") as connection:
        connection.execute("set enable_external_access = false")
        for name in spec.datasets:
            connection.register(name, rows.table(spec, name))
        for rule in rules:
            found, error = _evaluate(connection, spec, rule, rows, days)
            for day in days:
                if rule.is_valid_on(day):
                    outcomes[day].append(_outcome(rule, day, rows, found.get(day, ()), error))
    return outcomes


def _outcome(
    rule: Rule, day: date, rows: Rows, found: Sequence[Finding], error: str | None
) -> Outcome:
    if error is not None:
        return Outcome(rule, day, "error", (Finding(rule.code, error, "a result"),))
    if _is_missing_input(rule, day, rows):
        return Outcome(rule, day, "not_determinable")
    return Outcome(rule, day, "fired" if found else "pass", tuple(found))


def _is_missing_input(rule: Rule, day: date, rows: Rows) -> bool:
    if rule.needs_earlier and not rows.of(rule.needs_earlier, day - timedelta(days=1)):
        return True
    return any(
        row.get(column) is None
        for dataset, columns in rule.needs.items()
        for row in rows.of(dataset, day)
        for column in columns
    )


def _evaluate(
    connection: duckdb.DuckDBPyConnection,
    spec: Specification,
    rule: Rule,
    rows: Rows,
    days: Sequence[date],
) -> tuple[dict[date, list[Finding]], str | None]:
    found: dict[date, list[Finding]] = defaultdict(list)
    if rule.check == "sql":
        try:
            result = connection.execute(
                f"select business_date, item::varchar, observed::varchar, expected::varchar "
                f"from ({rule.sql}) order by all"
            ).fetchall()
        except duckdb.Error as error:
            return {}, str(error).splitlines()[0]
        for day, item, observed, expected in result:
            found[day].append(Finding(item or "", observed or "", expected or ""))
        return found, None
    check = _CELL_CHECKS[rule.check]
    for name in spec.datasets:
        for day in days:
            found[day].extend(check(spec, rows, name, day))
    return found, None


def _cells(spec: Specification, rows: Rows, name: str, day: date) -> Iterable[tuple]:
    columns = [c for c in spec.dataset(name).columns.values() if rows.has(name, c.name, day)]
    for row in rows.of(name, day):
        item = " ".join(str(row[k]) for k in spec.dataset(name).order_by)
        for column in columns:
            yield item, column, row


def _mandatory(spec: Specification, rows: Rows, name: str, day: date) -> Iterable[Finding]:
    for item, column, row in _cells(spec, rows, name, day):
        value = row[column.name]
        if not column.is_nullable and (value is None or value == ""):
            yield Finding(f"{item} {column.name}", "empty", "a value")


def _codes(spec: Specification, rows: Rows, name: str, day: date) -> Iterable[Finding]:
    for item, column, row in _cells(spec, rows, name, day):
        value = row[column.name]
        if column.kind == "code" and value is not None and value not in column.codes:
            yield Finding(f"{item} {column.name}", str(value), " or ".join(column.codes))


def _scale(spec: Specification, rows: Rows, name: str, day: date) -> Iterable[Finding]:
    for item, column, row in _cells(spec, rows, name, day):
        if column.kind == "amount" and row[column.name] is not None:
            try:
                exact(row[column.name], row["currency_code"])
            except PaylakeError as error:
                yield Finding(f"{item} {column.name}", str(row[column.name]), error.what)


_CELL_CHECKS: dict[str, Callable[..., Iterable[Finding]]] = {
    "mandatory": _mandatory,
    "codes": _codes,
    "scale": _scale,
}
