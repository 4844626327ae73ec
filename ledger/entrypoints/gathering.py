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

from ledger.service.faults import RequestRefused
from ledger.service.ledger import BATCH_LIMIT, Job, Ledger

#: Commands that wait from which the next transaction is planned beside the one being written.
_ENOUGH = BATCH_LIMIT // 2

OnWriter = Callable[..., Awaitable[Any]]
Waiting = tuple[Job, asyncio.Future]


class Gathering:
    """The queue before the writer.

    :param on_writer: runs a call in the writer's thread
    """

    def __init__(self, ledger: Ledger, on_writer: OnWriter) -> None:
        self.ledger = ledger
        self.on_writer = on_writer
        self._waiting: deque[Waiting] = deque()
        self._task: asyncio.Task | None = None
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
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        """Post what waits, as much at once as a batch may hold, until nothing waits."""
        while self._waiting:
            if sum(len(job.raws) for job, _ in self._waiting) < _ENOUGH and self._written:
                await asyncio.wait([self._written])
            part = [self._waiting.popleft()]
            size = len(part[0][0].raws)
            while self._waiting and size + len(self._waiting[0][0].raws) <= BATCH_LIMIT:
                part.append(self._waiting.popleft())
                size += len(part[-1][0].raws)
            try:
                written = await self.on_writer(self.ledger.begin, [job for job, _ in part])
            except Exception as error:  # each sender gets it; the handlers of errors answer
                _fail(part, error)
            else:
                self._written = asyncio.wrap_future(written)
                self._written.add_done_callback(partial(_deliver, part))


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
