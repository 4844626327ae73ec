"""Units of work: what is written in one transaction.

A unit is planned (the state in memory has its changes, the log has not), written, and then taken
in. While the storage writes one unit, the next is planned on top of it: writing costs no Python,
so both cores work. Nobody is answered before the commit, and nothing else is read or done in
between (:meth:`Pipeline.settle` comes first). When a write fails, what was planned on top of it
is undone as well, and planned again. A commit that failed may have been done all the same: then
what is in memory is read from the storage anew before anything else is planned or told. A
checkpoint is written in the same way, between two units.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from ledger.domain.actors import LEDGER, Actor
from ledger.service.breaker import Noted
from ledger.service.command import Command, read
from ledger.service.folding import Fold
from ledger.service.ports import Secret
from ledger.service.posting import Batch
from ledger.service.unwritten import Entries, Unwritten
from ledger.service.written import ROW as WRITTEN
from ledger.service.written import as_text

if TYPE_CHECKING:
    from ledger.service.ledger import Head, Ledger

log = logging.getLogger("ledger")
Results = list[dict[str, Any]]
#: Entries from which a checkpoint takes some time to be made ready.
_MANY = 1000


class Job(NamedTuple):
    """Commands of one sender, with the evidence of its request.

    `ends` is (date, time): first the holds whose last date that is, or earlier, end. `recorded`:
    the service itself made the command, in the sender's name.
    """

    raws: Sequence[Any]
    actor: Actor
    evidence: str
    ends: tuple[str, str] | None = None
    recorded: bool = False

    @property
    def own(self) -> bool:
        """Whether the ledger itself made the commands. A sender that is only called so did not."""
        return self.recorded or self.actor is LEDGER


class Unit:
    """Planned jobs.

    `mark` is how far the state's list of changes reached when it was planned.
    """

    def __init__(self, head: Head) -> None:
        self.head = head
        self.entries = Entries()
        self.secrets: list[Secret] = []
        self.postings: list[tuple] = []
        self.noted: list[Noted] = []
        self.results: list[Results] = []
        self.mark = 0

    def add(self, batch: Batch, results: Results) -> None:
        """Take in what one job does."""
        self.entries.add(batch.booked.rows)
        self.secrets += batch.secrets
        self.postings += batch.booked.postings
        self.noted += batch.noted
        self.results.append(results)
        self.head.follow(batch.booked)


class Pipeline:
    """The units of one open ledger. Used by its one writer thread."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.reads = Unwritten(ledger.store)
        self._flying: tuple[Unit, Future] | None = None
        self._folding: tuple[Fold, Future] | None = None
        self._storage: ThreadPoolExecutor | None = None
        self._preparing: ThreadPoolExecutor | None = None

    def plan(self, jobs: Sequence[Job], after: Head) -> Unit:
        """Plan jobs on top of what is planned already; a fault leaves no trace of them."""
        unit, state = Unit(after.copy()), self.ledger.state
        mark = state.mark()
        self.reads.put(unit.entries)
        try:
            forms = [
                [read(self.ledger, raw, own=own) for raw in job.raws]
                for job in jobs for own in (job.own,)
            ]
            with self.reads.ahead(
                [form for listed in forms for form in listed if type(form) is Command]
            ):
                for job, listed in zip(jobs, forms, strict=True):
                    batch = Batch(self.ledger, job.actor, job.evidence, unit.head)
                    if job.ends is not None:
                        batch.booked.end_holds(*job.ends)
                    unit.add(batch, batch.run(job.raws, listed))
        except BaseException:
            self.reads.drop(unit.entries)
            state.back(mark)
            raise
        unit.mark = state.mark()
        return unit

    def write(self, unit: Unit) -> list[Results]:
        """Commit a unit; its results."""
        store, written = self.ledger.store, self.ledger.written
        raised = written.raised(unit.entries.rows)
        with store.transaction():
            if unit.entries.rows:
                store.append(unit.entries.rows)
            if unit.secrets:
                store.keep_secrets(unit.secrets)
            if raised is not None:
                store.set_meta(WRITTEN, as_text(raised))
        if raised is not None:
            written.keep(raised)
        return unit.results

    def run(self, jobs: Sequence[Job]) -> list[Results]:
        """Plan, write and take in, one after the other."""
        unit = self.plan(jobs, self.ledger.head)
        try:
            self.write(unit)
        except BaseException:
            self._undo()
            raise
        self._take_in(unit)
        return unit.results

    def dry_run(self, job: Job) -> Results:
        """Plan, and undo it."""
        try:
            return self.plan([job], self.ledger.head).results[0]
        finally:
            self._undo()

    def begin(self, jobs: Sequence[Job]) -> Future[list[Results]]:
        """Plan while the unit before is being written, then write; the results come with the
        commit, or its fault."""
        if self._storage is None:
            self.reads.reader = self.ledger.store.beside()  # may fail: then the next one tries
            self._storage = ThreadPoolExecutor(1, thread_name_prefix="ledger-storage")
        if self._flying is not None and self.ledger.due(len(self._flying[0].postings)):
            self._finish()
        if self._flying is None:
            self.sure()
        if self.ledger.due():
            self._folded()
            self.sure()
            self._fold(self._storage)
        before = self.ledger.head if self._flying is None else self._flying[0].head
        unit = self.plan(jobs, before)
        if not self._finish():
            self.sure()
            unit = self.plan(jobs, self.ledger.head)
        written = self._storage.submit(self.write, unit)
        self._flying = unit, written
        return written

    def settle(self) -> None:
        """Wait until nothing is under way. A fault of the storage was told to those who sent."""
        self._finish()
        self._folded()
        self.sure()
        if self.ledger.due():
            self.ledger.checkpoint()

    def sure(self) -> None:
        """Nothing is being written but perhaps a checkpoint. When of a commit that failed nobody
        can say whether it was done, ask the storage: memory is what it has."""
        if self.ledger.store.uncertain:
            self._folded()
            self.ledger.reload()

    @property
    def idle(self) -> bool:
        """Whether the storage has nothing to do."""
        return all(found is None or found[1].done() for found in (self._flying, self._folding))

    def close(self) -> None:
        """Settle and give the second connection back."""
        self._finish()
        self._folded()
        if self._preparing is not None:
            self._preparing.shutdown()
        if self._storage is not None:
            self._storage.shutdown()
            self.reads.reader.close()

    def fold_is_written(self) -> bool:
        """Whether the storage has a checkpoint that the history does not know of yet; waits for
        one that is being written."""
        return self._folding is not None and self._folding[1].exception() is None

    def _fold(self, storage: ThreadPoolExecutor) -> None:
        """Begin a checkpoint. One of many entries is made ready in a thread of its own, while the
        storage goes on with units: it then waits for a checkpoint half as long."""
        fold, store = Fold(self.ledger), self.ledger.store
        if fold.tail.number < _MANY:
            self._folding = fold, storage.submit(fold.write, store)
            return

        def write() -> None:
            fold.prepare()
            storage.submit(fold.write, store).result()

        if self._preparing is None:
            self._preparing = ThreadPoolExecutor(1, thread_name_prefix="ledger-checkpoint")
        self._folding = fold, self._preparing.submit(write)

    def _folded(self) -> None:
        """Wait for the checkpoint under way. One that failed is part of the next: the log, which
        is written before it, does not need it."""
        if self._folding is None:
            return
        fold, written = self._folding
        self._folding = None
        error = written.exception()
        if error is None:
            fold.written(self.ledger)
        else:
            fold.failed(self.ledger)
            log.error("the checkpoint could not be written: %s", error,
                      extra={"event": "checkpoint_failed"})

    def _finish(self) -> bool:
        """Take in the unit under way. False when what was planned on top of it was undone: its
        write failed, or the breaker had to stop somebody first."""
        if self._flying is None:
            return True
        unit, written = self._flying
        self._flying = None
        if written.exception() is not None:
            self._undo()
            return False
        return self._take_in(unit)

    def _take_in(self, unit: Unit) -> bool:
        ledger = self.ledger
        ledger.state.keep(unit.mark)
        self.reads.drop(unit.entries)
        ledger.head = unit.head
        ledger.history.add(unit.postings)
        stops = ledger.breaker.watch(unit.noted)
        first = next(stops, None)
        if first is None:
            return True
        self._undo()
        ledger.apply([first])
        for command in stops:
            ledger.apply([command])
        return False

    def _undo(self) -> None:
        """Back to what is committed."""
        self.ledger.state.back()
        self.reads.clear()
