"""The clock, and what belongs to a business date: run, close, files, export."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict
from datetime import datetime

from fastapi import Request
from fastapi.responses import Response

from ledger.adapters.export import export_day
from ledger.adapters.instructions import write_instructions
from ledger.adapters.statement_files import write_statements
from ledger.domain.fields import parse_moment
from ledger.entrypoints.bodies import answer, day_of, parsed, raw_body
from ledger.entrypoints.openapi import operation
from ledger.entrypoints.routes.room import Room
from ledger.service import queries, revealing
from ledger.service.day_close import DayClose
from ledger.service.day_run import DayRun
from ledger.service.faults import RequestRefused

log = logging.getLogger("ledger")


def add(room: Room) -> None:
    """Add the paths."""
    app, settings, ledger = room.app, room.settings, room.ledger
    identity, on_ledger = room.identity, room.on_ledger
    closing = asyncio.Lock()

    @app.get("/v1/clock", summary="The ledger's clock", **operation("ClockSetting"))
    async def get_clock(request: Request) -> Response:
        identity.sender(request, "read")
        return answer({"now": await on_ledger(ledger.clock.now)})

    @app.put(
        "/v1/clock", summary="Set the clock (simulated service only)",
        **operation("ClockSetting", 400, 409, 413, 422, body="ClockSetting"),
    )
    async def put_clock(request: Request) -> Response:
        raw = await raw_body(request)
        identity.sender(request, "operate", raw)
        document = parsed(raw, "now")
        return answer({"now": await on_ledger(ledger.set_clock, document["now"])})

    @app.post(
        "/v1/days/{day}/close", summary="Close a business date",
        **operation("Head", 404, 409),
    )
    async def close_day(day: str, request: Request) -> Response:
        identity.sender(request, "operate", await raw_body(request))
        wanted = day_of(day)
        async with closing:  # one at a time: each begins with the head of the one before
            close = DayClose(ledger, wanted.isoformat())
            head = await on_ledger(close.begin)
            if head is None:
                await asyncio.to_thread(close.read_beside)
                head = await on_ledger(close.finish)
        if not head["replayed"]:
            log.info(
                "closed %s at sequence %d", wanted, head["chain_sequence"], extra={
                    "event": "day_closed", "business_date": day,
                    "sequence": head["chain_sequence"],
                },
            )
        return answer(head)

    @app.post(
        "/v1/days/{day}/run",
        summary="The ledger's own bookings of a date: penalties, shortfalls, payouts",
        **operation("DayRun", 404, 409),
    )
    async def run_day(day: str, request: Request) -> Response:
        identity.sender(request, "operate", await raw_body(request))
        wanted = day_of(day)
        ran = await on_ledger(DayRun(ledger, wanted).run)
        return answer(asdict(ran))

    @app.post(
        "/v1/days/{day}/instructions",
        summary="Write a closed date's files for the banks of the three settlement modes",
        **operation("Instructions", 404, 409),
    )
    async def instructions(day: str, request: Request) -> Response:
        actor, _ = identity.sender(request, "operate", await raw_body(request))
        wanted = day_of(day)
        await on_ledger(revealing.of_instructions, ledger, wanted.isoformat(), actor.name)
        written = await asyncio.to_thread(write_instructions, settings, wanted)
        return answer({"files": [
            {"path": str(file.path), "rows": file.rows, "totals_minor": file.totals}
            for file in written
        ]})

    @app.post(
        "/v1/days/{day}/statements",
        summary="Write a closed date's balances of every account and fees by item as files",
        **operation("StatementFiles", 404, 409),
    )
    async def statement_files(day: str, request: Request) -> Response:
        identity.sender(request, "operate", await raw_body(request))
        written = await asyncio.to_thread(write_statements, settings, day_of(day))
        return answer({
            "files": [{"path": str(file.path), "rows": file.rows} for file in written]
        })

    @app.post("/v1/heads", summary="Sign the end of the log now", **operation("Anchor", 409))
    async def anchor(request: Request) -> Response:
        identity.sender(request, "operate", await raw_body(request))
        return answer(await on_ledger(ledger.anchor))

    @app.get("/v1/days/{day}", summary="The head of a closed date", **operation("Head", 404))
    async def get_day(day: str, request: Request) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(queries.head, ledger, day_of(day)))

    @app.post(
        "/v1/days/{day}/export", summary="Write the date's feeds into the inbox",
        **operation("Exported", 400, 404, 409, 413, 422, body="ExportOrder"),
    )
    async def export(day: str, request: Request) -> Response:
        raw = await raw_body(request)
        identity.sender(request, "operate", raw)
        wanted = day_of(day)
        document = parsed(raw, "sent_at", optional=("sequence",))
        sequence = document.get("sequence", 1)
        if type(sequence) is not int or not 1 <= sequence <= 999:
            raise RequestRefused("invalid_field", "sequence is a whole number from 1 to 999")
        if parse_moment(document["sent_at"]) is None:
            raise RequestRefused(
                "invalid_field", "sent_at is an ISO 8601 time with zone and whole seconds"
            )
        sent_at = datetime.fromisoformat(document["sent_at"])
        done = await asyncio.to_thread(export_day, settings, wanted, sequence, sent_at=sent_at)
        log.info(
            "exported %s: %d legs", wanted, done.journal_rows,
            extra={"event": "day_exported", "business_date": day},
        )
        return answer({
            name: str(value) if not isinstance(value, int) else value
            for name, value in asdict(done).items()
        })
