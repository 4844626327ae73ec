"""Gathering: requests that wait while the writer works are posted together, in one transaction.

Each still gets its own results; they share the flush to disk, which is most of what a single
command costs. While one transaction is being written, the next is planned, if enough waits for
one; a few single commands wait for the flush under way and share the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from ledger.service.faults import STORAGE_FAULTS, RequestRefused
from ledger.service.ledger import BATCH_LIMIT, Job, Ledger

#: Commands that wait from which the next transaction is planned beside the one being written.
_ENOUGH = BATCH_LIMIT // 2
#: Transactions handed to the writer at most: it finds the next when it has planned one, without
#: asking here, where requests are read and answered meanwhile.
_HANDED = 2

OnWriter = Callable[..., Awaitable[Any]]
Waiting = tuple[Job, asyncio.Future]


class Gathering:
    """The queue before the writer.

    :param on_writer: runs a call in the writer's thread, one after the other
    """

    def __init__(self, ledger: Ledger, on_writer: OnWriter) -> None:
        self.ledger = ledger
        self.on_writer = on_writer
        self._waiting: deque[Waiting] = deque()
        self._size = 0  # commands that wait
        self._handed: set[asyncio.Task] = set()  # transactions not planned yet
        self._written: asyncio.Future | None = None  # the transaction begun last

    async def post(self, job: Job) -> list[dict[str, Any]]:
        """Results of a job, once it is committed.

        :raises RequestRefused: `batch_empty`, `batch_too_large`
        """
        if not job.raws:
            raise RequestRefused("batch_empty", "the batch has no commands")
        if len(job.raws) > BATCH_LIMIT:
            raise RequestRefused(
                "batch_too_large",
                f"the batch has {len(job.raws)} commands, more than {BATCH_LIMIT}",
            )
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting.append((job, future))
        self._size += len(job.raws)
        loop.call_soon(self._hand)  # those who came at the same moment go together
        return await future

    def _hand(self) -> None:
        """Hand to the writer what waits, as much at once as a batch may hold."""
        while self._waiting:
            if self._size >= _ENOUGH:
                if len(self._handed) == _HANDED:
                    return
            elif self._handed or not (self._written is None or self._written.done()):
                return  # they share the next flush
            part = self._part()
            begun = asyncio.create_task(self._begin(part))
            self._handed.add(begun)
            begun.add_done_callback(self._begun)

    def _part(self) -> list[Waiting]:
        part = [self._waiting.popleft()]
        size = len(part[0][0].raws)
        while self._waiting and size + len(self._waiting[0][0].raws) <= BATCH_LIMIT:
            part.append(self._waiting.popleft())
            size += len(part[-1][0].raws)
        self._size -= size
        return part

    async def _begin(self, part: list[Waiting]) -> None:
        try:
            written = await self.on_writer(self.ledger.begin, [job for job, _ in part])
        except STORAGE_FAULTS as error:  # each sender gets it; the handlers of errors answer
            _fail(part, error)
        except Exception as error:
            if len(part) == 1:
                _fail(part, error)
                return
            for one in part:  # nobody has the fault that another's request meets
                await self._begin([one])
        else:
            self._written = asyncio.wrap_future(written)
            self._written.add_done_callback(partial(self._done, part))

    def _begun(self, begun: asyncio.Task) -> None:
        self._handed.discard(begun)
        self._hand()

    def _done(self, part: list[Waiting], written: asyncio.Future) -> None:
        _deliver(part, written)
        self._hand()


def _deliver(part: list[Waiting], written: asyncio.Future) -> None:
    error = written.exception()
    if error is not None:
        _fail(part, error)
        return
    for (_, future), found in zip(part, written.result(), strict=True):
        if not future.done():
            future.set_result(found)


def _fail(part: list[Waiting], error: BaseException) -> None:
    for _, future in part:
        if not future.done():
            future.set_exception(error)
