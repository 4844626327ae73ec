"""Gathering: requests that wait while the writer works are posted together, in one transaction.

Each still gets its own results; they share the flush to disk, which is most of what a single
command costs. While one transaction is being written, the next is planned, if enough waits for
one; a few single commands wait for the flush under way and share the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ledger.service.faults import STORAGE_FAULTS, RequestRefused
from ledger.service.ledger import BATCH_LIMIT, Job, Ledger

#: Commands that wait from which the next transaction is planned beside the one being written.
_ENOUGH = BATCH_LIMIT // 2
#: Transactions handed to the writer at most: it finds the next when it has planned one, without
#: asking here, where requests are read and answered meanwhile.
_HANDED = 2

Submit = Callable[..., "Future[Any]"]
#: Is called once, in the event loop, with the results of a job or with the fault.
Done = Callable[[list[dict[str, Any]] | None, BaseException | None], None]
Waiting = tuple[Job, Done]


class Gathering:
    """The queue before the writer.

    :param submit: has a call done in the writer's thread, one after the other
    """

    def __init__(self, ledger: Ledger, submit: Submit) -> None:
        self.ledger = ledger
        self.submit = submit
        self._waiting: deque[Waiting] = deque()
        self._size = 0  # commands that wait
        self._looking = False  # whether the event loop will look at them anyway
        self._handed = 0  # transactions not planned yet
        self._written: Future | None = None  # the transaction begun last

    async def post(self, job: Job) -> list[dict[str, Any]]:
        """Results of a job, once it is committed.

        :raises RequestRefused: `batch_empty`, `batch_too_large`
        """
        future = asyncio.get_running_loop().create_future()

        def done(results: list[dict[str, Any]] | None, error: BaseException | None) -> None:
            if future.done():  # who waited for it is gone
                return
            if error is None:
                future.set_result(results)
            else:
                future.set_exception(error)

        self.put(job, done)
        return await future

    def put(self, job: Job, done: Done) -> None:
        """Queue a job; `done` is called once it is committed.

        :raises RequestRefused: `batch_empty`, `batch_too_large`
        """
        if not job.raws:
            raise RequestRefused("batch_empty", "the batch has no commands")
        if len(job.raws) > BATCH_LIMIT:
            raise RequestRefused(
                "batch_too_large",
                f"the batch has {len(job.raws)} commands, more than {BATCH_LIMIT}",
            )
        self._waiting.append((job, done))
        self._size += len(job.raws)
        if not self._looking:  # those who come at the same moment go together
            self._looking = True
            asyncio.get_running_loop().call_soon(self._look)

    async def emptied(self) -> None:
        """Wait until all is planned that was queued: who sent it may have hung up since."""
        while self._waiting or self._handed:
            await asyncio.sleep(0.01)

    def _look(self) -> None:
        self._looking = False
        self._hand()

    def _hand(self) -> None:
        """Hand to the writer what waits, as much at once as a batch may hold."""
        while self._waiting:
            if self._size >= _ENOUGH:
                if self._handed >= _HANDED:
                    return
            elif self._handed or not (self._written is None or self._written.done()):
                return  # they share the next flush
            self._begin(self._part())

    def _part(self) -> list[Waiting]:
        part = [self._waiting.popleft()]
        size = len(part[0][0].raws)
        while self._waiting and size + len(self._waiting[0][0].raws) <= BATCH_LIMIT:
            part.append(self._waiting.popleft())
            size += len(part[-1][0].raws)
        self._size -= size
        return part

    def _begin(self, part: list[Waiting]) -> None:
        try:
            begun = self.submit(self.ledger.begin, [job for job, _ in part])
        except RuntimeError as error:  # the writer's thread has ended
            _fail(part, error)
            return
        self._handed += 1
        self._then(begun, self._begun, part)

    def _then(
        self, future: Future, call: Callable[[list[Waiting], Future], None], part: list[Waiting]
    ) -> None:
        """Have something done in the event loop when a thread is ready. Not by a future of the
        loop, which would take two more turns of it."""
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(call, part, done))

    def _begun(self, part: list[Waiting], begun: Future) -> None:
        self._handed -= 1
        error = begun.exception()
        if error is None:
            self._written = begun.result()
            self._then(self._written, self._done, part)
        elif isinstance(error, STORAGE_FAULTS) or len(part) == 1:
            _fail(part, error)  # each sender gets a fault of the storage
        else:
            for one in part:  # nobody has the fault that another's request meets
                self._begin([one])
        self._hand()

    def _done(self, part: list[Waiting], written: Future) -> None:
        self._hand()  # first: the writer is at work while these are answered
        _deliver(part, written)


def _deliver(part: list[Waiting], written: Future) -> None:
    error = written.exception()
    if error is not None:
        _fail(part, error)
        return
    for (_, done), found in zip(part, written.result(), strict=True):
        done(found, None)


def _fail(part: list[Waiting], error: BaseException) -> None:
    for _, done in part:
        done(None, error)
