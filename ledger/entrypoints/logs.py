"""The service's own log: sentences for people, or one JSON object a line for machines.

No line carries what was sent: of a request route, status, time and id; of a fault its kind and
place, not its message. In JSON every request has its line; in text those that were refused for who
sent them, and those that failed.
"""

from __future__ import annotations

import itertools
import logging
import logging.config
import re
import traceback
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from paylake.errors import UsageFault
from paylake.settings import Settings

#: What a record may carry beside its sentence; anything else that code attaches is not written.
FIELDS = (
    "method", "route", "status", "milliseconds", "request_id", "business_date", "sequence",
    "reason", "signer",
)
#: A client's id of a request is taken over in this form alone: free text could carry anything.
_REQUEST_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
#: Ids of requests that bring none: those of one service differ in the last part, which counts.
_SERVICE = str(uuid.uuid4())[:24].encode()
_NUMBERS = itertools.count(1)
_REFUSED = frozenset({401, 403, 429})
_NOT_REFUSED: dict[str, str | None] = {}
requests = logging.getLogger("ledger.requests")


def _place(error: tuple[Any, Any, Any]) -> str:
    """Kind of an exception and the calls that led to it, without its message."""
    kind, _, trace = error
    calls = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace)
    ]
    return " < ".join([getattr(kind, "__name__", "unknown"), *reversed(calls[-8:])])


class Sentences(logging.Formatter):
    """One sentence a line."""

    def formatException(self, ei: Any) -> str:  # the name is the standard library's
        """Kind and place; the message may carry what a caller sent."""
        return _place(ei)


class JsonLines(logging.Formatter):
    """One JSON object a line: `time`, `level`, `event`, `message`, and those of :data:`FIELDS`
    that the record carries."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
        }
        if record.name != requests.name:
            line["message"] = record.getMessage()
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = value
        if record.exc_info:
            line["fault"] = _place(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure(settings: Settings) -> None:
    """Set the process's logging up by the settings `ledger_log` and `ledger_log_file`.

    :raises UsageFault: when that file cannot be written
    """
    handler: dict[str, Any] = {"class": "logging.StreamHandler", "formatter": "line"}
    if settings.ledger_log_file:
        try:
            Path(settings.ledger_log_file).open("a", encoding="utf-8").close()
        except OSError as error:
            raise UsageFault(
                f"The log cannot be written to {settings.ledger_log_file} ({error.strerror})",
                "Make its folder, or leave the setting out.",
                where=settings.origin("ledger_log_file"),
            ) from error
        handler = {
            "class": "logging.handlers.WatchedFileHandler", "formatter": "line",
            "filename": settings.ledger_log_file, "encoding": "utf-8",
        }
    json_lines = settings.ledger_log == "json"
    of = {"handlers": ["out"], "propagate": False}
    logging.config.dictConfig({
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": JsonLines} if json_lines else {
            "()": Sentences, "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }},
        "handlers": {"out": handler},
        "loggers": {
            "ledger": {"level": "INFO", **of},
            requests.name: {"level": "INFO" if json_lines else "WARNING", **of},
            "uvicorn": {"level": "WARNING", **of},
        },
    })


def answered(scope: Any, status: int, seconds: float, name: bytes) -> None:
    """Write the line of a request, where its level is written.

    :param name: the request's id
    """
    level = logging.INFO
    if status in _REFUSED:
        level = logging.WARNING
    elif status >= 500:
        level = logging.ERROR
    if requests.isEnabledFor(level):
        route, spent = route_of(scope), round(seconds * 1000, 2)
        refused = scope.get("paylake.refused", _NOT_REFUSED)
        requests.log(
            level, "%s %s %d %.2f ms %s%s", scope["method"], route, status, spent, name.decode(),
            "".join(f" {value}" for value in refused.values() if value),
            extra={
                "event": "request", "method": scope["method"], "route": route,
                "status": status, "milliseconds": spent, "request_id": name.decode(), **refused,
            },
        )


def cut(status: int | None, reason: str) -> None:
    """Write the line of a connection that was refused before there was a request, or that was cut
    without another answer."""
    if status is None:
        requests.warning(
            "connection cut %s", reason, extra={"event": "connection_cut", "reason": reason}
        )
        return
    requests.warning(
        "connection refused %d %s", status, reason,
        extra={"event": "connection_refused", "status": status, "reason": reason},
    )


def route_of(scope: Any) -> str:
    """The path as the service declares it, without what the caller put in; `none` for others."""
    return getattr(scope.get("route"), "path", "none")


def id_of(scope: Any) -> bytes:
    """The client's id of a request, or a new one."""
    for header, value in scope["headers"]:
        if header == b"x-request-id" and _REQUEST_ID.match(value):
            return value
    return b"%b%012x" % (_SERVICE, next(_NUMBERS))
