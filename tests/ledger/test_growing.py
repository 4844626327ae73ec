"""What a command costs does not grow with what the ledger keeps: counted, not timed."""

from __future__ import annotations

import pytest

from ledger.domain import guards
from ledger.domain.limits import bounds_batch
from ledger.entrypoints.operations import verify
from tests.ledger.conftest import ANN
from tests.ledger.rules.words import CNY, posted, refused


class Counted(dict):
    """A register that counts how often it is gone through."""

    def __init__(self, *given) -> None:
        super().__init__(*given)
        self.passes = 0

    def _passed(self, found):
        self.passes += 1
        return found

    def __iter__(self):
        return self._passed(super().__iter__())

    def values(self):
        return self._passed(super().values())

    def items(self):
        return self._passed(super().items())


def counted(world, table: str) -> Counted:
    """A register of the world's that counts from now on."""
    found = world.ledger.state.tables[table] = Counted(world.ledger.state.table(table))
    return found


def test_what_a_denial_leaves_is_known_without_the_other_holds(world):
    """By denials and reversals, after a start, and when what was frozen is taken back or freed."""
    numbers = [f"P{number}" for number in range(6)]
    paid = [posted(world.do("payment", transaction_id=number)) for number in numbers]
    state = world.ledger.state
    state.holds = Counted(state.holds)
    for number in numbers[:4]:
        posted(world.send("denied_payment", hold_id=f"H{number}", case_number="N",
                          original_transaction_id=number))
        again = world.send("denied_payment", hold_id=f"A{number}", case_number="N",
                           original_transaction_id=number)
        assert refused(again, "exceeds_original")
    undone = world.send("reversal", ANN, adjustment_id="AD", incident_number="I", reason="wrong",
                        journal_id=paid[0]["journal_id"])
    assert refused(undone, "exceeds_original") and "frozen" in undone["detail"]
    assert state.holds.passes == 0
    before = dict(state.frozen)
    world.ledger.checkpoint()
    world.reopen()
    assert world.ledger.state.frozen == before and set(before) == set(numbers[:4])
    world.reopen()  # nothing since the checkpoint
    assert world.ledger.state.frozen == before
    dry = {"type": "denied_payment", "hold_id": "D", "case_number": "N",
           "original_transaction_id": "P4", "idempotency_key": "D",
           "occurred_at": world.command("payment")["occurred_at"]}
    (told,) = world.ledger.dry_run([dry])
    assert told["status"] == "posted" and world.ledger.state.frozen == before
    assert verify(world.settings).broken is None


def _stop(world, name, scope="account", target="2101:U2", mode="new_business"):
    return posted(world.send("stop", stop_id=name, stop_scope=scope, stop_target=target,
                             stop_mode=mode, reason="r"))


def test_stops_are_looked_through_once_until_a_register_changes(world):
    for number in range(5):
        _stop(world, f"S{number}")
    stops = counted(world, "stop")
    for _ in range(20):
        posted(world.do("payment"))
        posted(world.do("top_up"))
    assert stops.passes <= 1
    _stop(world, "Z", "account", "2201:M1")
    _stop(world, "B", "merchant", "M1")
    assert "stop B covers M1" in world.do("payment")["detail"]
    posted(world.do("payment", merchant_id="M2"))
    world.approved("stop_lift", stop_id="B", reason="r")
    result = world.do("payment")
    assert refused(result, "stopped") and "stop Z covers 2201:M1" in result["detail"]


def test_a_stop_that_is_placed_while_a_callers_are_looked_for_is_no_fault(world):
    """The event loop asks while the writer's thread goes on."""
    stops = world.ledger.state.table("stop")

    class Meanwhile(dict):
        def __getitem__(self, name):
            stops.setdefault("T", {**self, "id": "T"})
            return super().__getitem__(name)

    for name in ("S", "U"):
        stops[name] = Meanwhile(id=name, scope="caller", target="C1", mode="new_business")
    assert guards.stopped_caller(world.ledger.state, "C1") is None
    assert "T" in stops


@pytest.mark.parametrize("bounds", [{"batch_count": 9}, {"batch_minor": 10**9}])
def test_batches_are_noted_only_while_a_limit_bounds_them(world, bounds):
    limit = {"limit_id": "L", "scene": "payment", "account_code": "2101", **CNY,
             "valid_from": "2026-09-12"}
    state = world.ledger.state
    assert not state.bounds_batches
    world.approved("limit", **limit, **bounds)
    assert state.bounds_batches
    world.approved("limit", **limit, day_minor=10**9)
    assert not state.bounds_batches
    posted(world.do("payment"))
    assert not any(bounds_batch(row) for row in state.table("limit").values())
    assert verify(world.settings).broken is None
