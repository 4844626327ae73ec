"""Health, commands, sessions."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from ledger.domain.actors import LEDGER
from ledger.entrypoints.bodies import answer, list_in, parsed, raw_body
from ledger.entrypoints.openapi import operation
from ledger.entrypoints.posting import status_of
from ledger.entrypoints.readiness import Readiness
from ledger.entrypoints.routes.room import Room
from ledger.service import queries
from ledger.service.faults import RequestRefused
from ledger.service.ledger import Job


def add(room: Room) -> None:
    """Add the paths."""
    _health(room)
    _commands(room)
    _sessions(room)


def _health(room: Room) -> None:
    app, ledger, identity = room.app, room.ledger, room.identity
    metrics, on_ledger = room.metrics, room.on_ledger

    @app.get("/metrics", include_in_schema=False)
    async def prometheus(request: Request) -> Response:
        identity.sender(request, "read")
        return await on_ledger(metrics.text)

    @app.get("/healthz", summary="Alive", **operation("Health"))
    async def healthz() -> Response:
        return answer(queries.health(ledger))

    readiness = Readiness(ledger, on_ledger)

    @app.get("/readyz", summary="Ready: something was written just now", **operation("Health"))
    async def readyz() -> Response:
        return answer(await readiness.ask())


def _commands(room: Room) -> None:
    app, ledger, identity = room.app, room.ledger, room.identity
    metrics, on_ledger, posting = room.metrics, room.on_ledger, room.posting
    gathering = posting.gathering

    @app.post(
        "/v1/commands", summary="Post one command",
        **operation(
            "Result", 400, 413, 429, body="Command",
            also={201: "Result", 403: "Forbidden", 409: "Result", 422: "Result"},
        ),
    )
    async def one_command(request: Request) -> Response:  # those that arrive whole: `direct.py`
        job, type_ = posting.one(request, await raw_body(request))
        (result,) = await gathering.post(job)
        metrics.count_one(type_, result)
        return answer(result, status_of(result))

    @app.post(
        "/v1/batches", summary="Post up to 1,000 commands in one transaction",
        **operation("Results", 400, 413, 422, 429, body="Commands"),
    )
    async def batch(request: Request) -> Response:
        raw = await raw_body(request)
        actor, evidence = identity.sender(request, "post", raw)
        commands = list_in(parsed(raw, "commands"), "commands")
        types = posting.count(actor, commands)
        results = await gathering.post(Job(commands, actor, evidence))
        metrics.count(types, results)
        return answer({"results": results})

    @app.post(
        "/v1/dry-runs", summary="What a batch would give; nothing is written",
        **operation("Results", 400, 413, 422, 429, body="Commands"),
    )
    async def dry_run(request: Request) -> Response:
        raw = await raw_body(request)
        actor, _ = identity.sender(request, "post", raw)
        commands = list_in(parsed(raw, "commands"), "commands")
        posting.count(actor, commands)
        return answer({"results": await on_ledger(ledger.dry_run, commands, actor)})

    @app.post(
        "/v1/accounts", summary="Open accounts",
        **operation("AccountResults", 400, 409, 413, 422, body="Accounts"),
    )
    async def open_accounts(request: Request) -> Response:
        raw = await raw_body(request)
        actor, evidence = identity.sender(request, "post", raw)
        if actor.kind == "caller":
            raise RequestRefused("forbidden", "a caller does not open accounts", 403)
        accounts = list_in(parsed(raw, "accounts"), "accounts")
        results = await on_ledger(ledger.open_accounts, accounts, actor, evidence)
        return answer({"results": results})


def _sessions(room: Room) -> None:
    app, ledger, identity, on_ledger = room.app, room.ledger, room.identity, room.on_ledger
    sessions, gathering = identity.sessions, room.posting.gathering
    searching = asyncio.Lock()

    def timed(command: dict[str, Any]) -> dict[str, Any]:
        if ledger.clock.simulated:
            command["occurred_at"] = ledger.clock.now()
        return command

    @app.post(
        "/v1/sessions", summary="Open a session: later requests carry an HMAC-SM3",
        **operation("SessionOpened", 400, 413, 422, 429, body="SessionOrder", status=201),
    )
    async def open_session(request: Request) -> Response:
        raw = await raw_body(request)
        actor, evidence = identity.sender(request, "post", raw)
        identity.count_session(actor)
        session_id, sealed, key = sessions.offer(actor, parsed(raw, "key_half")["key_half"])
        command = timed({
            "type": "session_open", "idempotency_key": session_id, "session_id": session_id,
            "caller_id": actor.id,
        })
        (result,) = await on_ledger(ledger.apply, [command], LEDGER, evidence)
        if result["status"] != "posted":
            raise RequestRefused(result["reason"], result["detail"], 409)
        sessions.opened(actor, session_id, key)
        return answer({"session_id": session_id, "sealed_key": sealed}, 201)

    @app.post(
        "/v1/sessions/{session_id}/cover",
        summary="Sign the running digest of a session's requests",
        **operation("Result", 400, 404, 409, 413, 422, 429, body="Cover"),
    )
    async def cover(session_id: str, request: Request) -> Response:
        raw = await raw_body(request)
        actor, evidence = identity.sender(request, "post", raw)
        identity.count_cover(actor)
        document = parsed(raw, "last_number", "signature", optional=("digests",))
        last, signature = document["last_number"], document["signature"]
        if sessions.knows(session_id):
            command = sessions.covering(actor, session_id, last, signature)
        else:
            async with searching:  # one at a time: each goes through a part of the log
                command = await asyncio.to_thread(
                    sessions.covering_lost, actor, session_id, last, signature,
                    document.get("digests"),
                )
        command = timed(command)
        # behind what was accepted before it, which waits in the same queue
        (result,) = await gathering.post(Job([command], actor, evidence, recorded=True))
        if result["status"] == "posted":
            sessions.covered(session_id, last)
        return answer(result)
