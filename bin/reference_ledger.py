"""The generated pages of the ledger: operations, chart of accounts, refusals, events, database."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from ledger.adapters.data_files import (
    DATA,
    load_chart,
    load_events,
    load_hold_kinds,
    load_operations,
    load_reconciliation_rules,
    load_suspension_grounds,
)
from ledger.adapters.schema import APPEND_ONLY, QUERIES, SCHEMA_VERSION, TABLES
from ledger.domain.fields import COMMON
from ledger.domain.operations import Operation
from ledger.domain.refusals import REASONS

Table = Callable[[Sequence[str], Any], list[str]]
Head = Callable[[str, str, str], list[str]]


def operations_page(head: Head, table: Table) -> str:
    """Every operation: fields, legs, what it needs."""
    lines = head(
        "Operations of the ledger", "ledger/data/operations",
        "Every command that the ledger takes. All take " + ", ".join(
            f"`{f.name}`{' (optional)' if f.optional else ''}" for f in COMMON
        ) + ". A field with `?` may be left out. Codes of accounts: "
        "[accounts](ledger-accounts.md); reasons of refusals: [refusals](ledger-refusals.md).",
    )
    specs: dict[str, Any] = {}
    for path in sorted((DATA / "operations").glob("*.yml")):
        specs.update(yaml.safe_load(path.read_text("utf-8"))["operations"])
    operations = load_operations().by_type
    by_module: dict[str, list[Operation]] = {}
    for operation in operations.values():
        by_module.setdefault(operation.module, []).append(operation)
    for module in sorted(by_module):
        lines += [f"## Module `{module}`", ""]
        for operation in by_module[module]:
            lines += _operation(operation, specs[operation.type], table)
    lines += ["## Grounds of suspension", "",
              "The values of `suspension_ground` (rule D0.46); evidence is compulsory.", ""]
    lines += table(("ground", "meaning", "含义"), [
        (code, said["en"], said["zh"]) for code, said in load_suspension_grounds().items()
    ])
    return "\n".join(lines)


def _operation(operation: Operation, spec: dict[str, Any], table: Table) -> list[str]:
    lines = [f"### `{operation.type}` {operation.zh} ({operation.en})", ""]
    if operation.about:
        lines += [operation.about, ""]
    said = [
        f"rules {', '.join(operation.rules)}", f"class {operation.interface_class}",
        f"version {operation.version}",
        "new business" if operation.starts else "also posts for suspended and cancelled parties",
        *(["also before a merchant's start"] if operation.before_start else []),
    ]
    if "approval" in spec:
        when = spec["approval"]
        also = spec.get("approval_register")
        said.append("maker and checker" if when is True else (
            f"maker and checker when `{when}`"
            + (f" or the register's condition `{also['condition']}` holds" if also else "")
        ))
    if operation.original_types:
        said.append(f"original: {', '.join(sorted(operation.original_types))}")
    lines += ["; ".join(said) + ".", ""]
    lines += table(("field", "kind", "meaning"), [
        (
            f"`{f.name}`{'?' if f.optional else ''}"
            + (" (business key)" if f.name == operation.business_key else ""),
            f"one of {', '.join(f.of)}" if f.of else f.kind, f.about,
        )
        for f in operation.form.fields
    ])
    legs = spec.get("legs") or []
    if legs:
        lines += table(("side", "account", "amount", "component", "when"), [
            (
                "debit" if "debit" in leg else "credit",
                f"`{leg.get('debit') or leg.get('credit')}`"
                + (f" in `{leg['currency']}`" if "currency" in leg else ""),
                f"each of `{leg['each']}`" if "each" in leg else f"`{leg['amount']}`",
                leg["component"], f"`{leg['when']}`" if "when" in leg else "",
            )
            for leg in legs
        ])
    checks = spec.get("checks") or []
    if checks:
        lines += table(("refused with", "when"), [
            (f"`{check['refuse']}`", f"`{check['when']}`") for check in checks
        ])
    return lines


def accounts_page(head: Head, table: Table) -> str:
    """The chart of accounts and the kinds of holds."""
    chart = load_chart()
    lines = head(
        "Accounts and holds of the ledger", "ledger/data",
        f"Chart of accounts, version {chart.version}. Currencies: " + ", ".join(
            f"{code} with {scale} decimals" for code, scale in chart.currencies.items()
        ) + ". Every journal balances in each currency within each kind of books.",
    )
    lines += table(
        ("code", "account", "名称", "books", "kind", "side", "of", "floor (minor units)",
         "may go below by", "statements of a bank", "report cells"),
        [
            (line.code, line.name_en, line.name_zh, line.books, line.kind, line.normal_side,
             line.party, "none" if line.floor is None else line.floor,
             ", ".join(sorted(line.below_floor_by)), "yes" if line.reconciled else "",
             ", ".join(line.report))
            for line in chart.classes.values()
        ],
    )
    lines += ["## Matching with statements of banks", "",
              "The rules of reconciliation, in this order; see `ledger/data/"
              "reconciliation_rules.yml`.", ""]
    lines += table(("rule", "meaning", "含义", "by", "days apart", "lines", "accounts"), [
        (f"`{rule.code}`", rule.en, rule.zh, rule.by,
         rule.days if rule.by == "amount" else "any", rule.lines,
         ", ".join(sorted(rule.accounts)) or "all")
        for rule in load_reconciliation_rules()
    ])
    lines += ["## Kinds of holds", ""]
    lines += table(
        ("kind", "meaning", "名称", "on", "accounts", "may exceed the balance", "days",
         "released by", "rule"),
        [
            (f"`{kind.name}`", kind.en, kind.zh, kind.scope,
             ", ".join(sorted(kind.codes)) or "all", "yes" if kind.exceeds else "no",
             kind.days or "", kind.released_by, kind.rule)
            for kind in load_hold_kinds().values()
        ],
    )
    return "\n".join(lines)


def refusals_page(head: Head, table: Table) -> str:
    """The reasons in the order in which they are tested."""
    lines = head(
        "Refusals of the ledger", "ledger/domain/refusals.py",
        "The first reason that holds, in this order, is the one given. A refusal has no postings. "
        "A recorded one is an entry of the log and binds its key: the same command sent again "
        "gets the same refusal, and after the cause is gone a new key is sent. The others leave "
        "no trace.",
    )
    lines += table(
        ("order", "reason", "HTTP (single command)", "recorded", "when", "含义"),
        [
            (number, f"`{reason.code}`", reason.http_status,
             "yes" if reason.recorded else "no", reason.meaning, reason.zh)
            for number, reason in enumerate(REASONS, 1)
        ],
    )
    return "\n".join(lines)


def events_page(head: Head, table: Table) -> str:
    """The events of the outbox and their fields."""
    found = load_events()
    lines = head(
        "Events of the ledger", "ledger/data/events.yml",
        "What `GET /v1/events` gives, oldest first. Amounts are whole minor units of the event's "
        "currency; no event carries C2 or C3 data.",
    )
    lines += ["## Fields of every event", ""]
    lines += table(("field", "meaning"), [(f"`{n}`", m) for n, m in found["common"].items()])
    for name, said in found["events"].items():
        lines += [f"## `{name}` {said['zh']}", "", f"{said['en'].capitalize()}.", ""]
        lines += table(("field", "meaning"), [(f"`{n}`", m) for n, m in said["fields"].items()])
    return "\n".join(lines)


def database_page(head: Head, table: Table) -> str:
    """The tables of the ledger's own database, as their statements say."""
    lines = head(
        "Database of the ledger", "ledger/adapters/schema.py",
        f"Version {SCHEMA_VERSION}, the same on SQLite and PostgreSQL (`blob` is `bytea` there, "
        "`integer` `bigint`). Tables marked append-only refuse changes by triggers, and the log "
        "refuses a journal that does not balance. Nobody but the service writes here.",
    )
    kept = {
        **dict.fromkeys((*APPEND_ONLY, "status_query"), " (append-only)"),
        "secret": " (never changed; gone only where a newer key sealed the same value)",
    }
    tables = TABLES + QUERIES
    for statement in re.findall(
        r"create table (?:if not exists )?(\w+) \((.*?)\n?\)[^)]*?;", tables, re.S
    ):
        name, body = statement
        said = re.match(r"\s*-- (.*)", body)
        lines += [f"## `{name}`{kept.get(name, '')}", ""]
        if said:
            lines += [f"{said[1][0].upper()}{said[1][1:]}.", ""]
        db = sqlite3.connect(":memory:")
        db.executescript(tables)
        comments = dict(re.findall(r"^\s+(\w+) [^\n]*?-- (.*)$", body, re.M))
        lines += table(("column", "type", "key", "meaning"), [
            (f"`{column}`", type_, place or "", comments.get(column, ""))
            for _, column, type_, _, _, place in db.execute(f"pragma table_info({name})")
        ])
        db.close()
    return "\n".join(lines)


PAGES: dict[str, Callable[[Head, Table], str]] = {
    "ledger-events.md": events_page,
    "ledger-database.md": database_page,
    "ledger-operations.md": operations_page,
    "ledger-accounts.md": accounts_page,
    "ledger-refusals.md": refusals_page,
}
