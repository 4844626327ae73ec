"""What the house alone reads: trees of accounts, what waits, journals, the log, the outbox."""

from __future__ import annotations

import re
from collections.abc import Generator
from itertools import chain

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ledger.adapters.log_export import stream
from ledger.entrypoints.bodies import answer, day_of, limit_of, whole_of
from ledger.entrypoints.openapi import operation
from ledger.entrypoints.routes.room import Room
from ledger.service import queries
from ledger.service.events import events
from ledger.service.faults import RequestRefused


class LogLines(StreamingResponse):
    """The log's lines. Their connection ends with the answer, also with one that nobody takes."""

    media_type = "application/x-ndjson"

    def __init__(self, first: bytes, parts: Generator[bytes, None, None]) -> None:
        super().__init__(chain([first], parts))
        self.parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # in a thread, as they were read: PostgreSQL's connection has a loop of its own
            await run_in_threadpool(self.parts.close)


_EVENT_KEY = re.compile(r"[0-9]{1,18}/[0-9]{1,6}\Z")


def add(room: Room) -> None:
    """Add the paths."""
    app, settings, ledger = room.app, room.settings, room.ledger
    identity, on_ledger = room.identity, room.on_ledger

    @app.get(
        "/v1/accounts/{account_id}/tree", summary="An account with all accounts below it",
        **operation("Tree", 404, 422),
    )
    async def tree(
        account_id: str, request: Request, currency_code: str | None = None
    ) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(queries.tree, ledger, account_id, currency_code))

    @app.get(
        "/v1/positions", summary="What is open of exchanges, by the two currencies",
        **operation("Positions", 422),
    )
    async def positions(
        request: Request, after: str | None = None, limit: str = "1000"
    ) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(queries.positions, ledger, after, limit_of(limit)))

    @app.get(
        "/v1/pending", summary="What waits for a checker, with the digests to sign",
        **operation("Pending", 422),
    )
    async def pending(request: Request, after: str = "0", limit: str = "1000") -> Response:
        identity.sender(request, "read")
        start, length = whole_of("after", after) or 0, limit_of(limit)
        return answer(await on_ledger(queries.waiting, ledger, start, length))

    @app.get(
        "/v1/deadlines", summary="What is open, by the day it is due, as seen on a date",
        **operation("Deadlines", 404, 409, 422),
    )
    async def due(
        request: Request, date: str | None = None, after: str | None = None, limit: str = "1000"
    ) -> Response:
        identity.sender(request, "read")
        length = limit_of(limit)
        day = day_of(date) if date is not None else await on_ledger(queries.today, ledger)
        return answer(await on_ledger(queries.due, ledger, day, after, length))

    @app.get("/v1/journals/{journal_id}", summary="One journal", **operation("Journal", 404))
    async def journal(journal_id: str, request: Request) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(queries.journal, ledger, journal_id))

    @app.get(
        "/v1/journals", summary="Journals in chain order, by date or business key",
        **operation("Journals", 422),
    )
    async def journals(
        request: Request, booking_date: str | None = None, business_key: str | None = None,
        after: str | None = None, limit: str = "100",
    ) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(
            queries.journals, ledger, booking_date, business_key, after, limit_of(limit)
        ))

    @app.get(
        "/v1/log", summary="The log itself, an entry a line, as a stream",
        response_class=StreamingResponse,  # else JSON is said to be an answer, too
        **operation("LogLine", 422, media_type="application/x-ndjson"),
    )
    async def log_lines(request: Request, after: str = "0") -> Response:
        identity.sender(request, "operate")
        parts = stream(settings, whole_of("after", after) or 0)
        first = await run_in_threadpool(next, parts, b"")  # a fault of the storage has its answer
        return LogLines(first, parts)

    @app.get(
        "/v1/events", summary="What happened, to be taken exactly once: the outbox",
        **operation("Events", 422),
    )
    async def outbox(request: Request, after: str | None = None, limit: str = "1000") -> Response:
        identity.sender(request, "read")
        if after is not None and not _EVENT_KEY.match(after):
            raise RequestRefused("invalid_field", "after is an event's key, like 17/2")
        return answer(await on_ledger(events, ledger.store, after, limit_of(limit)))
