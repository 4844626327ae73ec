"""One account that keeps its money keeps no other merchant's run back."""

from __future__ import annotations

import pytest

from ledger.entrypoints.operations import verify
from ledger.service.day_run import run_key
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


def test_d0_07_whom_a_run_does_not_pay_since_its_key_was_taken_is_listed(world):
    """A key that somebody used before hides nobody; what the run itself booked is not listed."""
    _paid_in(world, "M1")
    _paid_in(world, "M2")
    posted(world.do("fee", amount_minor=1, idempotency_key=run_key(
        "settlement", days(0), "M1", "CNY")))
    for _ in range(2):
        ran = run(world, 0)
        assert [(line["merchant_id"], line["reason"]) for line in ran.not_paid] == [
            ("M1", "idempotency_key_reused")]
        posted(world.do("payment", merchant_id="M2", **PLAIN))
    assert world.balance("2201:M2") == 20_000  # the run of the next date pays it
