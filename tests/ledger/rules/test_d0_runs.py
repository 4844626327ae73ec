"""One account that keeps its money keeps no other merchant's run back."""

from __future__ import annotations

import pytest

from ledger.domain.actors import LEDGER, Actor
from ledger.entrypoints.operations import verify
from ledger.service.day_run import _further, run_key
from ledger.service.faults import RequestRefused
from paylake.crypto import PrivateKey
from tests.ledger.conftest import ANN, at
from tests.ledger.rules.words import CNY, PLAIN, days, funds, on, posted, refused, run

PENDING = {"account_id": "2201:M1", "reason": "asked", **CNY}


def _paid_in(world, *merchants):
    for merchant in merchants:
        posted(world.do("payment", merchant_id=merchant, **PLAIN))


def _floor(world, least, account="2201:M1"):
    world.approved("account_floor", floor_minor=least, **{**PENDING, "account_id": account})


def _status(world, status, account="2201:M1"):
    change = {"status": status, **PENDING, "account_id": account}
    if status == "normal":
        world.approved("account_status", **change)
    else:
        world.register("account_status", **change)


def test_d0_07_the_run_pays_what_lies_above_the_floor_of_one_account(world, settings):
    _paid_in(world, "M1", "M2")
    _floor(world, 4_000)
    ran = run(world, 0)
    assert (ran.amounts, ran.not_paid) == ({"settlement": 16_000}, [])
    assert world.balance("2201:M1") == 4_000
    again = run(world, 0)
    assert (again.booked, again.not_paid) == ({}, [
        {"account_id": "2201:M1", "due_minor": 4_000, "reason": "held"}
    ])
    assert verify(settings).broken is None


def test_d0_07_the_run_of_bank_managed_money_keeps_to_the_floor_too(world):
    world.merchant("MB", settlement_mode="bank")
    world.open([("9001", None), ("9201", "MB")])
    _paid_in(world, "MB", "M2")
    _floor(world, 4_000, "9201:MB")
    assert run(world, 0).amounts == {"settlement": 16_000}
    assert run(world, 0).booked == {}


@pytest.mark.parametrize("kept", [
    lambda world: _status(world, "no_debit"),
    lambda world: _status(world, "frozen"),
    lambda world: _floor(world, 10_000),
    lambda world: world.register("hold", hold_id="H", hold_kind="suspicious", case_number="C",
                                 account_id="2201:M1", **CNY),
])
def test_d0_16_money_that_is_kept_keeps_nobody_elses_payout_back(world, settings, kept):
    _paid_in(world, "M1", "M2")
    kept(world)
    ran = run(world, 0)
    assert (ran.amounts, ran.not_paid) == ({"settlement": 10_000}, [
        {"account_id": "2201:M1", "due_minor": 10_000, "reason": "held"}
    ])
    assert run(world, 0).booked == {}
    assert verify(settings).broken is None


def test_d0_16_what_was_kept_is_paid_by_the_same_dates_run_once_it_is_free(world):
    _paid_in(world, "M1", "M2")
    _status(world, "frozen")
    assert run(world, 0).amounts == {"settlement": 10_000}
    _status(world, "normal")
    assert run(world, 0).amounts == {"settlement": 10_000}


def test_d0_09_an_offset_keeps_to_floor_and_status_as_well(world):
    funds(world)
    posted(world.do("fee", amount_minor=7_000))
    assert run(world, 0).amounts == {"shortfall": 7_000}
    when = on(world, 1)
    for merchant in ("M1", "M2"):
        posted(world.do("payment", merchant_id=merchant, **PLAIN, **when))
    _floor(world, 8_000)
    _status(world, "no_debit")
    assert run(world, 1).amounts == {"settlement": 10_000}
    _status(world, "normal")
    assert run(world, 1).amounts == {"offset": 2_000}
    world.close(days(0))
    world.close(days(1))


@pytest.mark.parametrize("kept", [
    lambda world: _status(world, "no_debit", "1001"),
    lambda world: _floor(world, 15_000, "1001"),
])
def test_d0_03_payouts_that_the_banks_account_cannot_bear_are_listed_and_keep_their_keys(
    world, settings, kept
):
    _paid_in(world, "M1", "M2")
    kept(world)
    ran = run(world, 0)
    assert ran.booked == {}
    reason = ran.not_paid[0]["reason"]
    assert reason in ("account_status", "below_floor")
    assert ran.not_paid == [
        {"merchant_id": name, "type": "settlement", "due_minor": 10_000, "reason": reason}
        for name in ("M1", "M2")
    ]
    _status(world, "normal", "1001") if reason == "account_status" else _floor(world, 0, "1001")
    assert run(world, 0).amounts == {"settlement": 20_000}
    assert verify(settings).broken is None


def test_d0_09_a_shortfall_without_an_account_for_it_stops_nobody_else(world):
    world.merchant("M3")
    world.open([("2201", "M3")])
    funds(world)
    _paid_in(world, "M1")
    for merchant in ("M2", "M3"):
        posted(world.do("fee", merchant_id=merchant, amount_minor=700))
    ran = run(world, 0)
    assert ran.amounts == {"shortfall": 700, "settlement": 10_000}
    assert [line["reason"] for line in ran.not_paid if "type" in line] == ["account_not_open"]
    world.open([("1201", "M3")])
    assert run(world, 0).amounts == {"shortfall": 700}


def test_d0_07_a_payout_by_hand_is_refused_by_the_floor(world):
    _paid_in(world, "M1")
    _floor(world, 4_000)
    assert refused(world.do("settlement", amount_minor=6_001), "below_floor")


def _taken(world, key, how, when):
    """Somebody takes a key that a run would give: whatever comes of the command."""
    if how == "refused":
        asked = {"stop_id": "X", "stop_scope": "all", "stop_mode": "everything", "reason": "r"}
        refused(world.send("stop", Actor("operator", "stranger"), idempotency_key=key, **asked,
                           **when), "no_right")
    elif how == "waits":
        legs = [{"account_id": "6001", "direction": side, "amount_minor": 1, "component": "fee",
                 **CNY} for side in "DC"]
        waits = world.send("adjustment", ANN, adjustment_id=key, legs=legs, incident_number="I",
                           reason="r", **when)
        assert waits["status"] == "pending", waits
    else:
        name = {"posted": "idempotency_key", "business key": "authorisation_id"}[how]
        posted(world.send("authorise", ANN, **{
            "authorisation_id": f"Z{world.number}", "payer_id": "U1", "payee": "M1",
            "amount_minor": 1, "method": "password", **CNY, **when, name: key,
        }))


TAKEN = pytest.mark.parametrize("how", ["refused", "posted", "business key", "waits"])


@TAKEN
def test_d0_07_a_run_whose_key_was_taken_pays_all_the_same(world, settings, how):
    """Anybody can guess the key, and needs no right to take it: a refusal keeps it, too."""
    world.approved("operator", operator_id="stranger", operator_name="s", enabled=True,
                   public_key=PrivateKey.generate().public.point)
    _paid_in(world, "M1", "M2")
    first = run_key("settlement", days(0), "M1", "CNY")
    for passed in range(3):
        _taken(world, _further("settlement", first, passed), how, {})
    ran = run(world, 0)
    assert (ran.amounts, ran.not_paid) == ({"settlement": 20_000}, [])
    for merchant in ("M1", "M2"):
        posted(world.do("payment", merchant_id=merchant, **PLAIN))
    again = run(world, 0)
    assert (again.booked, again.not_paid) == ({}, [])
    assert world.balance("2201:M1") == 10_000  # the run of the next date pays it
    assert verify(settings).broken is None


@TAKEN
def test_d0_21_nobody_keeps_a_penalty_or_a_close_back_by_taking_the_runs_key(
    world, settings, how
):
    world.approved("operator", operator_id="stranger", operator_name="s", enabled=True,
                   public_key=PrivateKey.generate().public.point)
    funds(world)
    posted(world.send("advance", movement_id="A", merchant_id="M1", amount_minor=100_000,
                      case_number="C1", **CNY))
    world.close()
    _taken(world, run_key("penalty", days(1), "M1", "CNY"), how, on(world, 1))
    with pytest.raises(RequestRefused) as caught:
        world.close(days(1))  # what stands under the key is no penalty of a run
    assert caught.value.reason == "fee_not_accrued"
    world.ledger.set_clock(at(days(1), "22:59:59"))
    assert run(world, 1).amounts == {"penalty": 1_000}
    assert run(world, 1).booked == {}
    assert world.balance("1203:M1") == 1_000
    assert world.close(days(1))["replayed"] is False
    assert verify(settings).broken is None


def test_d0_21_a_penalty_by_hand_is_not_the_runs(world):
    """Under the run's key or another: the day's penalty is what the ledger counts itself."""
    funds(world)
    posted(world.send("advance", movement_id="A", merchant_id="M1", amount_minor=100_000,
                      case_number="C1", **CNY))
    world.close()
    key = run_key("penalty", days(1), "M1", "CNY")
    posted(world.send("penalty", ANN, idempotency_key=key, movement_id=key, merchant_id="M1",
                      amount_minor=1, **CNY, **on(world, 1)))
    assert run(world, 1).amounts == {"penalty": 1_000}
    assert world.balance("1203:M1") == 1_001


def test_d0_21_what_a_run_left_refused_is_booked_by_a_later_one(world):
    """Logs of before have refusals of the ledger's own under the keys of runs."""
    funds(world)
    posted(world.send("advance", movement_id="A", merchant_id="M1", amount_minor=100_000,
                      case_number="C1", **CNY))
    world.close()
    key = run_key("penalty", days(1), "M1", "CNY")
    posted(world.send("stop", stop_id="S", stop_scope="merchant", stop_target="M1",
                      stop_mode="everything", reason="r", **on(world, 1)))
    refused(world.send("fee", LEDGER, idempotency_key=key, fee_id=key, merchant_id="M1",
                       amount_minor=1, notice_number="N", **CNY, **on(world, 1)), "stopped")
    assert run(world, 1).amounts == {"penalty": 1_000}
    assert run(world, 1).booked == {}
