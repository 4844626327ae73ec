"""The five steps of a payment as rows of a status log: initiate, verify, process, notify, query.

The first four are read off the append-only log, so they cannot be other than what happened: a
refusal ends at its step, a command that waited has its decision, and what was done to it later
(the result of a withdrawal, a refund, a dispute) follows. Queries are no entries of the log; they
stand in an append-only table of their own (`queried.py`). Rules D2.3 to D2.7.
"""

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
_LEDGER = "system:ledger"
#: Step, time, actor, result, next step (None: it ends here).
Step = tuple[str, str, str, str, str | None]


def status_log(ledger: Ledger, idempotency_key: str) -> list[dict[str, Any]]:
    """Rows of one command: step, time, actor, result, next step (None: it ends here).

    :raises RequestRefused: 404 `key_unknown`
    """
    return status(ledger, idempotency_key)["steps"]


def status(ledger: Ledger, idempotency_key: str, asked_by: str | None = None) -> dict[str, Any]:
    """Amount, status and steps of one command.

    :param asked_by: who asks; that is the last step then
    :raises RequestRefused: 404 `key_unknown`
    """
    row = ledger.store.find_by_key([idempotency_key]).get(idempotency_key)
    if row is None:
        raise RequestRefused("key_unknown", "no entry has this key", 404)
    if row[15]:  # by its checker's key: the command began as what waited
        waited = orjson.loads(row[15])["pending"]
        row = next(iter(ledger.store.entries(waited, waited)))
    decision = ledger.store.decision(row[0]) if row[4] == "pending" else None
    became = row[4]
    if decision is not None:
        became = "rejected" if decision[2] == "reject" else "posted"
    steps = [*_steps(ledger, row, decision)]
    if asked_by is not None:
        ledger.queried.note(row[5], asked_by, ledger.clock.now() or row[9], became)
    steps += [
        ("query", moment, actor, told, None)
        for moment, actor, told in ledger.queried.of(row[5])
    ]
    content = orjson.loads(row[12])
    return {
        "idempotency_key": idempotency_key, "type": row[2], "status": became,
        "amount_minor": content.get("amount_minor"),
        "currency_code": content.get("currency_code"),
        "steps": [
            {"step": step, "time": time, "actor": actor, "result": result, "next": following}
            for step, time, actor, result, following in steps
        ],
    }


def _steps(ledger: Ledger, row: tuple, decision: tuple | None) -> Iterator[Step]:
    yield "initiate", _sent_at(ledger, row), row[7], "accepted", "verify"
    reason = orjson.loads(row[14])["reason"] if row[4] == "refused" else None
    verified = _verified(ledger, row)
    if reason in _UNVERIFIED:
        yield "verify", row[9], _LEDGER, reason, None
        return
    yield "verify", *verified, "process"
    if reason is not None:
        yield "process", row[9], _LEDGER, reason, None
        return
    if row[4] == "pending":
        yield "process", row[9], _LEDGER, "pending", "process"
        if decision is None:
            return
        if decision[2] == "reject":
            why = orjson.loads(decision[12])["reason"]
            yield "process", decision[9], decision[7], f"rejected: {why}", None
            return
        yield "process", decision[9], decision[7], _journal(decision), "notify"
        row = decision
    else:
        yield "process", row[9], _LEDGER, _journal(row), "notify"
    yield from _notices(row)
    if row[6] is not None:
        for later in ledger.store.later_of(row[6]):
            yield "process", later[9], later[7], _later(later), "notify"
            yield from _notices(later)


def _sent_at(ledger: Ledger, row: tuple) -> str:
    """When the sender signed its request; without a signature, and in a simulated ledger, whose
    time is another, when it was booked."""
    if row[8] and not ledger.clock.simulated:
        stamp = orjson.loads(row[8]).get("timestamp")
        if isinstance(stamp, str):
            return min(stamp, row[9])
    return row[9]


def _verified(ledger: Ledger, row: tuple) -> tuple[str, str, str]:
    """Time, actor and reference of the authorisation that was given, if one was needed."""
    reference = orjson.loads(row[12]).get("authorisation")
    if reference is None:
        return row[9], _LEDGER, "not needed"
    given = ledger.store.find_by_business_key([reference]).get(reference)
    if given is None or given[2] != "authorise":  # a mandate, which was given once for many
        return row[9], _LEDGER, reference
    return given[9], given[7], reference


def _journal(row: tuple) -> str:
    return "no movement" if row[1] is None else journal_id(row[1])


def _later(row: tuple) -> str:
    """What a later entry did: its type, its number (or key), what came out, its journal."""
    said = orjson.loads(row[12]).get("result")
    parts = [row[2], row[6] or row[5], said, "pending" if row[4] == "pending" else _journal(row)]
    return " ".join(part for part in parts if isinstance(part, str))


def _notices(row: tuple) -> Iterator[Step]:
    if row[4] != "posted":
        return
    for event in of_entry(row):
        if event["event"] == "result":
            yield "notify", row[9], _LEDGER, f"{event['to']} {event['party_id']}", "query"
