"""Sensitive (C2) values for the eyes of those who need them: a person who may review what names
them. Each read, and each try, is an entry of the log with the person's signed request beside it,
written before the value is handed out. Rules D0.42, D0.54, D2.17."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.actors import LEDGER, Actor
from ledger.domain.refusals import BY_CODE
from ledger.service.faults import RequestRefused

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

_OF_DESTINATION = ("bound_account", "bound_name")


def opened(
    ledger: Ledger, document: Mapping[str, Any], names: Iterable[str]
) -> dict[str, Any]:
    """The values behind the commitments that a document has under these names.

    :raises PaylakeError: when one does not open with the home's keys
    """
    found: dict[str, Any] = {}
    for name in names:
        commitment = document.get(name)
        if isinstance(commitment, Mapping):
            found[name] = opened(ledger, commitment, commitment)
            continue
        sealed = None if commitment is None else ledger.store.secret(commitment)
        if sealed is not None:
            found[name] = ledger.vault.reveal(commitment, *sealed)
    return found


def destination(
    ledger: Ledger, actor: Actor, evidence: str, destination_id: str
) -> dict[str, Any]:
    """A bound account with its number and name.

    :raises RequestRefused: `no_right`, `destination_unknown`
    """
    _recorded(ledger, actor, evidence, "destination", destination_id, "destinations")
    bound = ledger.state.get("destination", destination_id)
    return {
        "destination_id": destination_id, "party_id": bound["party_id"],
        "bank_code": bound["bank_code"], **opened(ledger, bound, _OF_DESTINATION),
    }


def waiting(ledger: Ledger, actor: Actor, evidence: str, sequence: str) -> dict[str, Any]:
    """The sensitive values of a command that waits, so that its checker sees what the digest
    stands for; without any, there are none.

    :param sequence: its decimal digits
    :raises RequestRefused: `no_right`, `pending_unknown`
    """
    document = ledger.state.get("pending", sequence)
    if document is None:
        raise RequestRefused(
            "pending_unknown", f"no entry {sequence} waits for approval", 404
        )
    operation = ledger.operations.by_type[document["type"]]
    _recorded(ledger, actor, evidence, "waiting", sequence, operation.module)
    return {"sequence": int(sequence), "type": operation.type, "values": opened(
        ledger, orjson.loads(document["content"]), sorted(operation.form.sensitive)
    )}


def of_instructions(ledger: Ledger, day: str, asked_by: str) -> None:
    """Record that the ledger writes the payees of a closed date into files for the banks.

    :param asked_by: name of the sender that asked for them
    :raises RequestRefused: `date_open`, or why nothing is recorded now
    """
    if ledger.head.closed is None or day > ledger.head.closed:
        raise RequestRefused("date_open", f"{day} is not closed", 404)
    _recorded(ledger, LEDGER, "", "instructions", day, "settlement", asked_by)


def _recorded(
    ledger: Ledger, actor: Actor, evidence: str, interface: str, asked: str, module: str,
    asked_by: str | None = None,
) -> None:
    """The entry of a read.

    :raises RequestRefused: when the person may not, or there is nothing of that name
    """
    command = {
        "type": "sensitive_read", "idempotency_key": f"read-{secrets.token_hex(16)}",
        "interface": interface, "asked": asked, "module": module,
    }
    if asked_by is not None:
        command["asked_by"] = asked_by
    if ledger.clock.simulated:
        command["occurred_at"] = ledger.clock.now() or ""
    result = ledger.record(command, actor, evidence)
    if result["status"] == "refused":
        raise RequestRefused(
            result["reason"], result["detail"], BY_CODE[result["reason"]].http_status
        )
