"""Statements of banks against the ledger: sending one, reading what came of it and what is open."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import Response

from ledger.adapters.data_files import load_reconciliation_rules
from ledger.adapters.reconciliation_files import ReconciliationFiles
from ledger.domain.bank_statement import Statement, StatementFault, statement_of
from ledger.domain.reconciling import CLASSES
from ledger.entrypoints.bodies import (
    BODY_LIMIT_BYTES,
    answer,
    limit_of,
    list_in,
    parsed,
    raw_body,
    whole_of,
)
from ledger.entrypoints.openapi import operation
from ledger.entrypoints.routes.room import Room
from ledger.service import reconciliation_views as views
from ledger.service.faults import RequestRefused
from ledger.service.reconciliation_results import shown
from ledger.service.reconciling import Reconciling

log = logging.getLogger("ledger")
#: Room for the most lines that a statement may have; for those who are known here alone.
STATEMENT_BYTES = 40_000_000
_FIELDS = ("account_id", "currency_code", "first_date", "last_date", "opening_minor",
           "closing_minor", "lines")


def _statement(raw: bytes) -> tuple[Statement, bool]:
    """The statement of a body, and whether nothing is to be recorded.

    :raises RequestRefused: for what is wrong with it, by name
    """
    document = parsed(raw, *_FIELDS, optional=("dry_run",))
    said: dict[str, Any] = {name: document[name] for name in _FIELDS}
    lines, dry_run = list_in(document, "lines"), document.get("dry_run", False)
    if type(dry_run) is not bool:
        raise RequestRefused("invalid_field", "dry_run is true or false")
    for name in ("account_id", "currency_code"):
        if not isinstance(said[name], str) or not said[name].isprintable() or (
            not 0 < len(said[name]) <= 64
        ):
            raise RequestRefused("invalid_field", f"{name} is a text of up to 64 characters")
    try:
        return statement_of(
            said["account_id"], said["currency_code"], said["first_date"], said["last_date"],
            said["opening_minor"], said["closing_minor"], lines,
        ), dry_run
    except StatementFault as fault:
        raise RequestRefused(fault.reason, fault.detail) from None


def add(room: Room) -> None:
    """Add the paths."""
    app, ledger, on_ledger, identity = room.app, room.ledger, room.on_ledger, room.identity
    files, rules = ReconciliationFiles(room.settings), load_reconciliation_rules()
    one = asyncio.Lock()

    @app.post(
        "/v1/reconciliations", summary="Hold an account against a bank's statement",
        **operation("Reconciliation", 400, 404, 409, 413, 422, body="StatementOrder"),
    )
    async def reconcile(request: Request) -> Response:
        known = identity.claimed(request)[1] is not None
        raw = await raw_body(request, STATEMENT_BYTES if known else BODY_LIMIT_BYTES)
        actor, evidence = identity.sender(request, "reconcile", raw)
        statement, dry_run = await asyncio.to_thread(_statement, raw)
        run = Reconciling(
            ledger, statement, rules, files.keep, actor, evidence, dry_run=dry_run
        )
        async with one:  # each goes on from the one before
            while True:
                done = await on_ledger(run.begin)
                if done is None:
                    await asyncio.to_thread(run.read_beside)
                    done = await on_ledger(run.finish)
                if done is not None:
                    break
        if not done["replayed"] and not dry_run:
            log.info(
                "reconciled %s: %d open items", done["reconciliation_id"], done["open_items"],
                extra={"event": "reconciled", "open_items": done["open_items"]},
            )
        return answer(done)

    @app.get(
        "/v1/reconciliations", summary="Reconciliations in the order of their entries",
        **operation("Reconciliations", 422),
    )
    async def listed(
        request: Request, account_id: str | None = None, after: str | None = None,
        limit: str = "100",
    ) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(
            views.reconciliations, ledger, account_id, after, limit_of(limit)
        ))

    @app.get(
        "/v1/reconciliations/{reconciliation_id}",
        summary="A reconciliation with its postings and lines, of one class or of all",
        **operation("ReconciliationRows", 404, 409, 422),
    )
    async def rows(
        reconciliation_id: str, request: Request,
        class_: Annotated[str | None, Query(alias="class")] = None,
        after: str | None = None, limit: str = "100",
    ) -> Response:
        identity.sender(request, "read")
        size, start = limit_of(limit), whole_of("after", after) or 0
        if class_ is not None and class_ not in CLASSES:
            raise RequestRefused("invalid_field", f"class is one of {', '.join(CLASSES)}")
        done = await on_ledger(partial(shown, ledger, reconciliation_id, replayed=False))

        def page() -> dict[str, Any]:
            with files.rows(
                done["last_date"], reconciliation_id, done["items_sm3"], start
            ) as found:
                return views.rows_page(found, class_, size)

        return answer({"reconciliation": done, **await asyncio.to_thread(page)})

    @app.get(
        "/v1/open-items", summary="What does not agree with the banks now, the oldest first",
        **operation("OpenItems", 422),
    )
    async def open_now(
        request: Request, account_id: str | None = None, after: str | None = None,
        limit: str = "100",
    ) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(
            views.open_now, ledger, account_id, after, limit_of(limit)
        ))
