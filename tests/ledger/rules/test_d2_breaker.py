"""Rule D2.10: what the circuit breaker counts, of merchants and of rails."""

from __future__ import annotations

import pytest

from ledger.domain.actors import Actor
from paylake.crypto import PrivateKey
from tests.ledger.conftest import SYSTEM
from tests.ledger.rules.words import CNY, PLAIN, posted, refused, tenant

OF_RAIL = {"breaker_scope": "rail", "window_seconds": 60, "least_count": 3, "refused_percent": 60}
OF_MERCHANT = {**OF_RAIL, "breaker_scope": None}


def _stops(world):
    return [
        (stop["scope"], stop["target"], stop["mode"], stop["placed_by"])
        for stop in world.ledger.state.table("stop").values()
    ]


def _withdrawals(world, number, **values):
    return [
        posted(world.do("withdrawal", withdrawal_id=f"W{n}", **values)) for n in range(number)
    ]


def _results(world, *said):
    for n, result in enumerate(said):
        posted(world.do("withdrawal_result", withdrawal_id=f"W{n}", result=result))


def test_d2_10_failed_results_of_the_bank_stop_the_rail(world):
    """With why, who and how much; the other rail and what is under way go on."""
    world.do("top_up", amount_minor=1_000_000)
    world.approved("breaker", **OF_RAIL)
    _withdrawals(world, 6)
    _results(world, "unknown", "failed", "succeeded")
    assert not _stops(world)  # 1 of 2: requests count for nothing, nor does what is not known
    posted(world.do("withdrawal_result", withdrawal_id="W3", result="failed"))
    assert _stops(world) == [("rail", "bank", "new_business", "system:ledger")]
    (stop,) = world.ledger.state.table("stop").values()
    assert stop["reason"] == (
        "2 of 3 commands over bank refused or failed within 60 seconds, 20000 minor units in all"
    )
    assert refused(world.do("withdrawal"), "stopped")
    posted(world.do("withdrawal", via="third_party", fee_minor=100))
    posted(world.do("withdrawal_result", withdrawal_id="W4", result="succeeded"))
    world.approved("stop_lift", stop_id=stop["id"], reason="the bank is back")
    posted(world.do("withdrawal"))


def test_d2_10_payouts_that_come_back_count_against_the_rail_and_the_merchant(world):
    for number in range(3):
        posted(world.do("payment", **PLAIN))
        posted(world.do("settlement", payout_id=f"S{number}"))
    world.approved("breaker", **OF_RAIL)
    world.approved("breaker", **OF_MERCHANT)
    for number in range(3):
        posted(world.send("settlement_returned", return_id=f"R{number}", payout_id=f"S{number}"))
    assert {stop[:2] for stop in _stops(world)} == {("rail", "bank"), ("merchant", "M1")}


def test_d2_10_a_refund_counts_for_the_merchant_of_its_payment(world):
    posted(world.do("payment", transaction_id="P", amount_minor=100, **PLAIN))
    world.approved("breaker", **OF_MERCHANT)
    for _ in range(3):
        assert not _stops(world)
        assert refused(world.do("refund", original_transaction_id="P", amount_minor=101, **PLAIN),
                       "exceeds_original")
    assert [stop[:2] for stop in _stops(world)] == [("merchant", "M1")]


@pytest.mark.parametrize(("type_", "values", "reason"), [
    ("withdrawal", {"fee_minor": 50, "destination_id": "TD", "authorisation": "NONE"},
     "authorisation_unknown"),
    ("top_up", {"amount_minor": 1}, "not_whole_yuan"),
    ("transfer", {"payee_id": "U2", "authorisation": "NONE"}, "authorisation_unknown"),
])
def test_d2_10_a_members_business_counts_for_its_merchant_and_for_the_rail(
    world, type_, values, reason
):
    """A user that belongs to nobody counts for the rail alone."""
    tenant(world)
    world.open([("2101", "TU1")])
    for user in ("U1", "TU1"):
        posted(world.do("top_up", user_id=user, amount_minor=1_000_000))
    world.approved("breaker", **OF_MERCHANT)
    operation = world.ledger.operations.by_type[type_]

    def fail(number, user):
        command = {"amount_minor": 10_000, "user_id": user, **CNY, **values,
                   operation.business_key: f"{type_}-{user}-{number}"}
        assert refused(world.send(type_, **command), reason)

    for number in range(3):
        fail(number, "U1")
    assert not _stops(world)
    for number in range(3):
        fail(number, "TU1")
    assert [stop[:2] for stop in _stops(world)] == [("merchant", "TM")]


def test_d2_10_a_linked_group_counts_once_and_a_stop_counts_for_nothing(world):
    """Only its failing command failed; and what one stop refuses places no other."""
    world.approved("breaker", **OF_RAIL)
    group = [world.command("payment", linked=n < 3, **PLAIN) for n in range(4)]
    group[2]["merchant_id"] = "M9"
    group[2]["amount_minor"] = 7
    results = world.ledger.apply(group, SYSTEM)
    assert [r["reason"] for r in results].count("linked_failed") == 3
    world.register("stop", stop_id="S", stop_scope="merchant", stop_target="M1",
                   stop_mode="everything", reason="x")
    for _ in range(5):
        assert refused(world.do("payment", **PLAIN), "stopped")
    assert [stop[:2] for stop in _stops(world)] == [("merchant", "M1")]
    posted(world.do("payment", merchant_id="M2", **PLAIN))
    assert refused(world.do("payment", merchant_id="M9", **PLAIN), "party_unknown")
    assert [stop[:2] for stop in _stops(world)] == [
        ("merchant", "M1"), ("rail", "unionpay")]  # 2 of 3: the group counted for one


@pytest.mark.parametrize("values", [
    {"merchant_id": "M2"},  # not its merchant
    {"merchant_id": "M2", "value_date": "2026-09-13"},  # refused before that is asked
    {"merchant_id": "M1"},  # it does not report for the rail
])
def test_d2_10_a_caller_does_not_stop_another_merchant_or_a_rail(world, values):
    """By commands that it has no right to send; its own merchant's failures count as before."""
    world.approved("caller", caller_id="C1", party_id="M1", on_behalf=[], enabled=True,
                   rates={"transaction": 100}, public_key=PrivateKey.generate().public.point)
    for rule in (OF_MERCHANT, OF_RAIL):
        world.approved("breaker", **rule)
    caller = Actor("caller", "C1")
    for _ in range(6):
        command = world.of("C1", world.command("payment", **values))
        assert world.ledger.apply([command], caller)[0]["status"] == "refused"
    assert not _stops(world)
    posted(world.do("payment", transaction_id="P", amount_minor=100, **PLAIN))
    for number in range(3):
        assert refused(world.send(
            "refund", caller, transaction_id=f"R{number}", original_transaction_id="P",
            amount_minor=101, **CNY, **PLAIN), "exceeds_original")
    assert {stop[:2] for stop in _stops(world)} == {("merchant", "M1"), ("rail", "unionpay")}


def test_d2_10_what_a_person_had_no_right_to_enter_counts_for_nobody(world):
    world.joins("cid", "guests")
    world.approved("breaker", **OF_MERCHANT)
    for _ in range(3):
        command = world.command("payment", **PLAIN)
        assert refused(world.ledger.apply([command], Actor("operator", "cid"))[0], "no_right")
    assert not _stops(world)


def test_d2_10_nobody_takes_the_number_of_the_breakers_stop(world):
    """It would place none, and say nothing of it."""
    world.approved("breaker", **OF_MERCHANT)
    first = world.ledger.head.sequence
    for number in range(first + 41, first + 81):
        world.send("stop", idempotency_key=f"breaker-{number}", stop_id=f"breaker-{number}",
                   stop_scope="merchant", stop_target="M2", stop_mode="new_business", reason="x")
    for _ in range(3):
        assert refused(world.do("payment", terminal_id="T", **PLAIN), "terminal_not_active")
    assert ("merchant", "M1", "new_business", "system:ledger") in _stops(world)
