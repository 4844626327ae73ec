"""Sensitive (C2) values, for a person who signs the request and may review what names them."""

from __future__ import annotations

import re

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

    @app.get(
        "/v1/destinations/{destination_id}",
        summary="A bound account with its number and name; the read is recorded",
        **operation("Destination", 404, 409, 422),
    )
    async def destination(destination_id: str, request: Request) -> Response:
        actor, evidence = room.identity.sender(request, "reveal")
        if not _ID.match(destination_id):
            raise RequestRefused("destination_unknown", "no bound account is named so", 404)
        return answer(await room.on_ledger(
            revealing.destination, ledger, actor, evidence, destination_id
        ))

    @app.get(
        "/v1/pending/{sequence}/values",
        summary="The sensitive values of what waits for a checker; the read is recorded",
        **operation("PendingValues", 404, 409, 422),
    )
    async def values(sequence: str, request: Request) -> Response:
        actor, evidence = room.identity.sender(request, "reveal")
        if not _SEQUENCE.match(sequence):
            raise RequestRefused("pending_unknown", "an entry has a whole number", 404)
        return answer(await room.on_ledger(
            revealing.waiting, ledger, actor, evidence, int(sequence)
        ))
