"""Single commands past the framework.

A request with one command that arrived whole is taken from its connection (`connections.py`) and
answered there, without a task, a coroutine or any layer of the framework: these took half of the
event loop's time for a command. Who sent it, what it says and what is answered are the same
functions as behind the framework's path (`posting.py`, `faults.py`); so are its count, its time and
its line in the log. Whatever else comes, and a request that is still on its way, goes to the
framework.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
from fastapi import Request

from ledger.entrypoints import logs
from ledger.entrypoints.faults import Faults
from ledger.entrypoints.metrics import Metrics
from ledger.entrypoints.posting import Posting, status_of

PATH = "/v1/commands"
#: As :func:`ledger.entrypoints.bodies.answer` and `Watching` give them.
_HEAD = (
    b"cache-control: no-store\r\ncontent-length: %d\r\ncontent-type: application/json\r\n"
    b"x-request-id: %b\r\n"
)

#: Takes status, lines of the head and body of an answer.
Reply = Callable[[int, bytes, bytes], None]


class Direct:
    """The short way of one service.

    :param route: the framework's route of the path, for the log
    """

    def __init__(self, posting: Posting, faults: Faults, metrics: Metrics, route: Any) -> None:
        self.posting = posting
        self.faults = faults
        self.metrics = metrics
        self.route = route

    def takes(self, scope: Any) -> bool:
        """Whether a request goes this way, if it arrives whole."""
        return scope["path"] == PATH and scope["method"] == "POST"

    def post(self, scope: Any, body: bytes, reply: Reply) -> None:
        """Post the command of a request; `reply` is called once, now or later."""
        scope["route"] = self.route
        _UnderWay(self, Request(scope), reply).begin(body)


class _UnderWay:
    """One request."""

    __slots__ = ("direct", "reply", "request", "started", "type_")

    def __init__(self, direct: Direct, request: Request, reply: Reply) -> None:
        self.direct, self.request, self.reply = direct, request, reply
        self.started = time.perf_counter()
        self.type_: str | None = None

    def begin(self, body: bytes) -> None:
        try:
            posting = self.direct.posting
            job, self.type_ = posting.one(self.request, body)
            posting.gathering.put(job, self._posted)
        except Exception as error:
            self._failed(error)

    def _posted(
        self, results: list[dict[str, Any]] | None, error: BaseException | None
    ) -> None:
        if results is None:
            self._failed(error)
            return
        try:
            (result,) = results
            self.direct.metrics.count_one(self.type_, result)
            status, body = status_of(result), orjson.dumps(result)
        except Exception as fault:  # those that were posted with it are answered all the same
            self._failed(fault)
            return
        name = logs.id_of(self.request.scope)
        self._answer(status, _HEAD % (len(body), name), body, name)

    def _failed(self, error: BaseException | None) -> None:
        answer = self.direct.faults.answer(self.request, error)
        name = logs.id_of(self.request.scope)
        lines = [b"%b: %b\r\n" % pair for pair in (*answer.raw_headers, (b"x-request-id", name))]
        self._answer(answer.status_code, b"".join(lines), bytes(answer.body), name)

    def _answer(self, status: int, head: bytes, body: bytes, name: bytes) -> None:
        self.reply(status, head, body)
        seconds = time.perf_counter() - self.started
        self.direct.metrics.answered(PATH, status, seconds)
        logs.answered(self.request.scope, status, seconds, name)
