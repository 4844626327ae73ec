"""Runs a drawn history twice: on a storage that fails, then, in the order that came of it, on one
that does not."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

from ledger.adapters.storage import ledger_path, open_reader
from ledger.domain.actors import Actor
from ledger.domain.state import State
from ledger.entrypoints.operations import open_ledger, verify
from ledger.service import folding
from ledger.service.day_run import DayRun
from ledger.service.faults import RequestRefused
from ledger.service.history import History as Postings
from ledger.service.ledger import Head, Job, Ledger
from paylake import settings as settings_module
from paylake.crypto import PrivateKey
from paylake.errors import PaylakeError
from tests.ledger.simulation.history import START, History, Sent
from tests.ledger.simulation.storage import Crash, Faulty, Files, lose_power

BEN = Actor("operator", "ben")
#: A storage that fails now and then takes everything within so many tries.
TRIES = 30


class Opened:
    """A ledger in a copy of a prepared home."""

    def __init__(self, prepared: Path, home: Path) -> None:
        shutil.copytree(prepared, home)
        self.settings = settings_module.load({}, home=home)
        self.open()

    def open(self) -> None:
        self.ledger: Ledger = open_ledger(self.settings, simulated=True)
        self.ledger.store.db.execute("pragma synchronous = off")  # tests tear what was not flushed

    def do(self, kind: str, what: Any) -> Any:
        """A step that is not a unit; its refusal is a value."""
        ledger = self.ledger
        try:
            ledger.settle()
            if kind == "clock":
                return ledger.set_clock(what)
            if kind == "run":
                DayRun(ledger, what).run()  # taken up again, it reports of what was left alone
                return "ran"
            if kind == "close":
                return ledger.close_day(what)["chain_digest"]
            if kind == "anchor":
                return ledger.anchor()["chain_digest"]
            return ledger.checkpoint()
        except RequestRefused as refusal:
            return refusal.reason

    def log(self, after: int = 0, last: int | None = None) -> list[tuple]:
        """Entries as another process reads them."""
        reader = open_reader(self.settings)
        try:
            return list(reader.entries(after + 1, last))
        finally:
            reader.close()

    def balances(self) -> dict[str, tuple[int, int]]:
        return {a.account_id: (a.balance, a.held) for a in self.ledger.state.all_accounts()}


class Simulation(Opened):
    """One seed. `faults` counts what was done to the storage, by kind."""

    def __init__(self, prepared: Path, folder: Path, key: PrivateKey, seed: int) -> None:
        self.seed, self.key, self.faults = seed, key, Counter[str]()
        self.drawn, self.crashes = random.Random(f"{seed} faults"), 0
        self.prepared, self.folder = prepared, folder
        self.files: Files | None = None
        self.last: BaseException | None = None
        super().__init__(prepared, folder / "faults")
        self.told: dict[str, tuple] = {}
        self.sent: dict[str, Sent] = {}
        self.order: list[tuple[str, Any, Any]] = []
        self.ordered: set[int] = set()
        self.waiting: list[int] = []
        self.seen = self.first = self.ledger.head.sequence

    def open(self) -> None:
        super().open()
        self._break(self.ledger)

    def _break(self, ledger: Ledger) -> None:
        """From here on the storage fails; the reader beside the writer as well."""
        store, files = ledger.store, Files(ledger_path(self.settings))
        self.files = files
        store.db.execute(f"pragma wal_autocheckpoint = {self.drawn.choice((5, 50, 8000))}")

        def faulty(db: Any, most: int, writes: bool) -> Faulty:
            drawn = random.Random(self.drawn.random())
            return Faulty(db, files if writes else None, drawn, self._count, most)

        store.db = faulty(store.db, self.drawn.randint(0, 3), True)
        beside = store.beside
        self.beside: list[Any] = []

        def broken() -> Any:
            reader = beside()
            reader.db = faulty(reader.db, self.drawn.randint(0, 2), False)
            self.beside.append(reader)
            return reader

        store.beside = broken

    def _count(self, kind: str) -> None:
        self.faults[kind] += 1

    def run(self) -> None:
        """The whole history, then the comparison."""
        history = History(random.Random(self.seed))
        self._until_done("clock", START.isoformat())
        for kind, what in history.steps():
            if kind == "reopen":
                self._reopen()
            elif kind == "units":
                overlap, units = what
                self._send([*self._reviews(), *units], overlap)
            else:
                self._until_done(kind, what)
            self._check()
        self._end()

    def _reviews(self) -> list[list[Sent]]:
        """Ben approves what waits."""
        made: list[list[Sent]] = []
        for sequence in self.waiting:
            (row,) = self.log(sequence - 1, sequence)
            made.append([(BEN, [{
                "type": "approve", "idempotency_key": f"approve-{sequence}",
                "occurred_at": row[9], "pending": sequence, "operator_id": "ben",
                "signature": self.key.sign(row[16]).hex(),
            }])])
        self.waiting = []
        return made

    # what is sent until it is answered

    def _send(self, units: list[list[Sent]], overlap: bool) -> None:
        for unit in units:
            for sent in unit:
                for command in sent[1]:
                    self.sent[command["idempotency_key"]] = sent
        left = units
        for _ in range(TRIES):
            if not left:
                break
            left = self._overlapping(left) if overlap else self._one_by_one(left)
        assert not left, f"not taken after {TRIES} tries: {self.last}"
        self._note_entries()

    def _one_by_one(self, units: list[list[Sent]]) -> list[list[Sent]]:
        for number, unit in enumerate(units):
            try:
                self._answered(unit, self.ledger.apply_all(_jobs(unit)))
            except PaylakeError as error:
                self.last = error
                return units[number:]
            except Crash:
                self._crash()
                return units[number:]
        return []

    def _overlapping(self, units: list[list[Sent]]) -> list[list[Sent]]:
        begun: list[tuple[list[Sent], Any]] = []
        crashed = False
        for unit in units:
            try:
                begun.append((unit, self.ledger.begin(_jobs(unit))))
            except PaylakeError as error:
                self.last = error
                begun.append((unit, None))
            except Crash:
                crashed = True
                break
        left = units[len(begun):]
        for unit, future in begun:
            error = None if future is None else future.exception(20)
            if future is None or error is not None:
                left.append(unit)
                self.last = error or self.last
                crashed = crashed or isinstance(error, Crash)
                assert future is None or isinstance(error, Crash | PaylakeError), repr(error)
            else:
                self._answered(unit, future.result())
        try:
            if not crashed:
                self.ledger.settle()
        except PaylakeError:
            pass
        except Crash:
            crashed = True
        if crashed:
            self._crash()
        return left

    def _answered(self, unit: list[Sent], results: list[list[dict[str, Any]]]) -> None:
        for (_, commands), answers in zip(unit, results, strict=True):
            for command, answer in zip(commands, answers, strict=True):
                if "sequence" not in answer:
                    continue
                key = command["idempotency_key"]
                said = (answer["sequence"], answer["journal_id"], answer["status"])
                assert self.told.setdefault(key, said) == said
                if answer["status"] == "pending" and not answer["replayed"]:
                    self.waiting.append(answer["sequence"])

    def _until_done(self, kind: str, what: date | str) -> None:
        done = self._retried(lambda: self.do(kind, what))
        self._note_entries()
        self.order.append((kind, what, done))

    def _note_entries(self) -> None:
        """The order in which the ledger took in what it was sent."""
        for row in self.log(self.seen):
            self.seen = row[0]
            sent = self.sent.get(row[5])
            if sent is not None and id(sent) not in self.ordered:
                self.ordered.add(id(sent))
                self.order.append(("sent", sent, None))

    def _retried(self, ask: Any) -> Any:
        for _ in range(TRIES):
            try:
                return ask()
            except (PaylakeError, sqlite3.OperationalError) as error:
                self.last = error
            except Crash:
                self._crash()
        raise AssertionError(f"not done after {TRIES} tries") from self.last

    # crashes

    def _crash(self, *, closed: bool = False) -> None:
        """Throw the process away, with what the disk makes of it."""
        ledger, files = self.ledger, self.files
        assert files is not None
        if ledger.pipeline._storage is not None:
            ledger.pipeline._storage.shutdown()
        if not files.taken:  # the reader ended it, beside what was still written
            files.read()
        for reader in (ledger.store, *self.beside):
            reader.db.db.close()
        if not closed:
            os.close(ledger.store._lock)
        self.crashes += 1
        lose_power(files, random.Random(f"{self.seed} crash {self.crashes}"))
        files.write()
        self.open()
        found = verify(self.settings)
        assert found.entries == self.ledger.head.sequence
        self._there()

    def _reopen(self) -> None:
        try:
            self.ledger.close()
        except PaylakeError:
            self.open()  # closed all the same: the log does not need what was to be written down
        except Crash:
            self._crash(closed=True)
        else:
            self.open()

    # what holds at every moment

    def _there(self) -> None:
        """What was answered stands in the log as it was answered, once."""
        rows = {}
        for row in self.log(self.first):
            assert row[5] not in rows
            rows[row[5]] = row
        for key, (sequence, journal, status) in self.told.items():
            row = rows[key]
            number = None if row[1] is None else row[1]
            assert (row[0], row[4]) == (sequence, status), key
            assert (journal is None) == (number is None), key

    def _check(self) -> None:
        self._retried(lambda: self.ledger.settle())
        ledger = self.ledger
        (last,) = self.log(ledger.head.sequence - 1)
        assert (last[0], last[16]) == (ledger.head.sequence, ledger.head.digest)
        self._as_replayed()
        sums: Counter[str] = Counter()
        for account in ledger.state.all_accounts():
            sums[account.sum_key] += account.balance * account.debit_sign
            if account.line.floor is not None and not account.line.below_floor_by:
                assert account.balance >= account.line.floor, account.account_id
        assert not any(sums.values()), sums
        for hold in ledger.state.holds.values():
            assert hold["captured"] + hold["released"] <= hold["placed"] or not hold["placed"]

    def _as_replayed(self) -> None:
        """What is in memory is what a start would find."""
        state, reader = State(self.ledger.chart), open_reader(self.settings)
        try:
            folding.load(reader, state, Postings(), Head())
        finally:
            reader.close()
        found, there = (
            sorted(folding.every(each), key=str) for each in (state, self.ledger.state)
        )
        for one, two in zip(found, there, strict=True):
            assert one == two

    def _end(self) -> None:
        """The log of the same history without faults is the same, byte for byte."""
        self._there()
        log, balances = self.log(), self.balances()
        self.faults["seeds"] += 1
        self._closed()
        verify(self.settings)
        other = Opened(self.prepared, self.folder / "whole")
        try:
            for kind, what, done in self.order:
                if kind == "sent":
                    actor, commands = what
                    other.ledger.apply(commands, actor)
                else:
                    found = other.do(kind, what)
                    assert found == done, (kind, what)
            for one, two in zip(log, other.log(), strict=True):
                assert one == two, (one, two)
            assert other.balances() == balances
        finally:
            other.ledger.close()
        self.entries = len(log)

    def _closed(self) -> None:
        for reader in (self.ledger.store, *self.beside):
            if isinstance(reader.db, Faulty):
                reader.db = reader.db.db
        self.ledger.close()


def _jobs(unit: list[Sent]) -> list[Job]:
    return [Job(commands, actor, "") for actor, commands in unit]
