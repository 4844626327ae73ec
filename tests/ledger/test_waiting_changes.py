"""A change that waits for its checker is one of what was there when it was entered."""

from __future__ import annotations

import pytest

from ledger.entrypoints.operations import verify
from paylake.crypto import PrivateKey
from tests.ledger.conftest import ANN, BEN, DAY
from tests.ledger.rules.words import CNY, posted, refused

ACCOUNT = {"account_id": "2101:U1", "reason": "asked", **CNY}
LIMIT = {"limit_id": "L", "scene": "payment", "account_code": "2201", **CNY,
         "valid_from": DAY.isoformat()}
TARIFF = {"tariff_id": "T", "third_party_ppm": 1, "least_minor": 0, "approval_bound": "none"}


def _caller(rate):
    return {"caller_id": "C1", "party_id": "M1", "on_behalf": [], "enabled": True,
            "rates": {"transaction": rate}, "public_key": "00" * 63 + f"{rate:02x}"}


def _stale(world, waits):
    """Its approval is refused and leaves what is there; rejected it waits no more."""
    assert refused(world.approve(waits["sequence"]), "register_differs")
    posted(world.send("reject", BEN, pending=waits["sequence"], operator_id="ben", reason="stale"))
    assert verify(world.settings).broken is None


def test_d0_16_a_freeze_that_came_since_is_not_ended_by_what_was_entered_before(world):
    world.register("account_status", status="no_debit", **ACCOUNT)
    waits = world.send("account_status", ANN, status="normal", **ACCOUNT)
    world.register("account_status", ANN, status="frozen", **ACCOUNT)
    _stale(world, waits)
    assert world.ledger.state.account("2101:U1", "CNY").status == "frozen"
    world.approved("account_status", status="normal", **ACCOUNT)


def test_d2_10_a_later_stop_of_the_same_name_is_not_lifted(world):
    stop = {"stop_id": "S", "reason": "x"}
    world.register("stop", stop_scope="merchant", stop_target="M1", stop_mode="everything", **stop)
    first, second = (world.send("stop_lift", ANN, **stop) for _ in range(2))
    posted(world.approve(first["sequence"]))
    world.register("stop", stop_scope="all", stop_mode="everything", **stop)
    _stale(world, second)
    assert world.ledger.state.get("stop", "S")["scope"] == "all"
    world.approved("stop_lift", **stop)


def test_d0_46_a_later_suspension_on_the_same_ground_is_not_lifted(world):
    """Of two that lift the first, one is left over; the second suspension has other evidence."""
    def suspended(evidence):
        world.approved("party_state", party_id="M1", state="suspended", suspension_ground="7",
                       evidence=evidence)
    lift = {"party_id": "M1", "state": "active", "suspension_ground": "7"}
    suspended("DOC-1")
    first, second = (world.send("party_state", ANN, **lift) for _ in range(2))
    posted(world.approve(first["sequence"]))
    suspended("DOC-2")
    _stale(world, second)
    assert world.ledger.state.get("party", "M1")["evidence"] == "DOC-2"
    world.approved("party_state", **lift)
    assert world.ledger.state.get("party", "M1")["state"] == "active"


@pytest.mark.parametrize(("type_", "asked", "since"), [
    ("party", {"party_id": "M1", "party_kind": "merchant", "details": {"shop": "old"}},
     {"party_id": "M1", "party_kind": "merchant", "details": {"shop": "new"}}),
    ("limit", {**LIMIT, "day_minor": 1_000}, {**LIMIT, "day_minor": 100}),
    ("tariff", {**TARIFF, "bank_ppm": 9}, {**TARIFF, "tariff_id": "T2", "bank_ppm": 5}),
    ("breaker", {"window_seconds": 9, "least_count": 9, "refused_percent": 90},
     {"window_seconds": 60, "least_count": 3, "refused_percent": 50}),
    ("grade_change", {"party_id": "M1", "grade": "low_risk", "evidence": "E"},
     {"party_id": "M1", "grade": "high_risk", "evidence": "E"}),
    ("account_floor", {"floor_minor": 1, **ACCOUNT}, {"floor_minor": 900, **ACCOUNT}),
    ("caller", _caller(99), _caller(1)),
])
def test_d4a_09_of_two_that_wait_the_second_does_not_replace_the_first_unseen(
    world, type_, asked, since
):
    waits = world.send(type_, ANN, **asked)
    assert waits["status"] == "pending", waits
    world.approved(type_, **since)
    world.ledger.checkpoint()
    world.reopen()
    _stale(world, waits)
    again = {**asked, **({"tariff_id": "T3"} if type_ == "tariff" else {})}
    world.approved(type_, **again)  # entered anew it is


def test_d4a_09_a_key_that_was_changed_since_stays(world):
    """An operator's."""
    person = {"operator_id": "ann", "operator_name": "Ann", "enabled": True}
    waits = world.send("operator", ANN, public_key=PrivateKey.generate().public.point, **person)
    key = world.keys["ann"] = PrivateKey.generate()
    world.approved("operator", public_key=key.public.point, **person)
    _stale(world, waits)
    assert world.ledger.state.get("operator", "ann")["public_key"] == key.public.point


def test_d0_42_a_bound_account_that_was_changed_since_stays(world):
    """Of two changes that wait, the second was asked for in place of the account of before."""
    new = {"party_id": "M1", "bound_name": "M", "bank_code": "ICBC"}
    waits = world.send("destination", ANN, destination_id="X1", bound_account="6222", **new)
    world.approved("destination", destination_id="X2", bound_account="6223", **new)
    _stale(world, waits)
    assert [name for name, found in world.ledger.state.table("destination").items()
            if found["party_id"] == "M1"] == ["X2"]
