"""A read-only console for operators and auditors, served by the ledger at `/console`.

Pages are made on the server, work without scripts and ask nothing of any other host. Reads go
through the ledger's one thread. What may be logged in with is a token that has the right to read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ledger.adapters.tokens import Tokens
from ledger.entrypoints.console.pages import Pages
from ledger.entrypoints.console.render import HEADERS
from ledger.service.ledger import Ledger
from paylake.settings import Settings


def add_console(
    app: FastAPI, ledger: Ledger, tokens: Tokens, on_ledger: Callable[..., Awaitable[Any]],
    settings: Settings,
) -> None:
    """Add the console to the application."""
    pages = Pages(ledger, tokens, on_ledger, settings)

    async def begin(_: Request) -> Response:
        return RedirectResponse("/console/", 307, headers=HEADERS)

    app.add_route("/console", begin, methods=["GET"], include_in_schema=False)
    app.mount("/console", Starlette(
        routes=pages.routes(), exception_handlers={HTTPException: pages.http_error},
    ))
