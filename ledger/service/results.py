"""Answers to commands: posted, pending, refused, or the first answer again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.chain import journal_id
from ledger.domain.refusals import Refusal
from ledger.service.ports import Secret, Vault

if TYPE_CHECKING:
    from ledger.domain.actors import Actor
    from ledger.service.command import Command
    from ledger.service.ledger import Ledger


def posted(key: str | None, row: tuple) -> dict[str, Any]:
    """The result of an entry that stands in the log."""
    return {
        "idempotency_key": key,
        "status": row[4],
        "replayed": False,
        "journal_id": None if row[1] is None else journal_id(row[1]),
        "sequence": row[0],
        "booking_date": row[10],
        "booked_at": row[9],
    }


def refused(key: Any, refusal: Refusal) -> dict[str, Any]:
    """The result of a refused command. A key that is not a short text is not shown back."""
    result = {
        "idempotency_key": key if isinstance(key, str) and len(key) <= 64 else None,
        "status": "refused",
        "replayed": False,
        "reason": refusal.code,
        "detail": refusal.detail,
    }
    if refusal.field is not None:
        result["field"] = refusal.field
    return result


def replay(ledger: Ledger, actor: Actor, command: Command, row: tuple) -> dict[str, Any]:
    """The answer to a key seen before: the first result, or which field differs; to a caller of
    its own keys alone."""
    if actor.kind == "caller" and row[7] != actor.name:
        return refused(
            command.key, Refusal("key_not_yours", "the key is another sender's")
        )
    differs = _difference(ledger, command, row)
    if differs is not None:
        return refused(
            command.key,
            Refusal("idempotency_key_reused", f"the first command had another {differs}",
                    differs),
        )
    if row[4] == "refused":
        why = orjson.loads(row[14])
        result = refused(command.key, Refusal(why["reason"], why["detail"], why["field"]))
    else:
        result = posted(command.key, row)
    result["replayed"] = True
    return result


def _difference(ledger: Ledger, command: Command, row: tuple) -> str | None:
    """Name of the first field in which a command differs from the first with its key."""
    type_, content = row[2], row[12]
    if row[15]:  # the entry of an approval carries what was approved; the command stands beside
        type_, first = "approve", orjson.loads(row[15])
        first.pop("maker")
    else:
        first = orjson.loads(content)
    if command.operation.type != type_:
        return "type"
    sensitive = command.operation.form.sensitive
    for name in (*command.operation.form.order, *first):
        now, then = command.values.get(name), first.get(name)
        if name in sensitive and now is not None:
            now = committed(ledger.vault, command.key, name, now)[0]
        if now != then:
            return name
    return None


def committed(vault: Vault, key: str, name: str, value: Any) -> tuple[Any, list[Secret]]:
    """What stands in the log for a sensitive value, a commitment or one for each of its texts; and
    what is kept sealed.

    :param key: of the command; with the field's name it decides the salt
    """
    if isinstance(value, str):
        secret = vault.commit(key, name, value)
        return secret[0], [secret]
    made = {entry: vault.commit(key, f"{name}.{entry}", text) for entry, text in value.items()}
    return {entry: secret[0] for entry, secret in made.items()}, list(made.values())
