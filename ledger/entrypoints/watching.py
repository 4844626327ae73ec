"""What every request goes through: an id for its answer, a line in the log, a count and a time."""

from __future__ import annotations

import time
from typing import Any

from ledger.entrypoints import logs
from ledger.entrypoints.metrics import Metrics


class Watching:
    """Around the whole application; plain ASGI, so that it costs next to nothing."""

    def __init__(self, app: Any, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        name = logs.id_of(scope)

        async def watched(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", name)]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - started
            self.metrics.answered(logs.route_of(scope), status, seconds)
            logs.answered(scope, status, seconds, name)
