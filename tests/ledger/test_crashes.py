"""A crash, or a fault of the storage, at every statement of a posting, of a checkpoint and of a
close: what was acknowledged stays, what was not leaves no trace, and sent again it posts once."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from ledger.entrypoints.operations import open_ledger, verify
from ledger.service.ledger import Job
from paylake.errors import DiskFull, EnvironmentFault, PaylakeError, TransientFault
from tests.ledger.conftest import DAY, SYSTEM, World


class Crash(BaseException):
    """The process ends here."""


class Faulty:
    """A connection whose n-th statement fails, before or after it was done."""

    def __init__(self, db: sqlite3.Connection, at: int, fault: Callable[[], BaseException],
                 after: bool) -> None:
        self._db, self._left, self._fault, self._after = db, at, fault, after
        self.hit = ""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._db, name)
        if name not in ("execute", "executemany"):
            return found

        def call(sql: str, *arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                self.hit = sql
                if self._after:
                    found(sql, *arguments)
                raise self._fault()
            return found(sql, *arguments)

        return call


def crashed(world: World) -> None:
    """The process is gone: the connection is dropped with whatever it had not committed."""
    db = world.ledger.store.db
    db = getattr(db, "_db", db)
    db.close()
    os.close(world.ledger.store._lock)
    world.ledger = open_ledger(world.settings, simulated=True)


def everything(world: World) -> list[dict]:
    """A batch that uses every table of a posting."""
    return [
        world.command("payment", transaction_id="P1"),
        {**world.command("payment", transaction_id="P2"), "linked": True},
        world.command("payment", transaction_id="P3", merchant_id="M2"),
        world.command("settlement", amount_minor=10**9),
        world.command("refund", original_transaction_id="P1", issuer_fee_minor=35,
                      network_fee_minor=3, acquirer_fee_minor=22),
        {"type": "bind_account", "idempotency_key": "bind", "destination_id": "DX",
         "occurred_at": "2026-09-12T02:00:00Z", "party_id": "U1", "bank_code": "ICBC",
         "bound_account": "6222", "bound_name": "u"},
    ]


STEPS: dict[str, Callable[[World, list[dict]], Any]] = {
    "posting": lambda world, batch: world.ledger.apply(batch, SYSTEM),
    "checkpoint": lambda world, batch: world.ledger.checkpoint(),
    "close": lambda world, batch: world.close(),
}


def outcome(results: list[dict]) -> list[str]:
    return [result.get("reason", result["status"]) for result in results]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_every_statement(world, step, after):
    """Statement by statement, each on the ledger that the crash before left behind."""
    number = hits = 0
    expected = ["posted", "posted", "posted", "below_floor", "posted", "posted"]
    while True:
        number += 1
        batch = everything(world)
        for command in batch:
            for name in ("transaction_id", "original_transaction_id", "destination_id"):
                if name in command and command["type"] != "settlement":
                    command[name] = f"{command[name]}-{number}"
            command["idempotency_key"] += f"-{number}"
        if step != "posting":
            world.ledger.apply(batch, SYSTEM)
        before = world.balances()
        db = world.ledger.store.db
        world.ledger.store.db = faulty = Faulty(db, number, Crash, after)
        try:
            STEPS[step](world, batch)
        except Crash:
            hits += 1
        world.ledger.store.db = db
        if not faulty.hit:
            break
        crashed(world)
        there = world.ledger.store.find_by_key([c["idempotency_key"] for c in batch])
        assert len(there) in (0, len(batch)), faulty.hit  # whole or not at all
        committed = bool(there)
        if step == "posting":
            assert committed == (after and faulty.hit == "commit"), faulty.hit
            if not committed:
                assert world.balances() == before
            results = world.ledger.apply(batch, SYSTEM)
            assert outcome(results) == expected
            assert {r["replayed"] for r in results} == {committed}
        else:
            assert committed and world.balances() == before
        assert verify(world.settings).broken is None
        if step == "close" and world.ledger.head.closed:
            break
    assert hits >= 5, hits


@pytest.mark.parametrize(("fault", "named"), [
    (lambda: sqlite3.OperationalError("database or disk is full"), DiskFull),
    (lambda: sqlite3.OperationalError("disk I/O error"), EnvironmentFault),
    (lambda: sqlite3.OperationalError("database is locked"), TransientFault),
])
def test_a_fault_at_every_statement_leaves_no_trace_in_memory_either(world, fault, named):
    number = 0
    while True:
        number += 1
        batch = [world.command("payment"), world.command("top_up", amount_minor=5000)]
        before, head = world.balances(), world.ledger.head.sequence
        db = world.ledger.store.db
        world.ledger.store.db = faulty = Faulty(db, number, fault, after=False)
        try:
            world.ledger.apply(batch, SYSTEM)
            posted = True
        except named:
            posted = False
        world.ledger.store.db = db
        if posted:
            break
        assert db.in_transaction is False, faulty.hit
        assert (world.balances(), world.ledger.head.sequence) == (before, head), faulty.hit
        assert outcome(world.ledger.apply(batch, SYSTEM)) == ["posted", "posted"]
    assert number > 4


class Untold:
    """A connection of which one commit is done and then reported as failed."""

    def __init__(self, db: sqlite3.Connection, commit: int = 1) -> None:
        self._db, self.left = db, commit

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, sql: str, *arguments: Any) -> Any:
        found = self._db.execute(sql, *arguments)
        self.left -= sql == "commit"
        if sql == "commit" and self.left == 0:
            raise sqlite3.OperationalError("disk I/O error")
        return found


@pytest.mark.parametrize("overlapping", [False, True])
def test_a_commit_that_failed_and_was_done_is_taken_in(world, overlapping):
    def send(commands):
        jobs = [Job(commands, SYSTEM, "")]
        return (world.ledger.begin(jobs).result(20) if overlapping
                else world.ledger.apply_all(jobs))[0]

    one, two = world.command("payment"), world.command("payment")
    before = world.balance("1001")
    world.ledger.store.db = Untold(world.ledger.store.db)
    with pytest.raises(EnvironmentFault):
        send([one])
    (again,) = send([one])
    assert (again["status"], again["replayed"]) == ("posted", True)
    assert outcome(send([two])) == ["posted"]
    world.ledger.settle()
    assert world.balance("1001") - before == 2 * (10000 - 35 - 3)
    assert verify(world.settings).broken is None


def test_a_checkpoint_or_close_that_failed_and_was_done_is_taken_in(world):
    world.do("payment")
    world.ledger.set_clock("2026-09-12T23:30:00+08:00")
    db = world.ledger.store.db
    for call, commit in ((world.ledger.checkpoint, 1), (lambda: world.ledger.close_day(DAY), 2)):
        world.ledger.store.db = Untold(db, commit)
        with pytest.raises(EnvironmentFault):
            call()
        world.ledger.settle()
    assert world.do("payment")["reason"] == "date_closed"
    assert world.ledger.close_day(DAY)["replayed"]
    assert verify(world.settings).broken is None


def test_faults_are_named(world):
    world.ledger.store.db = Faulty(
        world.ledger.store.db, 1, lambda: sqlite3.OperationalError("disk I/O error"), False
    )
    try:
        with pytest.raises(PaylakeError, match=r"nothing|restore|check the disk"):
            world.do("payment")
    finally:
        world.ledger.store.db = world.ledger.store.db._db
