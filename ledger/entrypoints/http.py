"""The HTTP service. Bodies are parsed by orjson and checked by the domain; every answer is JSON.

One thread owns the writer and does every call on it in turn; exports read in another.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from ledger.adapters.export import export_day
from ledger.adapters.tokens import Tokens
from ledger.domain.commands import parse_moment
from ledger.domain.refusals import BY_CODE
from ledger.entrypoints.openapi import operation, schemas
from ledger.service import queries
from ledger.service.faults import RequestRefused
from ledger.service.ledger import Ledger
from paylake.errors import DiskFull, PaylakeError, TransientFault
from paylake.settings import Settings

#: A full batch of the longest commands is below 1 MB.
BODY_LIMIT_BYTES = 4_000_000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
log = logging.getLogger("ledger")


def answer(document: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(
        orjson.dumps(document), status, media_type="application/json",
        headers={"cache-control": "no-store"},
    )


def problem(status: int, reason: str, what: str, next_step: str) -> Response:
    """An error response."""
    error = {"reason": reason, "what": what, "next_step": next_step}
    response = answer({"error": error}, status)
    if status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


def create_app(settings: Settings, ledger: Ledger, tokens: Tokens) -> FastAPI:
    """The application over an open ledger. The ledger's store is closed at shutdown."""
    worker = ThreadPoolExecutor(1, thread_name_prefix="ledger")

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        yield
        worker.shutdown(wait=True)
        ledger.store.close()
        log.info("ledger closed at sequence %d", ledger.head.sequence)

    app = FastAPI(
        title="paylake ledger", version="1", lifespan=lifespan, redoc_url=None,
        description="Embedded double-entry ledger. Amounts are whole minor units.",
    )

    async def on_ledger(call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(worker, call, *arguments)

    def allow(request: Request, right: str) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        caller = tokens.caller(token.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            raise RequestRefused("unauthorised", "a known bearer token is needed", 401)
        if right not in caller.rights:
            raise RequestRefused("forbidden", f"this token has not the right to {right}", 403)

    async def body_of(request: Request, *names: str, optional: tuple[str, ...] = ()) -> dict:
        pieces: list[bytes] = []
        size = 0
        async for piece in request.stream():
            size += len(piece)
            if size > BODY_LIMIT_BYTES:
                raise RequestRefused(
                    "body_too_large", f"the body has more than {BODY_LIMIT_BYTES} bytes", 413
                )
            pieces.append(piece)
        try:
            document = orjson.loads(b"".join(pieces))
        except orjson.JSONDecodeError as error:
            raise RequestRefused("not_json", f"the body is not JSON ({error})", 400) from None
        if not isinstance(document, dict):
            raise RequestRefused("not_json", "the body is not a JSON object", 400)
        for name in names:
            if name not in document:
                raise RequestRefused("missing_field", f"the body needs {name}", 400)
        for name in document:
            if names and name not in names and name not in optional:
                raise RequestRefused(
                    "unknown_field", f"the body takes no field {name[:64]!r}", 400
                )
        return document

    def list_in(document: dict, name: str) -> list:
        if not isinstance(document[name], list):
            raise RequestRefused("invalid_field", f"{name} is not a list", 400)
        return document[name]

    @app.exception_handler(RequestRefused)
    async def on_refused(_: Request, error: RequestRefused) -> Response:
        return problem(
            error.http_status, error.reason, error.detail,
            "see docs/explanation/ledger.md for what the reason means",
        )

    @app.exception_handler(PaylakeError)
    async def on_fault(_: Request, error: PaylakeError) -> Response:
        if isinstance(error, TransientFault | DiskFull):
            log.error("storage: %s", error)
            return problem(503, "storage_unavailable", error.what, error.next_step)
        if error.exit_code == 10:
            return problem(409, "refused", error.what, error.next_step)
        log.error("fault: %s", error)
        return problem(500, "fault", error.what, error.next_step)

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> Response:
        response = problem(
            error.status_code, f"http_{error.status_code}", str(error.detail),
            "see /docs for what this service answers",
        )
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def on_bug(_: Request, error: Exception) -> Response:
        # Type and place only: the message may carry what the caller sent.
        log.error("unexpected %s", type(error).__name__, exc_info=False)
        return problem(500, "fault", "the service met a fault of its own", "read its log")

    @app.get("/healthz", summary="Alive and ready", **operation("Health"))
    async def healthz() -> Response:
        return answer(await on_ledger(queries.health, ledger))

    @app.post(
        "/v1/commands", summary="Post one command",
        **operation(
            "Result", 400, 413, body="Command", also={201: "Result", 409: "Result", 422: "Result"}
        ),
    )
    async def one_command(request: Request) -> Response:
        allow(request, "post")
        result = (await on_ledger(ledger.apply, [await body_of(request)]))[0]
        if result["status"] == "posted":
            return answer(result, 200 if result["replayed"] else 201)
        return answer(result, BY_CODE[result["reason"]].http_status)

    @app.post(
        "/v1/batches", summary="Post up to 1,000 commands in one transaction",
        **operation("Results", 400, 413, 422, body="Commands"),
    )
    async def batch(request: Request) -> Response:
        allow(request, "post")
        commands = list_in(await body_of(request, "commands"), "commands")
        return answer({"results": await on_ledger(ledger.apply, commands)})

    @app.post(
        "/v1/accounts", summary="Open accounts",
        **operation("AccountResults", 400, 409, 413, 422, body="Accounts"),
    )
    async def open_accounts(request: Request) -> Response:
        allow(request, "post")
        accounts = list_in(await body_of(request, "accounts"), "accounts")
        return answer({"results": await on_ledger(ledger.open_accounts, accounts)})

    @app.get("/v1/clock", summary="The ledger's clock", **operation("ClockSetting"))
    async def get_clock(request: Request) -> Response:
        allow(request, "read")
        return answer({"now": await on_ledger(ledger.clock.now)})

    @app.put(
        "/v1/clock", summary="Set the clock (simulated service only)",
        **operation("ClockSetting", 400, 409, 413, 422, body="ClockSetting"),
    )
    async def put_clock(request: Request) -> Response:
        allow(request, "operate")
        document = await body_of(request, "now")
        return answer({"now": await on_ledger(ledger.set_clock, document["now"])})

    @app.post(
        "/v1/days/{day}/close", summary="Close a business date",
        **operation("Head", 404, 409),
    )
    async def close_day(day: str, request: Request) -> Response:
        allow(request, "operate")
        wanted = _day(day)
        head = await on_ledger(ledger.close_day, wanted)
        if not head["replayed"]:
            log.info("closed %s at sequence %d", wanted, head["chain_sequence"])
        return answer(head)

    @app.get("/v1/days/{day}", summary="The head of a closed date", **operation("Head", 404))
    async def get_day(day: str, request: Request) -> Response:
        allow(request, "read")
        return answer(await on_ledger(queries.head, ledger, _day(day)))

    @app.post(
        "/v1/days/{day}/export", summary="Write the date's feeds into the inbox",
        **operation("Exported", 400, 404, 409, 413, 422, body="ExportOrder"),
    )
    async def export(day: str, request: Request) -> Response:
        allow(request, "operate")
        wanted = _day(day)
        document = await body_of(request, "sent_at", optional=("sequence",))
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

    @app.get("/v1/balances", summary="Balances now", **operation("Balances", 422))
    async def balances(
        request: Request, account_code: str | None = None, party_id: str | None = None,
        currency_code: str | None = None, after: str | None = None, limit: str = "1000",
    ) -> Response:
        allow(request, "read")
        return answer(await on_ledger(
            queries.balances, ledger, account_code, party_id, currency_code, after,
            _limit(limit),
        ))

    @app.get("/v1/journals/{journal_id}", summary="One journal", **operation("Journal", 404))
    async def journal(journal_id: str, request: Request) -> Response:
        allow(request, "read")
        return answer(await on_ledger(queries.journal, ledger, journal_id))

    @app.get(
        "/v1/journals", summary="Journals in chain order, by date or business key",
        **operation("Journals", 422),
    )
    async def journals(
        request: Request, booking_date: str | None = None, business_key: str | None = None,
        after: str | None = None, limit: str = "100",
    ) -> Response:
        allow(request, "read")
        return answer(await on_ledger(
            queries.journals, ledger, booking_date, business_key, after, _limit(limit)
        ))

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=app.description,
                routes=app.routes,
            )
            components = document.setdefault("components", {})
            components["schemas"] = schemas()
            components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
            for path, operations in document["paths"].items():
                for entry in operations.values():
                    unused = entry["responses"].get("422", {})
                    if "HTTPValidationError" in str(unused):
                        del entry["responses"]["422"]
                    if path != "/healthz":
                        entry["security"] = [{"bearer": []}]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _day(text: str) -> date:
    try:
        if _DATE.match(text):
            return date.fromisoformat(text)
    except ValueError:
        text = text[:20]
    raise RequestRefused("not_a_date", f"{text[:20]!r} is not a date like 2026-09-12", 404)


def _limit(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= len(text) <= 4 and 1 <= int(text) <= 1000:
        return int(text)
    raise RequestRefused("invalid_field", "limit is a whole number from 1 to 1000")
