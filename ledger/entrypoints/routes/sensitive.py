"""Sensitive (C2) values, for a person who signs the request and may review what names them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from ledger.domain.fields import PATTERNS
from ledger.entrypoints.bodies import answer
from ledger.entrypoints.openapi import operation
from ledger.entrypoints.routes.room import Room
from ledger.service import revealing
from ledger.service.faults import RequestRefused

_ID = re.compile(f"(?:{PATTERNS['id']})\\Z")
_SEQUENCE = re.compile(r"[1-9][0-9]{0,17}\Z")


def add(room: Room) -> None:
    """Add the paths."""
    app, ledger = room.app, room.ledger

    async def revealed(
        request: Request, shape: re.Pattern[str], name: str, unknown: RequestRefused,
        read: Callable[..., dict[str, Any]],
    ) -> Response:
        """What `read` opens for the sender; a name of another shape is that of nothing."""
        actor, evidence = room.identity.sender(request, "reveal")
        if not shape.match(name):
            raise unknown
        return answer(await room.on_ledger(read, ledger, actor, evidence, name))

    @app.get(
        "/v1/destinations/{destination_id}",
        summary="A bound account with its number and name; the read is recorded",
        **operation("Destination", 404, 409, 422),
    )
    async def destination(destination_id: str, request: Request) -> Response:
        unknown = RequestRefused("destination_unknown", "no bound account is named so", 404)
        return await revealed(request, _ID, destination_id, unknown, revealing.destination)

    @app.get(
        "/v1/pending/{sequence}/values",
        summary="The sensitive values of what waits for a checker; the read is recorded",
        **operation("PendingValues", 404, 409, 422),
    )
    async def values(sequence: str, request: Request) -> Response:
        unknown = RequestRefused("pending_unknown", "an entry has a whole number", 404)
        return await revealed(request, _SEQUENCE, sequence, unknown, revealing.waiting)
