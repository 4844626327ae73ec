"""D1.15 and K11: a payment split among merchants is given back in the same proportions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.money import parts_left, taken_back
from ledger.entrypoints.operations import verify
from tests.ledger.conftest import ANN
from tests.ledger.rules.words import CNY, PLAIN, funds, on, posted, refused

PENDING = ("2201:M1", "2201:M2", "2201:M3")


@pytest.fixture
def three(world):
    """A payment of 100.00 to M1, other money of the reserve beside it."""
    world.merchant("M3")
    world.merchant("M4")
    world.open([("2201", "M3"), ("2201", "M4")])
    world.do("payment", merchant_id="M4", amount_minor=50_000, **PLAIN)
    posted(world.do("payment", transaction_id="P", amount_minor=10_000, issuer_fee_minor=35,
                    network_fee_minor=3, acquirer_fee_minor=22))
    return world


def _split(world, **values):
    return world.send("split", **{
        "transaction_id": "S", "original_transaction_id": "P", "merchant_id": "M1",
        "amount_minor": 9_000, **CNY, "parts": [{"merchant_id": "M2", "weight": 2},
                                                {"merchant_id": "M3", "weight": 1}], **values})


def _refund(world, amount, issuer=0, network=0, acquirer=0):
    return world.do("refund", original_transaction_id="P", amount_minor=amount,
                    issuer_fee_minor=issuer, network_fee_minor=network,
                    acquirer_fee_minor=acquirer)


def _pending(world):
    return [world.balance(name) for name in PENDING]


def test_d1_15_a_split_payments_refund_takes_back_from_each_part(three):
    """6,000 to M2, 3,000 to M3, M1 keeps 1,000 and bears the fees; the last refund takes the rest
    of every part and all are where they were."""
    posted(_split(three))
    assert _pending(three) == [940, 6_000, 3_000]
    first = posted(_refund(three, 1_001, issuer=4, acquirer=2))
    assert [leg[:3] for leg in three.legs(first) if leg[3] == "gross"] == [
        ("2201:M1", "D", 100), ("2201:M2", "D", 601), ("2201:M3", "D", 300)]
    assert _pending(three) == [846, 5_399, 2_700]
    three.ledger.checkpoint()
    three.reopen()
    posted(_refund(three, 8_999, issuer=31, network=3, acquirer=20))
    assert _pending(three) == [0, 0, 0]
    assert refused(_refund(three, 1), "exceeds_original")
    assert verify(three.settings).broken is None


def test_d1_15_what_was_refunded_or_charged_back_before_is_not_split(three):
    """A payment is split once, at most what is left of it, by its merchant, in its currency."""
    posted(_refund(three, 1_000, issuer=4, acquirer=2))
    assert refused(_split(three, amount_minor=9_001), "exceeds_original", "amount_minor")
    assert refused(_split(three, transaction_id="S2", merchant_id="M2"), "original_differs",
                   "merchant_id")
    assert refused(_split(three, transaction_id="S3", original_transaction_id="Q"),
                   "original_unknown")
    posted(_split(three, transaction_id="S4", amount_minor=8_900))
    assert refused(_split(three, transaction_id="S5", amount_minor=1), "already_decided")
    posted(_refund(three, 9_000, issuer=31, network=3, acquirer=20))
    assert _pending(three) == [0, 0, 0]


def _charged_back(world, amount, number="C"):
    return posted(world.send("chargeback", transaction_id=number, original_transaction_id="P",
                             amount_minor=amount, case_number="N", **CNY))


@pytest.mark.parametrize("first", ["split", "chargeback"])
def test_d1_15_what_was_charged_back_of_the_merchants_part_is_not_taken_again(three, first):
    """M1 keeps 1,000 of the payment and loses 400 of it to a chargeback: refunds take the rest of
    each part, and all are where they were, less the fees of what was charged back."""
    if first == "split":
        posted(_split(three))
    _charged_back(three, 400)
    if first == "chargeback":
        posted(_split(three))
    refund = posted(_refund(three, 960, issuer=3, acquirer=2))
    assert [leg[:3] for leg in three.legs(refund) if leg[3] == "gross"] == [
        ("2201:M1", "D", 60), ("2201:M2", "D", 600), ("2201:M3", "D", 300)]
    three.ledger.checkpoint()
    three.reopen()
    posted(_refund(three, 8_640, issuer=31, network=3, acquirer=19))
    assert _pending(three) == [-2, 0, 0]
    assert refused(_refund(three, 1), "exceeds_original")
    assert verify(three.settings).broken is None


def test_d1_15_a_split_of_what_a_chargeback_left_is_given_back_by_who_has_it(three):
    """All that was left went to M2 and M3; M1 has no part of it."""
    posted(three.do("payment", amount_minor=100, **PLAIN))
    _charged_back(three, 1_000)
    posted(_split(three))
    posted(_refund(three, 9_000, issuer=32, network=3, acquirer=20))
    assert _pending(three) == [95, 0, 0]  # less the fees of what was charged back


def test_d1_15_more_charged_back_than_the_merchant_kept_is_its_loss_alone(three):
    """5,000 of its 1,000: the others give back what is left of the payment, no part below nothing,
    and no more than the payment is given back in all."""
    posted(_split(three))
    _charged_back(three, 5_000)
    posted(_refund(three, 2_000, issuer=7, network=1, acquirer=4))
    assert refused(_refund(three, 3_001), "exceeds_original")
    assert refused(three.send("chargeback", transaction_id="C2", original_transaction_id="P",
                              amount_minor=3_001, case_number="N", **CNY), "exceeds_original")
    posted(_refund(three, 3_000, issuer=11, network=1, acquirer=7))
    assert _pending(three)[1:] == [2_667, 1_333]
    assert verify(three.settings).broken is None


def test_d1_15_a_disputed_sum_stays_the_merchants_whatever_comes_of_it(three):
    """While it is disputed, refunds leave it; released, it is refunded like the rest."""
    posted(_split(three))
    posted(three.do("dispute", transaction_id="D", original_transaction_id="P",
                    amount_minor=1_000))
    posted(_refund(three, 9_000, issuer=32, network=3, acquirer=20))
    assert _pending(three)[1:] == [0, 0]
    posted(three.do("dispute_release", original_transaction_id="D", amount_minor=1_000))
    posted(_refund(three, 1_000, issuer=3, acquirer=2))
    assert _pending(three) == [0, 0, 0]


def test_d0_73_a_chargeback_is_reversed_after_a_refund_of_the_split_payment(three):
    """What comes back is the merchant's part again, and the next refund takes of it."""
    posted(_split(three))
    charged = _charged_back(three, 1_000)
    posted(_refund(three, 3_000, issuer=11, network=1, acquirer=7))
    assert _pending(three)[1:] == [4_000, 2_000]
    three.approved("reversal", **_back(three, charged))
    posted(_refund(three, 7_000, issuer=24, network=2, acquirer=15))
    assert _pending(three) == [0, 0, 0]
    assert verify(three.settings).broken is None


def test_d2_08_a_void_takes_every_part_back_before_any_is_paid_out(three):
    """Otherwise it is a refund."""
    posted(_split(three))
    posted(three.do("settlement", merchant_id="M3", amount_minor=1))
    assert refused(three.do("void", original_transaction_id="P"), "void_too_late")
    posted(three.do("payment", transaction_id="P2", amount_minor=100, **PLAIN))
    posted(_split(three, transaction_id="S2", original_transaction_id="P2", amount_minor=100,
                  parts=[{"merchant_id": "M2", "amount_minor": 100}]))
    posted(three.do("void", original_transaction_id="P2"))
    assert _pending(three) == [940, 6_000, 2_999]


def _back(world, result):
    """The command that reverses a journal."""
    world.number += 1
    return {"adjustment_id": f"AD{world.number}", "incident_number": "I", "reason": "x",
            "journal_id": result["journal_id"]}


def test_d0_73_a_split_is_reversed_once_its_refunds_are(three):
    """And the payment after the split."""
    def back(result):
        return _back(three, result)

    payment = next(r for r in three.ledger.store.entries(1) if r[6] == "P")
    payment = {"journal_id": f"J{payment[1]:012d}"}
    split = posted(_split(three))
    refund = posted(_refund(three, 1_001, issuer=4, acquirer=2))
    for result in (payment, split):
        assert refused(three.send("reversal", ANN, **back(result)), "exceeds_original")
    three.approved("reversal", **back(refund))
    assert _pending(three) == [940, 6_000, 3_000]
    assert refused(three.send("reversal", ANN, **back(payment)), "exceeds_original")
    again = posted(_refund(three, 10_000, issuer=35, network=3, acquirer=22))
    assert _pending(three) == [0, 0, 0]
    three.approved("reversal", **back(again))
    three.approved("reversal", **back(split))
    three.approved("reversal", **back(payment))
    assert _pending(three) == [0, 0, 0]


@pytest.mark.parametrize("restart", [False, True])
def test_d0_73_a_refund_from_before_the_split_is_reversed_after_it_is(three, restart):
    """What was shared out is what that refund had left: undone beneath the split, later refunds
    would be taken of parts that the split's reversal then takes once more."""
    first = posted(_refund(three, 1_000, issuer=4, acquirer=2))
    split = posted(_split(three, amount_minor=8_100))
    if restart:
        three.ledger.checkpoint()
        three.reopen()
    assert refused(three.send("reversal", ANN, **_back(three, first)), "exceeds_original")
    later = posted(_refund(three, 1_000, issuer=3, network=1, acquirer=2))
    assert _pending(three)[1:] == [4_800, 2_400]
    assert refused(three.send("reversal", ANN, **_back(three, split)), "exceeds_original")
    for result in (later, split, first):
        three.approved("reversal", **_back(three, result))
    assert _pending(three) == [9_940, 0, 0]
    posted(_split(three, transaction_id="S2"))
    posted(_refund(three, 10_000, issuer=35, network=3, acquirer=22))
    assert _pending(three) == [0, 0, 0]
    assert verify(three.settings).broken is None


def test_d0_11_what_rests_for_a_disputed_payment_is_not_split(three):
    """It would be paid out to another merchant on the same day; what is beside it is split."""
    posted(three.do("payment", transaction_id="P9", amount_minor=500, **PLAIN))
    for type_, name, of in (("dispute", "D", "P"), ("dispute_release", "R", "D")):
        posted(three.do(type_, transaction_id=name, original_transaction_id=of,
                        amount_minor=9_000))
    there = {"original_transaction_id": None, "parts": [{"merchant_id": "M2", "weight": 1}]}
    early = _split(three, amount_minor=1_441, **there)
    assert refused(early, "not_due", "amount_minor") and "9000 minor units" in early["detail"]
    assert refused(_split(three, transaction_id="S1", amount_minor=9_000), "not_due")
    posted(_split(three, transaction_id="S2", amount_minor=1_440, **there))
    when = on(three, 31)
    posted(_split(three, transaction_id="S3", amount_minor=9_000, **when))
    assert _pending(three) == [0, 7_440, 3_000]
    assert verify(three.settings).broken is None


def test_d0_09_what_is_owed_of_a_negative_net_is_not_split(three):
    """It is taken back first; what is above it is others' business."""
    world = three
    funds(world)
    posted(world.send("shortfall", movement_id="SF", merchant_id="M1", amount_minor=3_000,
                      notice_number="N", **CNY))
    assert _pending(world)[0] == 12_940
    there = {"original_transaction_id": None, "parts": [{"merchant_id": "M2", "weight": 1}]}
    assert refused(_split(world, amount_minor=9_941, **there), "older_due")
    posted(_split(world, transaction_id="S2", amount_minor=9_940, **there))
    posted(world.send("offset", movement_id="OF2", merchant_id="M1", claim="1201",
                      amount_minor=3_000, notice_number="N", **CNY))
    assert _pending(world) == [0, 9_940, 0]
    assert verify(world.settings).broken is None


def test_d0_06_a_split_stays_in_one_kind_of_books(three):
    """Neither merchant's mode may differ."""
    three.merchant("MB", settlement_mode="bank")
    three.open([("9001", None), ("9201", "MB")])
    other = [{"merchant_id": "MB", "weight": 1}]
    assert refused(_split(three, parts=other), "mode_differs", "parts")
    three.do("payment", transaction_id="PB", merchant_id="MB", amount_minor=10_000, **PLAIN)
    wrong = _split(three, transaction_id="S2", original_transaction_id="PB", merchant_id="MB")
    assert refused(wrong, "mode_differs", "parts")


@given(parts=st.lists(st.integers(0, 10**6), min_size=1, max_size=6),
       gone=st.integers(0, 10**6), data=st.data())
def test_the_shares_of_refunds_add_up_and_never_take_more_than_a_part(parts, gone, data):
    """Of what the payment's merchant has of its own part, less what is gone of it."""
    left = [[f"M{n}", part] for n, part in enumerate(parts)]

    def there():
        return [max(0, part - gone * (name == "M0")) for name, part in left]

    while sum(there()):
        whole = sum(there())
        amount = data.draw(st.integers(max(1, whole // 5), whole))
        taken = taken_back(left, amount, "M0", gone)
        assert sum(share for _, share in taken) == amount
        for part, (_, share) in zip(there(), taken, strict=True):
            assert 0 <= share <= part and abs(share * whole - amount * part) < whole
        left = parts_left(left, taken)
        assert min(part for _, part in left) >= 0
