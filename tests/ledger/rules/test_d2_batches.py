"""Limits of a batch: what an account may use in one request, by sum and by times (rules D0.45,
D1.22, D2.9), and that `verify` judges it again."""

from __future__ import annotations

from datetime import timedelta

import orjson
import pytest

from ledger.entrypoints.operations import verify
from tests.ledger.conftest import ANN, DAY, SYSTEM, at
from tests.ledger.rules.words import CNY, PLAIN, funds, posted
from tests.ledger.test_verify import _broken, _forge, _request

WAGES = {"scene": "payout_on_behalf", "account_code": "2211"}


def _limit(world, **most):
    world.approved("limit", **{"limit_id": "L", "scene": "payment", "account_code": "2201",
                               "valid_from": DAY.isoformat(), **CNY, **most})


def _payments(world, *amounts, **values):
    return [world.command("payment", amount_minor=n, **PLAIN, **values) for n in amounts]


def _sender(world, signed):
    return (ANN, _request(world)) if signed else (SYSTEM, "")


def _statuses(results):
    return [result.get("reason", result["status"]) for result in results]


@pytest.mark.parametrize(("most", "passed"), [
    ({"batch_minor": 700}, [True, True, False, True]), ({"batch_count": 2}, [True, True, False]),
])
def test_d0_45_a_batch_is_limited_by_sum_and_by_times(world, most, passed):
    """Exactly the limit passes, what is refused does not count, the next batch begins anew."""
    _limit(world, **most)
    amounts = [400, 200, 300, 100][:len(passed)]
    for _ in range(2):
        results = world.ledger.apply(_payments(world, *amounts), SYSTEM)
        assert _statuses(results) == ["posted" if ok else "limit_exceeded" for ok in passed]
    refused = next(result for result in results if result["status"] == "refused")
    assert "a batch of 2201:M1" in refused["detail"] and refused["field"] == "amount_minor"
    for payment in _payments(world, 400, 300, 700):  # each is a batch by itself
        posted(world.ledger.apply([payment], SYSTEM)[0])


def test_d1_22_a_batch_of_wages_is_held_to_the_payers_limit(world):
    """Each payer's own; other scenes and accounts of the batch do not count."""
    funds(world)
    for merchant in ("M1", "M2"):
        posted(world.send("receipt", receipt_id=f"R-{merchant}", amount_minor=9_000, **CNY))
        world.approved("merchant_top_up", application_id=f"A-{merchant}", merchant_id=merchant,
                       receipt_id=f"R-{merchant}", amount_minor=9_000, **CNY)
    _limit(world, batch_minor=2_000, **WAGES)

    def wage(number, merchant):
        return {"type": "payout_on_behalf", "transaction_id": f"W{number}", "fee_minor": 0,
                "idempotency_key": f"w{number}", "merchant_id": merchant, "user_id": "U1",
                "amount_minor": 1_000, "occurred_at": f"{DAY}T10:00:00+08:00", **CNY}

    batch = [wage(1, "M1"), wage(2, "M2"), *_payments(world, 5_000), wage(3, "M1"), wage(4, "M1")]
    assert _statuses(world.ledger.apply(batch, SYSTEM)) == [*["posted"] * 4, "limit_exceeded"]
    assert world.ledger.apply(batch, SYSTEM)[0]["replayed"]  # sent again, nothing is booked


def test_d2_09_a_linked_group_that_fails_uses_nothing_of_its_batch(world):
    _limit(world, batch_minor=500)
    batch = _payments(world, 400, 500)
    batch[0]["linked"] = True
    batch[1]["merchant_id"] = "M9"
    results = world.ledger.apply([*batch, *_payments(world, 500)], SYSTEM)
    assert _statuses(results) == ["linked_failed", "party_unknown", "posted"]


@pytest.mark.parametrize("signed", [True, False])
def test_d2_09_no_posting_crossed_a_batch_s_limit_can_be_proved(world, signed):
    """With the request as evidence, or by the recorded batch alone; after a restart too."""
    _limit(world, batch_minor=500)
    for _ in range(2):
        world.ledger.apply(_payments(world, 200, 300), *_sender(world, signed))
    world.ledger.checkpoint()
    world.reopen()
    assert _statuses(world.ledger.apply(_payments(world, 200, 301), SYSTEM)) == [
        "posted", "limit_exceeded"]
    assert verify(world.settings).broken is None
    uses = [effect for row in world.ledger.store.entries(1, world.ledger.head.sequence)
            if row[4] == "posted" for effect in orjson.loads(row[14]) if effect[0] == "use"]
    assert len({effect[5] for effect in uses}) == 3


@pytest.mark.parametrize(("old", "new", "reason"), [
    ("300,{n}]", "301,{n}]", "it crossed a limit: limit L: 500 minor units a batch of 2201:M1"),
    ("300,{n}]", "300]", "it does not say which batch it is of"),
    ("300,{n}]", "300,{n}0]", "it is not of batch"),
    ("300,{n}]", "300,1]", "it is not of batch 1"),
])
@pytest.mark.parametrize("signed", [True, False])
def test_d2_09_what_crossed_a_batch_s_limit_is_named(world, old, new, reason, signed):
    """Though the chain was recomputed."""
    _limit(world, batch_minor=500)
    number = world.ledger.head.sequence + 1
    world.ledger.apply(_payments(world, 200, 300), *_sender(world, signed))
    _forge(world, "update entry set effects = replace(effects, "
           f"'{old.format(n=number)}', '{new.format(n=number)}')")
    assert reason in _broken(world)


def _ending_holds(world, signed, *, between):
    """Two holds that end on the first date, and a batch of 200 and 300 whose first payment of the
    next date ends them: its own first, or its second. Gives the sequence before the batch."""
    posted(world.do("payment", amount_minor=9_000))
    for name in ("HA", "HB"):
        posted(world.send("hold", hold_id=name, account_id="2201:M1", hold_kind="authority",
                          case_number="N", expires_on=DAY.isoformat(), amount_minor=100, **CNY))
    _limit(world, batch_minor=500)
    number = world.ledger.head.sequence
    first, second = _payments(world, 200, 300)
    later = at(DAY + timedelta(1), "10:00:00")
    world.ledger.set_clock(at(DAY + timedelta(1), "11:00:00"))
    for payment in [second] if between else [first, second]:
        payment["occurred_at"] = later
    results = world.ledger.apply([first, second], *_sender(world, signed))
    assert _statuses(results) == ["posted", "posted"]
    types = [row[2] for row in world.ledger.store.entries(number + 1, world.ledger.head.sequence)]
    ends = ["hold_expiry", "hold_expiry"]
    assert types == (["payment", *ends, "payment"] if between else [*ends, "payment", "payment"])
    return number


@pytest.mark.parametrize("between", [True, False])
@pytest.mark.parametrize("signed", [True, False])
def test_d2_09_holds_that_end_within_a_batch_do_not_break_it(world, signed, between):
    """Their ends, booked by the ledger before a payment, are neither a batch nor another sender's:
    the payments count together, and so `verify` judges them."""
    _ending_holds(world, signed, between=between)
    posted(world.ledger.apply(_payments(world, 500), *_sender(world, signed))[0])
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("between", [True, False])
@pytest.mark.parametrize("signed", [True, False])
def test_d2_09_what_crossed_a_batch_s_limit_behind_ends_of_holds_is_named(world, signed, between):
    """Neither a payment too much nor one that names a batch of its own."""
    number = _ending_holds(world, signed, between=between) + 1
    _forge(world, f"update entry set effects = replace(effects, '300,{number}]', '301,{number}]')")
    assert "it crossed a limit: limit L" in _broken(world)


@pytest.mark.parametrize("between", [True, False])
def test_d2_09_no_payment_leaves_its_signed_batch_behind_ends_of_holds(world, between):
    number = _ending_holds(world, True, between=between) + 1
    _forge(world, f"update entry set effects = replace(effects, '300,{number}]', "
           f"'300,{number + 1}]')")
    assert f"it is not of batch {number + 1}" in _broken(world)
