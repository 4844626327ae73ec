"""Reading the ledger's data files: chart of accounts, fields, operations, kinds of holds, grounds
of suspension, events of the outbox, rules of reconciliation."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ledger.compiled import made_of
from ledger.domain.chart import Chart
from ledger.domain.holds import HoldKind, hold_kinds
from ledger.domain.operations import Operations
from ledger.domain.reconciling import Rule, rules_of
from ledger.domain.templates import compiled
from paylake.errors import PermanentFailure

DATA = Path(__file__).resolve().parents[1] / "data"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _document(path: Path) -> Any:
    return yaml.load(path.read_text("utf-8"), Loader=_LOADER)


def _named(path: Path, error: Exception) -> PermanentFailure:
    return PermanentFailure(
        f"the ledger's data cannot be used: {error}", "correct the file", where=str(path)
    )


_FAULTS = (OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError)


@cache
def load_chart(path: Path = DATA / "chart_of_accounts.yml") -> Chart:
    """:raises PermanentFailure: when the file is not a chart; the message says which line."""
    try:
        return Chart.from_document(_document(path))
    except _FAULTS as error:
        raise _named(path, error) from error


@cache
def load_operations(folder: Path = DATA) -> Operations:
    """All operation templates, checked and compiled.

    :raises PermanentFailure: naming file, operation and what is wrong
    """
    try:
        return compiled(
            _document(folder / "fields.yml"),
            {path.name: _document(path) for path in sorted((folder / "operations").glob("*.yml"))},
            made_of,
        )
    except _FAULTS as error:
        raise _named(folder, error) from error


@cache
def load_suspension_grounds(
    path: Path = DATA / "suspension_grounds.yml",
) -> dict[str, dict[str, str]]:
    """Words by code and language of the twelve grounds of rule D0.46.

    :raises PermanentFailure: when the file is not what it should be
    """
    try:
        document = _document(path)
        if document["format"] != "paylake-grounds/1":
            raise ValueError(f"format is {document['format']!r}")
        return {code: {"zh": said["zh"], "en": said["en"]}
                for code, said in document["grounds"].items()}
    except _FAULTS as error:
        raise _named(path, error) from error


@cache
def load_events(path: Path = DATA / "events.yml") -> dict[str, Any]:
    """What the events of the outbox are: `common` fields, and `events` by name.

    :raises PermanentFailure: when the file is not what it should be
    """
    try:
        document = _document(path)
        if document["format"] != "paylake-events/1":
            raise ValueError(f"format is {document['format']!r}")
        for name, said in document["events"].items():
            if not {"zh", "en", "fields"} <= said.keys():
                raise ValueError(f"event {name} has no zh, en or fields")
        return {"common": document["common"], "events": document["events"]}
    except _FAULTS as error:
        raise _named(path, error) from error


@cache
def load_hold_kinds(path: Path = DATA / "hold_kinds.yml") -> dict[str, HoldKind]:
    """:raises PermanentFailure: when the file is not what it should be"""
    try:
        return hold_kinds(_document(path))
    except _FAULTS as error:
        raise _named(path, error) from error


@cache
def load_reconciliation_rules(
    path: Path = DATA / "reconciliation_rules.yml",
) -> tuple[Rule, ...]:
    """:raises PermanentFailure: when the file is not what it should be"""
    try:
        return rules_of(_document(path))
    except _FAULTS as error:
        raise _named(path, error) from error
