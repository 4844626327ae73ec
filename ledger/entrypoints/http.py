"""The HTTP service: the application, its errors, its one writer thread.

One thread owns the writer and does every call on it in turn; exports read in another. The paths
stand in `routes/`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ledger.adapters.tokens import Tokens
from ledger.entrypoints import logs
from ledger.entrypoints.bodies import problem
from ledger.entrypoints.console import add_console
from ledger.entrypoints.identity import Identity
from ledger.entrypoints.metrics import Metrics
from ledger.entrypoints.openapi import SECURITY, schemas
from ledger.entrypoints.routes import Room, add_routes
from ledger.entrypoints.routes.plain import PlainRoute
from ledger.entrypoints.watching import Watching
from ledger.service.faults import STORAGE_FAULTS, RequestRefused
from ledger.service.ledger import Ledger
from paylake.errors import PaylakeError
from paylake.settings import Settings

log = logging.getLogger("ledger")
#: Age of the last head at which the next is signed, and how often that is looked at.
ANCHOR_SECONDS, RETRY_SECONDS = 3600.0, 60.0

QUERIES_SECONDS, LOOK_SECONDS = 1.0, 1.0


def create_app(settings: Settings, ledger: Ledger, tokens: Tokens) -> FastAPI:
    """The application over an open ledger, which is closed at shutdown."""
    worker = ThreadPoolExecutor(1, thread_name_prefix="ledger")

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        tasks = [
            asyncio.create_task(_anchor_hourly(ledger, on_ledger)),
            asyncio.create_task(_write_queries(ledger, on_ledger)),
            asyncio.create_task(_look(ledger, on_writer)),
        ]
        yield
        for task in tasks:
            task.cancel()
        ledger.ending = True
        worker.submit(ledger.close).result()
        identity.kept.close()
        worker.shutdown(wait=True)
        log.info(
            "ledger closed at sequence %d", ledger.head.sequence,
            extra={"event": "ledger_closed", "sequence": ledger.head.sequence},
        )

    app = FastAPI(
        title="paylake ledger", version="2", lifespan=lifespan, redoc_url=None,
        description="Embedded double-entry ledger. Amounts are whole minor units.",
        # the service has metrics of its own; whether others are set up was asked for each request
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.router.route_class = PlainRoute

    async def on_writer(call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(worker, call, *arguments)

    def settled(call: Callable[..., Any], *arguments: Any) -> Any:
        ledger.settle()
        return call(*arguments)

    async def on_ledger(call: Callable[..., Any], *arguments: Any) -> Any:
        return await on_writer(settled, call, *arguments)

    metrics = Metrics(ledger)
    app.add_middleware(Watching, metrics=metrics)

    def refused_connection(status: int | None, reason: str) -> None:
        if status is None:
            metrics.cut.labels(reason).inc()
        else:
            metrics.refused(reason, "none")
        logs.cut(status, reason)

    app.state.refused_connection = refused_connection  # for the server: no request comes of it
    identity = Identity(ledger, tokens, settings.path("ledger"))
    _add_errors(app, identity, metrics)
    add_routes(Room(app, settings, ledger, identity, metrics, on_ledger, on_writer))
    add_console(app, ledger, tokens, on_ledger, settings)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


async def _anchor_hourly(ledger: Ledger, on_ledger: Callable[..., Any]) -> None:
    """Sign the end of the log when the last head is an hour old, also one of before this start:
    what is rolled back within the day shows; and first end the holds that are due even if nobody
    sends anything. A simulated ledger has no hours of its own; its heads are those of its days."""
    while not ledger.clock.simulated:
        wait = RETRY_SECONDS
        try:
            age = await on_ledger(ledger.unsigned_for)
            if age >= ANCHOR_SECONDS:
                await on_ledger(ledger.end_holds_before_today)
                await on_ledger(ledger.anchor)
                age = 0.0
            wait = min(RETRY_SECONDS, ANCHOR_SECONDS - age)
        except Exception as error:  # whatever it is, the next try comes
            _went_wrong("the hourly head could not be signed", "head_unsigned", error)
        await asyncio.sleep(wait)


async def _write_queries(ledger: Ledger, on_ledger: Callable[..., Any]) -> None:
    """Write down who asked for the status of commands, many at once."""
    while True:
        await asyncio.sleep(QUERIES_SECONDS)
        if ledger.queried.waiting:
            try:
                await on_ledger(ledger.queried.flush)
            except Exception as error:  # they still wait: the next try has them
                _went_wrong("queries could not be written", "queries_unwritten", error)


async def _look(ledger: Ledger, on_writer: Callable[..., Any]) -> None:
    """Look at the connections to the storage, so that one that is lost is noticed without a
    request; who runs the service then ends it."""
    while not ledger.lost:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await on_writer(ledger.look)
        except Exception as error:  # the next look comes
            _went_wrong("the storage could not be looked at", "storage_fault", error)


def _went_wrong(what: str, event: str, error: Exception) -> None:
    """Log what a task met, which goes on: a fault of the storage by its sentence, any other by its
    kind and place (its message may carry what was sent)."""
    if isinstance(error, PaylakeError):
        log.error("%s: %s", what, error, extra={"event": event})
    else:
        log.error(what, exc_info=error, extra={"event": event})


def _add_errors(app: FastAPI, identity: Identity, metrics: Metrics) -> None:
    @app.exception_handler(RequestRefused)
    async def on_refused(request: Request, error: RequestRefused) -> Response:
        kind, signer = identity.claimed(request)
        metrics.refused(error.reason, kind)
        request.scope["paylake.refused"] = {"reason": error.reason, "signer": signer}
        return problem(
            error.http_status, error.reason, error.detail,
            "see docs/explanation/ledger.md for what the reason means",
        )

    @app.exception_handler(PaylakeError)
    async def on_fault(_: Request, error: PaylakeError) -> Response:
        if isinstance(error, STORAGE_FAULTS):
            log.error("storage: %s", error, extra={"event": "storage_fault"})
            return problem(503, "storage_unavailable", error.what, error.next_step)
        if error.exit_code == 10:
            return problem(409, "refused", error.what, error.next_step)
        log.error("fault: %s", error, extra={"event": "fault"})
        return problem(500, "fault", error.what, error.next_step)

    @app.exception_handler(ClientDisconnect)
    async def on_gone(_: Request, error: ClientDisconnect) -> Response:
        # nobody reads it; it stands in the log and the metrics as what it was, no fault
        return problem(
            408, "request_timeout", "the request did not arrive", "send it again, whole"
        )

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
        log.error("unexpected %s", type(error).__name__, extra={"event": "fault"})
        return problem(500, "fault", "the service met a fault of its own", "read its log")


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes,
        )
        components = document.setdefault("components", {})
        components["schemas"] = schemas()
        components["securitySchemes"] = SECURITY
        for path, operations in document["paths"].items():
            for entry in operations.values():
                unused = entry["responses"].get("422", {})
                if "HTTPValidationError" in str(unused):
                    del entry["responses"]["422"]
                if path not in ("/healthz", "/readyz"):
                    entry["security"] = [{name: []} for name in SECURITY]
        app.openapi_schema = document
    return app.openapi_schema
