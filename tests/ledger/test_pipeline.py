"""Units of work that overlap: one is planned while the one before is being written."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager

import pytest

from ledger.entrypoints.operations import verify
from ledger.service.command import read
from ledger.service.folding import Fold
from ledger.service.ledger import Job
from ledger.service.posting import Batch
from ledger.service.turns import take_turns
from paylake.errors import TransientFault
from tests.ledger.conftest import SYSTEM

FEES = {"issuer_fee_minor": 0, "network_fee_minor": 0, "acquirer_fee_minor": 0}


class Slow:
    """The storage's transactions, each held until it is let go, or made to fail."""

    def __init__(self, store, monkeypatch) -> None:
        self.started, self.go = threading.Semaphore(0), threading.Semaphore(0)
        self.faults: list[Exception] = []
        real = store.transaction

        @contextmanager
        def transaction():
            self.started.release()
            assert self.go.acquire(timeout=20)
            with real():
                yield
                if self.faults:
                    raise self.faults.pop(0)

        monkeypatch.setattr(store, "transaction", transaction)


@pytest.fixture
def slow(world, monkeypatch) -> Slow:
    return Slow(world.ledger.store, monkeypatch)


def job(world, type_="payment", **values) -> Job:
    return Job([world.command(type_, **values)], SYSTEM, "")


def status(results) -> list[str]:
    return [r.get("reason", r["status"]) for part in results for r in part]


def begin_two(world, slow, one: Job, two: Job):
    """Begin both; the second is planned while the first waits for its transaction."""
    ledger = world.ledger
    first = ledger.begin([one])
    assert slow.started.acquire(timeout=20)
    made: list = []
    thread = threading.Thread(target=lambda: made.append(ledger.begin([two])))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive() and not first.done()  # planned; waits for the first to be written
    slow.go.release()
    slow.go.release()
    thread.join(20)
    return first, made[0]


def test_the_second_sees_what_the_first_does_before_it_is_written(world, slow):
    before = world.balance("2201:M1")
    pay = job(world, transaction_id="P1", amount_minor=1000, issuer_fee_minor=0,
              network_fee_minor=0, acquirer_fee_minor=0)
    back = job(world, "refund", original_transaction_id="P1", amount_minor=400,
               issuer_fee_minor=0, network_fee_minor=0, acquirer_fee_minor=0)
    first, second = begin_two(world, slow, pay, back)
    assert status(first.result(20)) == status(second.result(20)) == ["posted"]
    world.ledger.settle()
    assert world.balance("2201:M1") == before + 600
    assert verify(world.settings).broken is None


def test_the_same_key_in_both_posts_once(world, slow):
    one = job(world, transaction_id="P1")
    first, second = begin_two(world, slow, one, one)
    (a,), (b,) = first.result(20)[0], second.result(20)[0]
    assert b == {**a, "replayed": True}
    world.ledger.settle()
    assert world.ledger.head.sequence == a["sequence"]


def test_a_write_that_fails_undoes_itself_and_the_second_is_planned_again(world, slow):
    head = world.ledger.head.sequence
    slow.faults.append(TransientFault("cut", "send it again"))
    pay = job(world, transaction_id="P1", amount_minor=1000, issuer_fee_minor=0,
              network_fee_minor=0, acquirer_fee_minor=0)
    back = job(world, "refund", original_transaction_id="P1", amount_minor=400,
               issuer_fee_minor=0, network_fee_minor=0, acquirer_fee_minor=0)
    first, second = begin_two(world, slow, pay, back)
    with pytest.raises(TransientFault):
        first.result(20)
    assert status(second.result(20)) == ["original_unknown"]  # its payment was never written
    world.ledger.settle()
    assert world.ledger.head.sequence == head + 1
    assert world.balance("2201:M1") == 0
    slow.go.release()
    assert status(world.ledger.apply_all([pay])) == ["posted"]
    assert verify(world.settings).broken is None


def test_the_third_unit_that_fails_is_undone_whole(world, slow):
    """Two were taken in since it was planned: what of the changes is its own is still known."""
    for _ in range(3):
        slow.go.release()
    jobs = [job(world, transaction_id=f"P{n}", **FEES) for n in range(3)]
    first = world.ledger.begin([jobs[0], jobs[0]])
    second = world.ledger.begin([jobs[1]])
    assert status(first.result(20)) == ["posted", "posted"]
    assert status(second.result(20)) == ["posted"]
    before = world.balance("2201:M1"), world.balance("1001")
    slow.faults.append(TransientFault("cut", "send it again"))
    third = world.ledger.begin([jobs[2]])
    with pytest.raises(TransientFault):
        third.result(20)
    world.ledger.settle()
    assert (world.balance("2201:M1"), world.balance("1001")) == before
    slow.go.release()
    assert verify(world.settings).broken is None


def test_a_plan_that_fails_leaves_the_one_being_written_alone(world, slow, monkeypatch):
    ledger = world.ledger
    first = ledger.begin([job(world, transaction_id="P1")])
    assert slow.started.acquire(timeout=20)
    monkeypatch.setattr(
        ledger.pipeline.reads.reader, "find_business_keys",
        lambda keys: (_ for _ in ()).throw(TransientFault("cut", "again")),
    )
    with pytest.raises(TransientFault):
        ledger.begin([job(world, transaction_id="P2")])
    monkeypatch.undo()
    slow.go.release()
    assert status(first.result(20)) == ["posted"]
    ledger.settle()
    assert status(ledger.apply_all([job(world, transaction_id="P2")])) == ["posted"]
    assert verify(world.settings).broken is None


def test_units_overlap_only_with_a_connection_to_read_by(world, monkeypatch):
    """One that could not be opened at first is asked for again: the writer's own is in use."""
    ledger, beside = world.ledger, world.ledger.store.beside

    def full():
        raise TransientFault("too many connections", "send it again")

    monkeypatch.setattr(ledger.store, "beside", full)
    for _ in range(2):
        with pytest.raises(TransientFault):
            ledger.begin([job(world)])
    monkeypatch.setattr(ledger.store, "beside", beside)
    assert status(ledger.begin([job(world)]).result(20)) == ["posted"]
    assert ledger.pipeline.reads.reader is not ledger.store
    ledger.settle()
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("many", [1, 1000])
def test_the_fold_is_written_down_between_units_alone(world, monkeypatch, many):
    monkeypatch.setattr("ledger.service.ledger.CHECKPOINT_ENTRIES", 20)
    monkeypatch.setattr("ledger.service.units._MANY", many)
    ledger = world.ledger
    ledger.settle()
    for n in range(12):
        jobs = [job(world, transaction_id=f"C{n}-{m}") for m in range(7)]
        written = ledger.begin(jobs)
    assert status(written.result(20)) == ["posted"] * 7
    ledger.settle()
    assert len(ledger.history) < 20
    assert verify(world.settings).broken is None
    world.reopen()
    assert world.ledger.head.journal == 84


def test_the_breaker_stops_before_what_was_planned_meanwhile(world, slow):
    for _ in range(20):
        slow.go.release()
    world.approved("breaker", window_seconds=3600, least_count=4,
                   refused_percent=50)
    bad = [world.command("settlement", amount_minor=10**9) for _ in range(8)]
    ledger = world.ledger
    first = ledger.begin([Job(bad, SYSTEM, "")])
    second = ledger.begin([job(world, transaction_id="P9")])
    assert set(status(first.result(20))) == {"below_floor"}
    assert status(second.result(20)) == ["stopped"]
    ledger.settle()
    assert verify(world.settings).broken is None


def due(world, slow, monkeypatch) -> None:
    """A payment of 1000 of which 400 went back, written; the next unit finds a checkpoint due."""
    monkeypatch.setattr("ledger.service.ledger.CHECKPOINT_ENTRIES", 2)
    slow.go.release()
    world.ledger.checkpoint()
    slow.go.release()
    written = world.ledger.begin([
        job(world, transaction_id="P1", amount_minor=1000, **FEES),
        job(world, "refund", original_transaction_id="P1", amount_minor=400, **FEES),
    ])
    assert status(written.result(20)) == ["posted", "posted"]
    while slow.started.acquire(blocking=False):
        continue


def test_units_go_on_while_a_checkpoint_is_written(world, slow, monkeypatch):
    due(world, slow, monkeypatch)
    ledger, sequence = world.ledger, world.ledger.head.sequence
    again = ledger.begin([
        job(world, "refund", original_transaction_id="P1", amount_minor=601, **FEES),
        job(world, "refund", original_transaction_id="P1", amount_minor=500, **FEES),
    ])
    assert slow.started.acquire(timeout=20)  # the checkpoint, which is held
    assert ledger.store.checkpoint().sequence < sequence + 2
    slow.go.release()
    slow.go.release()
    assert status(again.result(20)) == ["exceeds_original", "posted"]
    slow.go.release()
    ledger.settle()
    assert world.balance("2201:M1") == 100
    assert ledger.history.balance(
        ledger.store, "2201:M1", "CNY", "2026-09-12", "2026-09-12T15:59:59Z"
    ) == -100
    assert verify(world.settings).broken is None
    slow.go.release()
    world.reopen()
    assert world.balance("2201:M1") == 100


def test_units_are_written_while_a_large_checkpoint_is_made_ready(world, monkeypatch):
    monkeypatch.setattr("ledger.service.ledger.CHECKPOINT_ENTRIES", 4)
    monkeypatch.setattr("ledger.service.units._MANY", 1)
    world.ledger.settle()
    before = world.ledger.store.checkpoint()
    go, prepare = threading.Event(), Fold.prepare

    def held(fold):
        assert go.wait(20)
        prepare(fold)

    monkeypatch.setattr(Fold, "prepare", held)
    ledger = world.ledger
    for number in range(4):
        written = ledger.begin([
            job(world, transaction_id=f"P{number}-{n}", amount_minor=1000, **FEES)
            for n in range(2)
        ])
        assert status(written.result(20)) == ["posted"] * 2
    assert ledger.store.checkpoint() == before and not ledger.pipeline.idle
    go.set()
    ledger.settle()
    assert ledger.store.checkpoint().sequence == ledger.head.sequence
    assert world.balance("2201:M1") == 8000
    assert verify(world.settings).broken is None
    world.reopen()
    assert world.balance("2201:M1") == 8000


def test_a_checkpoint_that_fails_is_part_of_the_next(world, slow, monkeypatch, caplog):
    due(world, slow, monkeypatch)
    ledger = world.ledger
    slow.faults.append(TransientFault("cut", "send it again"))
    more = ledger.begin([job(world, transaction_id="P2", amount_minor=50, **FEES)])
    slow.go.release()
    slow.go.release()
    assert status(more.result(20)) == ["posted"]
    slow.go.release()
    ledger.settle()
    assert "the checkpoint could not be written" in caplog.text
    assert ledger.store.checkpoint().sequence == ledger.head.sequence
    assert ledger.history.balance(
        ledger.store, "2201:M1", "CNY", "2026-09-12", "2026-09-12T15:59:59Z"
    ) == -650
    assert verify(world.settings).broken is None


def test_what_was_found_of_a_party_holds_until_a_register_changes(world):
    def pays(name: str) -> dict:
        return world.command("payment", transaction_id=name)

    def places(mode: str, number: int) -> dict:
        return {
            "type": "stop", "idempotency_key": f"stop-{number}", "stop_id": f"ST{number}",
            "occurred_at": "2026-09-12T02:00:00Z", "stop_scope": "merchant",
            "stop_target": f"M{number}", "stop_mode": mode, "reason": "fraud",
        }

    results = world.ledger.apply([
        pays("P1"), pays("P2"), places("everything", 2), pays("P3"),
        places("new_business", 1), pays("P4"),
        world.command("refund", original_transaction_id="P1", amount_minor=1, **FEES),
    ], SYSTEM)
    assert status([results]) == [
        "posted", "posted", "posted", "posted", "posted", "stopped", "posted"
    ]
    assert status([world.ledger.apply([pays("P5")], SYSTEM)]) == ["stopped"]


def test_other_threads_have_their_turn_while_a_batch_is_planned(world):
    """Also where all of the planning is compiled code, which asks nobody."""
    commands = [world.command("payment") for _ in range(1000)]
    told: list[int] = []
    ended = threading.Event()
    batch = Batch(world.ledger, SYSTEM, "", world.ledger.head.copy())

    def wanting() -> None:
        while not ended.is_set():
            told.append(len(batch.booked.rows))
            time.sleep(0)  # gives the lock up, so each turn is asked for anew

    forms = [read(world.ledger, command, own=False) for command in commands]
    other = threading.Thread(target=wanting)
    before = sys.getswitchinterval()
    take_turns()
    other.start()
    try:
        batch.run(commands, forms)
    finally:
        ended.set()
        other.join()
        sys.setswitchinterval(before)
        world.ledger.state.back()
    assert len(batch.booked.rows) == 1000
    assert len({count for count in told if 0 < count < 1000}) > 2
