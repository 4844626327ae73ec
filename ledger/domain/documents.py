"""What the handlers of registers share: their types, a change not allowed, a document put."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ledger.domain.operations import Context, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

Values = Mapping[str, Any]
Handler = Callable[[State, Values, Context], Plan | Refusal]


def differs(detail: str, field: str | None = None) -> Refusal:
    """The register does not allow the change."""
    return Refusal("register_differs", detail, field)


def put(table: str, key: str, document: Any) -> Plan:
    """One document of a register; None drops it."""
    return Plan([], effects=[["put", table, key, document]])
