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

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ledger.adapters.tokens import Tokens
from ledger.entrypoints import direct, logs
from ledger.entrypoints.console import add_console
from ledger.entrypoints.direct import Direct
from ledger.entrypoints.faults import Faults
from ledger.entrypoints.gathering import Gathering
from ledger.entrypoints.identity import Identity
from ledger.entrypoints.metrics import Metrics
from ledger.entrypoints.openapi import SECURITY, schemas
from ledger.entrypoints.posting import Posting
from ledger.entrypoints.routes import Room, add_routes
from ledger.entrypoints.routes.plain import PlainRoute
from ledger.entrypoints.watching import Watching
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
        await gathering.emptied()
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
    faults = Faults(identity, metrics)
    faults.add_to(app)
    gathering = Gathering(ledger, worker.submit)
    posting = Posting(identity, metrics, gathering)
    add_routes(Room(app, settings, ledger, identity, metrics, posting, on_ledger))
    add_console(app, ledger, tokens, on_ledger, settings)
    (route,) = (found for found in app.routes if getattr(found, "path", None) == direct.PATH)
    app.state.direct = Direct(posting, faults, metrics, route)  # for the server's connections
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


async def _anchor_hourly(ledger: Ledger, on_ledger: Callable[..., Any]) -> None:
    """Sign the end of the log when the last head is an hour old, also one of before this start:
    what is rolled back within the day shows; and first end the holds that are due even if nobody
    sends anything. A simulated ledger has no hours of its own; its heads are those of its days."""
    while not ledger.clock.simulated:
        wait = RETRY_SECONDS
        try:
            await on_ledger(ledger.keep_heads)
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
