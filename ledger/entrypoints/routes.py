"""The paths of the HTTP service."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from ledger.adapters.export import export_day
from ledger.adapters.instructions import write_instructions
from ledger.adapters.log_export import stream
from ledger.domain.actors import LEDGER, Actor
from ledger.domain.fields import parse_moment
from ledger.domain.refusals import BY_CODE
from ledger.entrypoints.bodies import (
    answer,
    day_of,
    limit_of,
    list_in,
    parsed,
    raw_body,
    whole_of,
)
from ledger.entrypoints.gathering import Gathering
from ledger.entrypoints.identity import Identity
from ledger.entrypoints.metrics import Metrics
from ledger.entrypoints.openapi import operation
from ledger.service import queries
from ledger.service.day_run import DayRun
from ledger.service.events import events
from ledger.service.faults import RequestRefused
from ledger.service.ledger import Job, Ledger
from ledger.service.statements import Asked, statement
from paylake.dates import next_working_day
from paylake.settings import Settings

log = logging.getLogger("ledger")
_EVENT_KEY = re.compile(r"[0-9]{1,18}/[0-9]{1,6}\Z")
OnLedger = Callable[..., Awaitable[Any]]


def add_routes(
    app: FastAPI, settings: Settings, ledger: Ledger, identity: Identity, metrics: Metrics,
    on_ledger: OnLedger,
) -> None:
    """Add every path to the application."""
    _health(app, ledger, identity, metrics, on_ledger)
    _commands(app, ledger, identity, metrics, on_ledger)
    _sessions(app, ledger, identity, on_ledger)
    _days(app, settings, ledger, identity, on_ledger)
    _reads(app, ledger, identity, on_ledger)
    _streams(app, settings, ledger, identity, on_ledger)


def _count(identity: Identity, ledger: Ledger, actor: Actor, commands: list[Any]) -> None:
    """Hold a caller to its rates, by the interface class of each command."""
    if actor.kind != "caller":
        return
    classes: dict[str, int] = {}
    for command in commands:
        type_ = command.get("type") if isinstance(command, dict) else None
        known = ledger.operations.by_type.get(type_) if isinstance(type_, str) else None
        name = known.interface_class if known is not None else "transaction"
        classes[name] = classes.get(name, 0) + 1
    for name, number in classes.items():
        identity.count(actor, name, number)


def _health(
    app: FastAPI, ledger: Ledger, identity: Identity, metrics: Metrics, on_ledger: OnLedger
) -> None:
    @app.get("/metrics", include_in_schema=False)
    async def prometheus(request: Request) -> Response:
        identity.sender(request, "read")
        return metrics.text()

    @app.get("/healthz", summary="Alive and ready", **operation("Health"))
    async def healthz() -> Response:
        return answer(await on_ledger(queries.health, ledger))


def _commands(
    app: FastAPI, ledger: Ledger, identity: Identity, metrics: Metrics, on_ledger: OnLedger
) -> None:
    gathering = Gathering(ledger, on_ledger)

    @app.post(
        "/v1/commands", summary="Post one command",
        **operation(
            "Result", 400, 413, 429, body="Command",
            also={201: "Result", 403: "Forbidden", 409: "Result", 422: "Result"},
        ),
    )
    async def one_command(request: Request) -> Response:
        raw = await raw_body(request)
        actor, evidence = identity.sender(request, "post", raw)
        command = parsed(raw)
        _count(identity, ledger, actor, [command])
        (result,) = await gathering.post(Job([command], actor, evidence))
        metrics.count([command], [result])
        if result["status"] != "refused":
            return answer(result, 200 if result["replayed"] else 201)
        return answer(result, BY_CODE[result["reason"]].http_status)

    @app.post(
        "/v1/batches", summary="Post up to 1,000 commands in one transaction",
        **operation("Results", 400, 413, 422, 429, body="Commands"),
    )
    async def batch(request: Request) -> Response:
        raw = await raw_body(request)
        actor, evidence = identity.sender(request, "post", raw)
        commands = list_in(parsed(raw, "commands"), "commands")
        _count(identity, ledger, actor, commands)
        results = await gathering.post(Job(commands, actor, evidence))
        metrics.count(commands, results)
        return answer({"results": results})

    @app.post(
        "/v1/dry-runs", summary="What a batch would give; nothing is written",
        **operation("Results", 400, 413, 422, 429, body="Commands"),
    )
    async def dry_run(request: Request) -> Response:
        raw = await raw_body(request)
        actor, _ = identity.sender(request, "post", raw)
        commands = list_in(parsed(raw, "commands"), "commands")
        _count(identity, ledger, actor, commands)
        return answer({"results": await on_ledger(ledger.dry_run, commands, actor)})

    @app.post(
        "/v1/accounts", summary="Open accounts",
        **operation("AccountResults", 400, 409, 413, 422, body="Accounts"),
    )
    async def open_accounts(request: Request) -> Response:
        raw = await raw_body(request)
        actor, _ = identity.sender(request, "post", raw)
        if actor.kind == "caller":
            raise RequestRefused("forbidden", "a caller does not open accounts", 403)
        accounts = list_in(parsed(raw, "accounts"), "accounts")
        return answer({"results": await on_ledger(ledger.open_accounts, accounts, actor)})


def _sessions(app: FastAPI, ledger: Ledger, identity: Identity, on_ledger: OnLedger) -> None:
    sessions = identity.sessions

    def timed(command: dict[str, Any]) -> dict[str, Any]:
        if ledger.clock.simulated:
            command["occurred_at"] = ledger.clock.now()
        return command

    @app.post(
        "/v1/sessions", summary="Open a session: later requests carry an HMAC-SM3",
        **operation("SessionOpened", 400, 413, 422, body="SessionOrder", status=201),
    )
    async def open_session(request: Request) -> Response:
        raw = await raw_body(request)
        actor, evidence = identity.sender(request, "post", raw)
        session_id, half, key = sessions.offer(actor, parsed(raw, "key_half")["key_half"])
        command = timed({
            "type": "session_open", "idempotency_key": session_id, "session_id": session_id,
            "caller_id": actor.id,
        })
        (result,) = await on_ledger(ledger.apply, [command], LEDGER, evidence)
        if result["status"] != "posted":
            raise RequestRefused(result["reason"], result["detail"], 409)
        sessions.opened(actor, session_id, key)
        return answer({"session_id": session_id, "key_half": half}, 201)

    @app.post(
        "/v1/sessions/{session_id}/cover",
        summary="Sign the running digest of a session's requests",
        **operation("Result", 400, 404, 409, 413, 422, body="Cover"),
    )
    async def cover(session_id: str, request: Request) -> Response:
        raw = await raw_body(request)
        actor, evidence = identity.sender(request, "post", raw)
        document = parsed(raw, "last_number", "signature")
        last = document["last_number"]
        command = timed(sessions.covering(actor, session_id, last, document["signature"]))
        (result,) = await on_ledger(ledger.apply, [command], actor, evidence)
        if result["status"] == "posted":
            sessions.covered(session_id, last)
        return answer(result)


def _days(
    app: FastAPI, settings: Settings, ledger: Ledger, identity: Identity, on_ledger: OnLedger
) -> None:
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
        head = await on_ledger(ledger.close_day, wanted)
        if not head["replayed"]:
            log.info("closed %s at sequence %d", wanted, head["chain_sequence"])
        return answer(head)

    @app.post(
        "/v1/days/{day}/run",
        summary="The ledger's own bookings of a date: penalties, shortfalls, payouts",
        **operation("DayRun", 404, 409),
    )
    async def run_day(day: str, request: Request) -> Response:
        identity.sender(request, "operate", await raw_body(request))
        wanted = day_of(day)
        ran = await on_ledger(DayRun(ledger, wanted, next_working_day).run)
        return answer(asdict(ran))

    @app.post(
        "/v1/days/{day}/instructions",
        summary="Write a closed date's files for the banks of the three settlement modes",
        **operation("Instructions", 404, 409),
    )
    async def instructions(day: str, request: Request) -> Response:
        identity.sender(request, "operate", await raw_body(request))
        written = await asyncio.to_thread(write_instructions, settings, day_of(day))
        return answer({"files": [
            {"path": str(file.path), "rows": file.rows, "totals_minor": file.totals}
            for file in written
        ]})

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
        log.info("exported %s: %d legs", wanted, done.journal_rows)
        return answer({
            name: str(value) if not isinstance(value, int) else value
            for name, value in asdict(done).items()
        })


def _reads(app: FastAPI, ledger: Ledger, identity: Identity, on_ledger: OnLedger) -> None:
    @app.get("/v1/balances", summary="Balances now", **operation("Balances", 422))
    async def balances(
        request: Request, account_code: str | None = None, party_id: str | None = None,
        currency_code: str | None = None, after: str | None = None, limit: str = "1000",
    ) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(
            queries.balances, ledger, account_code, party_id, currency_code, after,
            limit_of(limit),
        ))

    @app.get(
        "/v1/accounts/{account_id}/balance",
        summary="A balance as of a value date and as known at a time",
        **operation("BalanceAt", 404, 422),
    )
    async def balance_at(
        account_id: str, request: Request, currency_code: str = "CNY",
        value_date: str | None = None, known_at: str | None = None,
    ) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(
            queries.balance_at, ledger, account_id, currency_code, value_date, known_at
        ))

    @app.get(
        "/v1/accounts/{account_id}/tree", summary="An account with all accounts below it",
        **operation("Tree", 404),
    )
    async def tree(account_id: str, request: Request, currency_code: str = "CNY") -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(queries.tree, ledger, account_id, currency_code))

    @app.get("/v1/holds", summary="Open holds", **operation("Holds"))
    async def holds(request: Request, account_id: str | None = None) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(queries.holds, ledger, account_id))

    @app.get(
        "/v1/pending", summary="What waits for a checker, with the digests to sign",
        **operation("Pending"),
    )
    async def pending(request: Request) -> Response:
        identity.sender(request, "read")
        return answer(await on_ledger(queries.waiting, ledger))

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


def _streams(
    app: FastAPI, settings: Settings, ledger: Ledger, identity: Identity, on_ledger: OnLedger
) -> None:
    @app.get(
        "/v1/accounts/{account_id}/movements",
        summary="Movements of an account in the last three calendar months",
        **operation("Movements", 404, 409, 422),
    )
    async def movements(
        account_id: str, request: Request, currency_code: str = "CNY",
        first: str | None = None, last: str | None = None, type: str | None = None,
        least_minor: str | None = None, most_minor: str | None = None,
        number: str | None = None, counterparty: str | None = None,
        after: str = "0", limit: str = "100",
    ) -> Response:
        identity.sender(request, "read")
        asked = Asked(
            first, last, type, whole_of("least_minor", least_minor),
            whole_of("most_minor", most_minor), number, counterparty,
        )
        return answer(await on_ledger(
            statement, ledger, account_id, currency_code, asked,
            whole_of("after", after) or 0, limit_of(limit),
        ))

    @app.get(
        "/v1/log", summary="The log itself, an entry a line, as a stream",
        responses={200: {"description": "entries", "content": {"application/x-ndjson": {}}}},
    )
    async def log_lines(request: Request, after: str = "0") -> Response:
        identity.sender(request, "operate")
        return StreamingResponse(
            stream(settings, whole_of("after", after) or 0), media_type="application/x-ndjson"
        )

    @app.get(
        "/v1/events", summary="What happened, to be taken exactly once: the outbox",
        **operation("Events", 422),
    )
    async def outbox(request: Request, after: str | None = None, limit: str = "1000") -> Response:
        identity.sender(request, "read")
        if after is not None and not _EVENT_KEY.match(after):
            raise RequestRefused("invalid_field", "after is an event's key, like 17/2")
        return answer(await on_ledger(events, ledger.store, after, limit_of(limit)))
