"""D0.11 and D0.10: what of a disputed payment is given back rests no more; the rest settles."""

from __future__ import annotations

import pytest

from ledger.entrypoints.operations import verify
from tests.ledger.conftest import ANN
from tests.ledger.rules.words import CNY, PLAIN, days, on, posted, refused, run

UNTIL = f"quiet/{days(30)}/P"


@pytest.fixture
def resting(world):
    """A payment of 60.00 that was disputed and released, another of 50.00 beside it."""
    posted(world.do("payment", transaction_id="P", amount_minor=6_000, **PLAIN))
    posted(world.do("dispute", transaction_id="D", original_transaction_id="P",
                    amount_minor=6_000))
    posted(world.do("dispute_release", original_transaction_id="D", amount_minor=6_000))
    posted(world.do("payment", amount_minor=5_000, **PLAIN))
    return world


def _buckets(world, merchant="M1"):
    found = world.ledger.state.account(f"2201:{merchant}", "CNY").buckets
    return {name: amount for name, amount in found.items() if amount}


def _given_back(world, type_, amount, **when):
    if type_ == "chargeback":
        return posted(world.send(type_, transaction_id="B", original_transaction_id="P",
                                 amount_minor=amount, case_number="N", **CNY, **when))
    return posted(world.do(type_, original_transaction_id="P", amount_minor=amount, **when))


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("type_", ["refund", "void", "chargeback"])
def test_d0_11_a_payment_that_is_given_back_keeps_nothing_else_of_its_merchant(
    resting, type_, restart
):
    """There is nothing that could settle, and the other payment's money is due."""
    assert _buckets(resting) == {UNTIL: 6_000, days(0).isoformat(): 5_000}
    if restart:
        resting.ledger.checkpoint()
        resting.reopen()
    _given_back(resting, type_, None if type_ == "void" else 6_000)
    assert _buckets(resting) == {days(0).isoformat(): 5_000}
    assert run(resting, 0).amounts == {"settlement": 5_000}
    assert verify(resting.settings).broken is None


def test_d0_11_what_a_refund_leaves_of_a_payment_rests_as_long_as_before(resting):
    """The count goes on; a second part takes what rests, and no more."""
    when = on(resting, 10)
    _given_back(resting, "refund", 4_000, **when)
    assert _buckets(resting) == {UNTIL: 2_000, days(0).isoformat(): 5_000}
    assert refused(resting.do("settlement", amount_minor=5_001, **when), "not_due")
    posted(resting.do("settlement", amount_minor=5_000, **when))
    _given_back(resting, "chargeback", 1_500, **when)
    assert _buckets(resting) == {UNTIL: 500}
    posted(resting.do("settlement", amount_minor=500, **on(resting, 31)))
    assert verify(resting.settings).broken is None


def _reversed(world, result, **when):
    world.number += 1
    waits = world.send("reversal", ANN, adjustment_id=f"AD{world.number}", reason="x",
                       incident_number="I", journal_id=result["journal_id"], **when)
    return posted(world.approve(waits["sequence"], **when))


@pytest.mark.parametrize("amount", [6_000, 4_000])
@pytest.mark.parametrize("type_", ["refund", "chargeback"])
def test_d0_11_a_refund_that_was_none_lets_it_rest_as_before(resting, type_, amount):
    """To the same date, also when nothing was left of it meanwhile."""
    before = _buckets(resting)
    done = _given_back(resting, type_, amount, **on(resting, 3))
    _reversed(resting, done, **on(resting, 5))
    assert _buckets(resting)[UNTIL] == before[UNTIL]
    assert sum(_buckets(resting).values()) == sum(before.values())
    assert verify(resting.settings).broken is None


def test_d0_11_a_refund_that_was_none_waits_for_the_end_of_a_dispute_that_came_since(resting):
    """While it is open, what rested is kept back; from its end on it rests with the others."""
    done = _given_back(resting, "refund", 4_000)
    dispute = {"original_transaction_id": "P", "amount_minor": 500}
    posted(resting.do("dispute", transaction_id="DB", **dispute))
    _reversed(resting, done)
    assert _buckets(resting)["quiet/9999-12-31/P"] == 5_500
    posted(resting.do("dispute_release", original_transaction_id="DB", amount_minor=500,
                      **on(resting, 2)))
    assert _buckets(resting)[f"quiet/{days(32)}/P"] == 6_000
    assert verify(resting.settings).broken is None


def test_d0_11_of_a_split_payment_its_merchants_own_share_rests_no_more(world):
    """What a refund takes of the other parts was not resting."""
    posted(world.do("payment", transaction_id="P", amount_minor=6_000, **PLAIN))
    posted(world.send("split", transaction_id="S", original_transaction_id="P", merchant_id="M1",
                      amount_minor=2_000, parts=[{"merchant_id": "M2", "weight": 1}], **CNY))
    posted(world.do("dispute", transaction_id="D", original_transaction_id="P",
                    amount_minor=4_000))
    posted(world.do("dispute_release", original_transaction_id="D", amount_minor=4_000))
    _given_back(world, "refund", 3_000)
    assert _buckets(world) == {UNTIL: 2_000}
    assert _buckets(world, "M2") == {days(0).isoformat(): 1_000}
    _given_back(world, "refund", 3_000)
    assert (_buckets(world), _buckets(world, "M2")) == ({}, {})
    assert verify(world.settings).broken is None


def test_d0_11_what_was_captured_of_a_denied_payment_rests_no_more(resting):
    """As what is refunded of it; reversed, it rests again."""
    posted(resting.send("denied_payment", hold_id="H", original_transaction_id="P",
                        case_number="C"))
    done = resting.approved("hold_capture", result_id="X", hold_id="H", to_account_id="1001",
                            amount_minor=4_000, case_number="C")
    assert _buckets(resting) == {UNTIL: 2_000, days(0).isoformat(): 5_000}
    _reversed(resting, done)
    assert _buckets(resting) == {UNTIL: 6_000, days(0).isoformat(): 5_000}
    assert verify(resting.settings).broken is None
