"""Whether the service can post now: alive (`/healthz`) is not ready (`/readyz`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ledger.service import queries
from ledger.service.faults import RequestRefused
from ledger.service.ledger import Ledger
from paylake.errors import PaylakeError

#: Seconds that a probe waits for the writer, and for which one that was written serves others:
#: it needs no login, so who asks often must not make the storage flush often.
WAIT_SECONDS, KEEP_SECONDS = 5.0, 1.0


class Readiness:
    """Probes of one service.

    :param on_ledger: runs a call in the writer's thread
    """

    def __init__(self, ledger: Ledger, on_ledger: Callable[..., Awaitable[Any]]) -> None:
        self.ledger = ledger
        self.on_ledger = on_ledger
        self._good_until = 0.0

    async def ask(self) -> dict[str, Any]:
        """What `/healthz` says, once something was written and flushed.

        :raises RequestRefused: 503 `clock_not_set`, `writer_busy`, `storage_unavailable`
        """
        try:
            await asyncio.wait_for(self.on_ledger(self._probe), WAIT_SECONDS)
        except TimeoutError:
            raise RequestRefused(
                "writer_busy", f"the writer was busy for {WAIT_SECONDS:.0f} seconds", 503
            ) from None
        except PaylakeError as error:
            raise RequestRefused("storage_unavailable", error.what, 503) from error
        return {**queries.health(self.ledger), "status": "ready"}

    def _probe(self) -> None:
        if self.ledger.clock.now() is None:
            raise RequestRefused("clock_not_set", "the simulated clock was never set", 503)
        if time.monotonic() >= self._good_until:
            self.ledger.probe()
            self._good_until = time.monotonic() + KEEP_SECONDS
