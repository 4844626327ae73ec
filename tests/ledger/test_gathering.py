"""Requests that wait are posted together and answered apart."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from ledger.domain.operations import Operations
from ledger.entrypoints.gathering import Gathering
from ledger.entrypoints.operations import verify
from ledger.service.faults import RequestRefused
from ledger.service.ledger import Job
from paylake.errors import TransientFault
from tests.ledger.conftest import SYSTEM
from tests.ledger.rules.words import PLAIN


def gather(world, jobs, before=None):
    """Post jobs at the same moment; results or errors, and the sizes of the transactions."""
    sizes = []

    writer = ThreadPoolExecutor(1)

    def call_after(call, given):
        if before is not None:
            before(given)
        return call(given)

    def submit(call, given):
        sizes.append(len(given))
        return writer.submit(call_after, call, given)

    async def run():
        gathering = Gathering(world.ledger, submit)
        return await asyncio.gather(
            *(gathering.post(job) for job in jobs), return_exceptions=True
        )

    results = asyncio.run(run())
    world.ledger.settle()
    return results, sizes


def test_what_waits_goes_together_in_order(world):
    jobs = [Job([world.command("payment", transaction_id=f"G{n}")], SYSTEM, "")
            for n in range(50)]
    results, sizes = gather(world, jobs)
    assert [r[0]["status"] for r in results] == ["posted"] * 50
    sequences = [r[0]["sequence"] for r in results]
    assert sequences == sorted(sequences) and sum(sizes) == 50 and len(sizes) < 5


def test_the_same_key_from_two_senders_posts_once(world):
    command = world.command("payment")
    results, _ = gather(world, [Job([command], SYSTEM, "") for _ in range(5)])
    assert sorted(r[0]["replayed"] for r in results) == [False, True, True, True, True]


def test_what_the_log_has_is_told_from_what_is_new(world):
    old = Job([world.command("payment", transaction_id="G1")], SYSTEM, "")
    (first,), _ = gather(world, [old])
    taken = Job([world.command("payment", transaction_id="G1")], SYSTEM, "")
    new = Job([world.command("payment", transaction_id="G2")], SYSTEM, "")
    malformed = Job([{"type": ["payment"]}, {}, 7], SYSTEM, "")
    results, sizes = gather(world, [old, taken, new, malformed])
    assert sizes == [4]
    assert results[0] == [{**first[0], "replayed": True}]
    assert results[1][0]["reason"] == "business_key_taken"
    assert results[2][0]["status"] == "posted"
    assert [r["reason"] for r in results[3]] == ["unknown_type", "unknown_type", "not_an_object"]


def test_no_transaction_is_larger_than_a_batch(world):
    jobs = [Job([world.command("payment") for _ in range(400)], SYSTEM, "") for _ in range(5)]
    results, sizes = gather(world, jobs)
    assert all(r[0]["status"] == "posted" for r in results) and max(sizes) <= 2
    assert world.ledger.head.journal == 2000


def test_a_fault_that_one_request_meets_is_not_the_others(world):
    """They are posted, in order, each by itself."""
    known = world.ledger.operations
    payment = known.by_type["payment"]

    def plan(values, context):
        if values["amount_minor"] == 13:
            raise OverflowError("a fault of the program")
        return payment.plan(values, context)

    world.ledger.operations = Operations(
        {**known.by_type, "payment": replace(payment, plan=plan)}, known.versions
    )
    jobs = [Job([world.command("payment", amount_minor=amount, **PLAIN)], SYSTEM, "")
            for amount in (100, 200, 13, 300)]
    results, _ = gather(world, jobs)
    assert isinstance(results[2], OverflowError)
    assert [results[n][0]["status"] for n in (0, 1, 3)] == ["posted"] * 3
    assert world.balance("2201:M1") == 600
    assert verify(world.settings).broken is None


def test_a_fault_of_the_storage_undoes_all_and_reaches_each(world):
    failing = [True]

    def before(_):
        if failing.pop() if failing else False:
            raise TransientFault("cut", "send it again")

    jobs = [Job([world.command("payment")], SYSTEM, "") for _ in range(3)]
    head = world.ledger.head.sequence
    results, _ = gather(world, jobs, before)
    assert all(isinstance(r, TransientFault) for r in results)
    assert world.ledger.head.sequence == head
    results, _ = gather(world, jobs)
    assert all(r[0]["status"] == "posted" for r in results)


def test_an_empty_or_too_large_job_is_refused_by_name(world):
    results, _ = gather(world, [Job([], SYSTEM, ""), Job([{}] * 1001, SYSTEM, "")])
    assert [r.reason for r in results if isinstance(r, RequestRefused)] == [
        "batch_empty", "batch_too_large",
    ]


class Held:
    """Stands for a ledger whose transactions end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[tuple[list[Job], Future]] = []

    def begin(self, jobs):
        self.begun.append((jobs, Future()))
        return self.begun[-1][1]

    def end(self, number: int) -> None:
        jobs, written = self.begun[number]
        written.set_result([[{"status": "posted"}] * len(job.raws) for job in jobs])

    def sizes(self) -> list[int]:
        return [sum(len(job.raws) for job in jobs) for jobs, _ in self.begun]


def test_a_few_wait_for_the_flush_under_way_and_many_do_not():
    held = Held()

    def submit(call, given):
        begun = Future()
        begun.set_result(call(given))
        return begun

    async def sent(gathering, number):
        task = asyncio.create_task(gathering.post(Job([{}] * number, SYSTEM, "")))
        for _ in range(5):  # whatever can go on has gone on
            await asyncio.sleep(0)
        return task

    async def run():
        gathering = Gathering(held, submit)
        tasks = [await sent(gathering, 1) for _ in range(4)]
        assert held.sizes() == [1]
        held.end(0)
        await tasks[0]
        await asyncio.sleep(0.01)
        assert held.sizes() == [1, 3]  # those that waited share one
        tasks.append(await sent(gathering, 600))
        assert held.sizes() == [1, 3, 600]  # enough for one beside it
        for number in (1, 2):
            held.end(number)
        assert [len(r) for r in await asyncio.gather(*tasks)] == [1, 1, 1, 1, 600]

    asyncio.run(run())


def test_the_writer_has_the_next_transaction_at_hand_and_no_more():
    began, go_on = [], []

    def submit(call, given):
        began.append(sum(len(job.raws) for job in given))
        begun = Future()
        go_on.append(lambda: begun.set_result(call(given)))
        return begun

    async def run():
        held = Held()
        gathering = Gathering(held, submit)
        tasks = [
            asyncio.create_task(gathering.post(Job([{}] * 1000, SYSTEM, ""))) for _ in range(4)
        ]
        await asyncio.sleep(0.01)
        assert began == [1000, 1000]  # the second while the first is planned
        go_on[0]()
        await asyncio.sleep(0.01)
        assert began == [1000, 1000, 1000]
        for number in (1, 2, 3):
            go_on[number]()
            await asyncio.sleep(0.01)
        for number in range(4):
            held.end(number)
        assert [len(found) for found in await asyncio.gather(*tasks)] == [1000] * 4

    asyncio.run(run())
