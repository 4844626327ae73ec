"""A command of valid form, before anything of the ledger's state is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.domain.actors import LEDGERS_OWN
from ledger.domain.operations import Operation
from ledger.domain.refusals import Refusal

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger


class Command:
    """A command of valid form: its operation, key, business key (which no other entry may carry),
    values (key left out), whether linked."""

    __slots__ = ("business_key", "key", "linked", "operation", "values")

    def __init__(self, operation: Operation, values: dict[str, Any]) -> None:
        self.operation = operation
        self.key: str = values.pop("idempotency_key")
        self.linked = bool(values.pop("linked", False))
        self.values = values
        name = operation.business_key
        self.business_key: str | None = None if name is None else values[name]


def read(ledger: Ledger, raw: Any, *, own: bool) -> Command | Refusal:
    """Check the form of one command.

    :param own: the ledger itself records it; whoever sends one may not give it such a type
    """
    if not isinstance(raw, dict):
        return Refusal("not_an_object", "a command is a JSON object")
    by_type = ledger.operations.by_type
    type_ = raw.get("type")
    operation = by_type.get(type_) if isinstance(type_, str) else None
    if operation is None:
        sent = [name for name, of in by_type.items() if of.module not in LEDGERS_OWN]
        return Refusal("unknown_type", "type must be one of: " + ", ".join(sent), "type")
    if not own and operation.module in LEDGERS_OWN:
        return Refusal("ledger_only", f"the ledger itself records a {type_}", "type")
    values = operation.form.parse(raw, ledger.clock.simulated)
    return values if isinstance(values, Refusal) else Command(operation, values)
