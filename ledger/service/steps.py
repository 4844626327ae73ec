"""The five steps of a payment as rows of a status log: initiate, verify, process, notify, query.
They are read off the append-only log, so they cannot be other than what happened; a refusal ends
at its step. Rules D2.3 to D2.7."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from ledger.domain.chain import journal_id
from ledger.service.events import of_entry
from ledger.service.faults import RequestRefused

if TYPE_CHECKING:
    from ledger.service.ledger import Ledger

#: Reasons that end a payment at its verification.
_UNVERIFIED = ("authorisation_missing", "authorisation_unknown", "authorisation_differs")


def status_log(ledger: Ledger, idempotency_key: str) -> list[dict[str, Any]]:
    """Rows of one command: step, time, actor, result, next step (None: it ends here).

    :raises RequestRefused: 404 `key_unknown`
    """
    row = ledger.store.find_by_key([idempotency_key]).get(idempotency_key)
    if row is None:
        raise RequestRefused("key_unknown", "no entry has this key", 404)
    return [
        {"step": step, "time": row[9], "actor": actor, "result": result, "next": following}
        for step, actor, result, following in _steps(row)
    ]


def _steps(row: tuple) -> Iterator[tuple[str, str, str, str | None]]:
    content = orjson.loads(row[12])
    reason = orjson.loads(row[14])["reason"] if row[4] == "refused" else None
    reference = content.get("authorisation")
    yield "initiate", row[7], "accepted", "verify"
    if reason in _UNVERIFIED:
        yield "verify", "system:ledger", reason, None
        return
    yield "verify", "system:ledger", reference or "not needed", "process"
    if reason is not None or row[4] == "pending":
        yield "process", "system:ledger", reason or "pending", None
        return
    journal = "no movement" if row[1] is None else journal_id(row[1])
    yield "process", "system:ledger", journal, "notify"
    for event in of_entry(row):
        if event["event"] == "result":
            yield "notify", "system:ledger", f"{event['to']} {event['party_id']}", "query"
