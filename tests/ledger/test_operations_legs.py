"""Each operation gives exactly the legs of design.md, section 5."""

from __future__ import annotations

CLEARING = "CLR-unionpay-20260912"


def test_card_payment(world):
    result = world.do("payment", amount_minor=10000)
    assert result["status"] == "posted"
    assert world.legs(result) == [
        ("1001", "D", 9962, "clearing", CLEARING),
        ("2201:M1", "C", 10000, "gross", None),
        ("2201:M1", "D", 35, "issuer_fee", None),
        ("2201:M1", "D", 3, "network_fee", None),
        ("2201:M1", "D", 22, "acquirer_fee", None),
        ("2301", "C", 22, "acquirer_fee", None),
    ]
    assert world.balances()["2201:M1"] == 9940


def test_payment_from_payment_account(world):
    world.do("top_up", amount_minor=20000)
    result = world.do(
        "payment", channel="internal", user_id="U1", issuer_fee_minor=0, network_fee_minor=0,
    )
    assert world.legs(result) == [
        ("2101:U1", "D", 10000, "gross", None),
        ("2201:M1", "C", 10000, "gross", None),
        ("2201:M1", "D", 22, "acquirer_fee", None),
        ("2301", "C", 22, "acquirer_fee", None),
    ]


def test_zero_legs_are_left_out(world):
    result = world.do("payment", issuer_fee_minor=0, network_fee_minor=0, acquirer_fee_minor=0)
    assert [leg[3] for leg in world.legs(result)] == ["clearing", "gross"]


def test_refund_is_the_payment_with_sides_changed(world):
    payment = world.do("payment", transaction_id="P")
    refund = world.do(
        "refund", original_transaction_id="P", issuer_fee_minor=35, network_fee_minor=3,
        acquirer_fee_minor=22,
    )
    turned = [
        (account, "C" if side == "D" else "D", *rest)
        for account, side, *rest in world.legs(payment)
    ]
    assert world.legs(refund) == turned
    assert set(world.balances().values()) == {0}


def test_refund_to_payment_account(world):
    world.do("top_up")
    world.do("payment", transaction_id="P", channel="internal", user_id="U1",
             issuer_fee_minor=0, network_fee_minor=0)
    refund = world.do("refund", original_transaction_id="P", amount_minor=5000,
                      acquirer_fee_minor=11)
    assert world.legs(refund) == [
        ("2101:U1", "C", 5000, "gross", None),
        ("2201:M1", "D", 5000, "gross", None),
        ("2201:M1", "C", 11, "acquirer_fee", None),
        ("2301", "D", 11, "acquirer_fee", None),
    ]


def test_refunded_on_another_date_clears_on_that_date(world):
    world.do("payment", transaction_id="P")
    refund = world.do(
        "refund", original_transaction_id="P", occurred_at="2026-09-11T23:00:01+08:00",
        issuer_fee_minor=35, network_fee_minor=3, acquirer_fee_minor=22,
    )
    assert refund["booking_date"] == "2026-09-12"
    assert world.legs(refund)[0][4] == CLEARING


def test_fee_settlement_top_up_withdrawal(world):
    world.do("payment")
    fee = world.do("fee", amount_minor=100)
    assert world.legs(fee) == [
        ("2201:M1", "D", 100, "service_fee", None), ("2301", "C", 100, "service_fee", None),
    ]
    payout = world.do("settlement", payout_id="PO1", amount_minor=9000)
    assert world.legs(payout) == [
        ("2201:M1", "D", 9000, "payout", None), ("1001", "C", 9000, "payout", "PO1"),
    ]
    top_up = world.do("top_up", top_up_id="TU1", amount_minor=7000)
    assert world.legs(top_up) == [
        ("1001", "D", 7000, "deposit", "TU1"), ("2101:U1", "C", 7000, "deposit", None),
    ]
    withdrawal = world.do(
        "withdrawal", withdrawal_id="WD1", amount_minor=5000, fee_minor=25
    )
    assert world.legs(withdrawal) == [
        ("2101:U1", "D", 5025, "payout", None), ("1001", "C", 5000, "payout", "WD1"),
        ("2301", "C", 25, "service_fee", None),
    ]


def test_dispute_and_release(world):
    world.do("payment", transaction_id="P")
    dispute = world.do("dispute", transaction_id="D", original_transaction_id="P")
    assert world.legs(dispute) == [
        ("2201:M1", "D", 10000, "dispute", None), ("2202:M1", "C", 10000, "dispute", None),
    ]
    assert world.balance("2201:M1") == -60
    release = world.do("dispute_release", original_transaction_id="D")
    assert world.legs(release) == [
        ("2202:M1", "D", 10000, "dispute", None), ("2201:M1", "C", 10000, "dispute", None),
    ]
    assert world.balance("2202:M1") == 0
