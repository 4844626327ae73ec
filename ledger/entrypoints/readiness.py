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

#: Seconds that a probe waits for the writer, and for which one that was written serves others: it
#: needs no login, so who asks often must neither queue at the writer nor make the storage flush.
WAIT_SECONDS, KEEP_SECONDS = 5.0, 1.0


class Readiness:
    """Probes of one service.

    :param on_ledger: runs a call in the writer's thread
    """

    def __init__(self, ledger: Ledger, on_ledger: Callable[..., Awaitable[Any]]) -> None:
        self.ledger = ledger
        self.on_ledger = on_ledger
        self._good_until = 0.0
        self._probing: asyncio.Task[None] | None = None

    async def ask(self) -> dict[str, Any]:
        """What `/healthz` says, once something was written and flushed.

        :raises RequestRefused: 503 `clock_not_set`, `writer_busy`, `storage_unavailable`
        """
        if self.ledger.clock.now() is None:
            raise RequestRefused("clock_not_set", "the simulated clock was never set", 503)
        if time.monotonic() >= self._good_until:
            await self._probed()
        return {**queries.health(self.ledger), "status": "ready"}

    async def _probed(self) -> None:
        """Wait for the probe under way, or begin one: many who ask are one call of the writer."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())
            self._probing.add_done_callback(_seen)
        try:
            await asyncio.wait_for(asyncio.shield(self._probing), WAIT_SECONDS)
        except TimeoutError:
            raise RequestRefused(
                "writer_busy", f"the writer was busy for {WAIT_SECONDS:.0f} seconds", 503
            ) from None
        except PaylakeError as error:
            raise RequestRefused("storage_unavailable", error.what, 503) from error

    async def _probe(self) -> None:
        await self.on_ledger(self.ledger.probe)
        self._good_until = time.monotonic() + KEEP_SECONDS


def _seen(probe: asyncio.Task[None]) -> None:
    """Its fault was told to those who waited, if any did: asyncio need not warn of it."""
    if not probe.cancelled():
        probe.exception()
