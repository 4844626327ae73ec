"""Request bodies and answers: JSON by orjson, bounded, every fault named."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import Response

from ledger.service.faults import RequestRefused

#: A full batch of the longest commands is below 1 MB.
BODY_LIMIT_BYTES = 4_000_000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")


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


async def raw_body(request: Request, limit: int = BODY_LIMIT_BYTES) -> bytes:
    """The bytes of a body, up to the limit.

    :raises RequestRefused: `body_too_large`
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise RequestRefused("body_too_large", f"the body has more than {limit} bytes", 413)
        pieces.append(piece)
    return b"".join(pieces)


def parsed(raw: bytes, *names: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON object of a body with these names, and no others when names are given.

    :raises RequestRefused: `not_json`, `missing_field`, `unknown_field`
    """
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise RequestRefused("not_json", f"the body is not JSON ({error})", 400) from None
    if not isinstance(document, dict):
        raise RequestRefused("not_json", "the body is not a JSON object", 400)
    for name in names:
        if name not in document:
            raise RequestRefused("missing_field", f"the body needs {name}", 400)
    for name in document:
        if names and name not in names and name not in optional:
            raise RequestRefused("unknown_field", f"the body takes no field {name[:64]!r}", 400)
    return document


def list_in(document: dict[str, Any], name: str) -> list[Any]:
    """A list of a body."""
    if not isinstance(document[name], list):
        raise RequestRefused("invalid_field", f"{name} is not a list", 400)
    return document[name]


def day_of(text: str) -> date:
    """A date of a path."""
    try:
        if _DATE.match(text) and text >= "2000":  # earlier ones are no business dates
            return date.fromisoformat(text)
    except ValueError:
        text = text[:20]
    raise RequestRefused("not_a_date", f"{text[:20]!r} is not a date like 2026-09-12", 404)


def limit_of(text: str) -> int:
    """A page's length."""
    if text.isascii() and text.isdigit() and 1 <= len(text) <= 4 and 1 <= int(text) <= 1000:
        return int(text)
    raise RequestRefused("invalid_field", "limit is a whole number from 1 to 1000")


def whole_of(name: str, text: str | None) -> int | None:
    """A whole number of a query, not negative; None when it is not given."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 16:
        return int(text)
    raise RequestRefused("invalid_field", f"{name} is a whole number")
