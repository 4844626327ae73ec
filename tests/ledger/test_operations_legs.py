"""Each operation gives exactly the legs of design.md, section 5, and of the rules behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ledger.rules.words import ended

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
    assert (withdrawal["journal_id"], world.legs(withdrawal)) == (None, [])
    account = world.ledger.state.account("2101:U1", "CNY")
    assert (account.balance, account.available) == (7000, 1975)
    done = world.do("withdrawal_result", withdrawal_id="WD1")
    assert world.legs(done) == [
        ("2101:U1", "D", 5025, "payout", None), ("1001", "C", 5000, "payout", "WD1"),
        ("2301", "C", 25, "service_fee", None),
    ]
    assert (account.balance, account.available) == (1975, 1975)


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


@pytest.mark.parametrize(("result", "available"), [("failed", 20000), ("unknown", 9950)])
def test_a_withdrawal_that_failed_is_free_again_an_unknown_one_stays_held(
    world, result, available
):
    world.do("top_up", amount_minor=20000)
    world.do("withdrawal", withdrawal_id="W")
    assert world.legs(world.do("withdrawal_result", withdrawal_id="W", result=result)) == []
    account = world.ledger.state.account("2101:U1", "CNY")
    assert (account.balance, account.available) == (20000, available)


def test_a_withdrawal_returned_by_the_bank(world):
    world.do("top_up", amount_minor=20000)
    world.do("withdrawal", withdrawal_id="W")
    world.do("withdrawal_result", withdrawal_id="W")
    back = world.send("withdrawal_returned", return_id="B", withdrawal_id="W")
    assert world.legs(back) == [
        ("1001", "D", 10000, "payout", "B"), ("2301", "D", 50, "service_fee", None),
        ("2101:U1", "C", 10050, "returned", None),
    ]


def test_void_is_the_payment_with_sides_changed(world):
    payment = world.do("payment", transaction_id="P")
    void = world.send("void", transaction_id="V", original_transaction_id="P")
    assert world.legs(void) == [
        (account, "C" if side == "D" else "D", *rest)
        for account, side, *rest in world.legs(payment)
    ]


@pytest.mark.parametrize("payer", ["card", "account", "prepaid"])
def test_a_captured_dispute_goes_back_to_the_payer(world, payer):
    if payer == "card":
        world.do("payment", transaction_id="P")
        back = ("1001", "C", 4000, "payout", "C")
    elif payer == "account":
        world.do("top_up")
        world.do("payment", transaction_id="P", channel="internal", user_id="U1",
                 issuer_fee_minor=0, network_fee_minor=0)
        back = ("2101:U1", "C", 4000, "dispute", None)
    else:
        _card(world)
        back = ("2501:K1", "C", 4000, "dispute", None)
    world.do("dispute", transaction_id="D", original_transaction_id="P", amount_minor=4000)
    captured = world.approved("dispute_capture", transaction_id="C", original_transaction_id="D",
                              case_number="N")
    assert world.legs(captured) == [("2202:M1", "D", 4000, "dispute", None), back]


def _card(world) -> list[dict]:
    """A prepaid card issued, loaded and spent."""
    world.register("party", party_id="K1", party_kind="card", identity_check="ID")
    world.open([("2501", "K1")])
    money = {"card_id": "K1", "currency_code": "CNY"}
    return [
        world.send("prepaid_issue", transaction_id="I", amount_minor=8000, **money),
        world.send("prepaid_load", transaction_id="L", amount_minor=7000, **money),
        world.send("prepaid_spend", transaction_id="P", merchant_id="M1", amount_minor=10000,
                   acquirer_fee_minor=20, authorisation=world.authorise("K1", "M1", 10000),
                   **money),
    ]


def test_a_pre_authorisation_on_a_prepaid_card(world):
    _card(world)  # 5,000 are left on it
    both = {"card_id": "K1", "merchant_id": "M1", "currency_code": "CNY"}
    held = world.send("prepaid_pre_authorisation", transaction_id="A", amount_minor=5000,
                      authorisation=world.authorise("K1", "M1", 5000), **both)
    assert (held["status"], world.legs(held)) == ("posted", [])
    done = world.send("prepaid_completion", transaction_id="C", original_transaction_id="A",
                      amount_minor=4000, acquirer_fee_minor=30, **both)
    assert world.legs(done) == [
        ("2501:K1", "D", 4000, "gross", None), ("2201:M1", "C", 4000, "gross", None),
        ("2201:M1", "D", 30, "acquirer_fee", None), ("2301", "C", 30, "acquirer_fee", None),
    ]


def test_prepaid_card(world):
    issued, loaded, spent = _card(world)
    assert world.legs(issued) == [
        ("1001", "D", 8000, "deposit", "I"), ("2501:K1", "C", 8000, "deposit", None),
    ]
    assert world.legs(loaded)[1] == ("2501:K1", "C", 7000, "deposit", None)
    assert world.legs(spent) == [
        ("2501:K1", "D", 10000, "gross", None), ("2201:M1", "C", 10000, "gross", None),
        ("2201:M1", "D", 20, "acquirer_fee", None), ("2301", "C", 20, "acquirer_fee", None),
    ]
    refund = world.do("refund", original_transaction_id="P", amount_minor=5000,
                      acquirer_fee_minor=10)
    assert world.legs(refund)[0] == ("2501:K1", "C", 5000, "gross", None)
    world.register("bind_account", destination_id="DK", party_id="K1", bound_account="6222",
                   bound_name="K", bank_code="ICBC")
    redeemed = world.send(
        "prepaid_redeem", transaction_id="R", card_id="K1", amount_minor=10000,
        currency_code="CNY", destination_id="DK",
        authorisation=world.authorise("K1", "DK", 10000),
    )
    assert world.legs(redeemed) == [
        ("2501:K1", "D", 10000, "payout", None), ("1001", "C", 10000, "payout", "R"),
    ]


@pytest.mark.parametrize("type_", ["collection", "agreement_payment"])
def test_collected_by_a_mandate(world, type_):
    world.do("top_up", amount_minor=30000)
    world.register("mandate", mandate_id="A", payer_id="U1", payee="M1", amount_minor=10000,
                   currency_code="CNY", method="signature", valid_from="2026-09-12",
                   valid_to="2026-09-12")
    for number in (1, 2):  # good again and again
        result = world.send(type_, transaction_id=f"T{number}", merchant_id="M1", user_id="U1",
                            amount_minor=10000, currency_code="CNY", acquirer_fee_minor=22,
                            authorisation="A")
        assert world.legs(result) == [
            ("2101:U1", "D", 10000, "gross", None), ("2201:M1", "C", 10000, "gross", None),
            ("2201:M1", "D", 22, "acquirer_fee", None), ("2301", "C", 22, "acquirer_fee", None),
        ]


def test_chargeback_may_lower_pending_settlement_below_zero(world):
    world.do("payment", transaction_id="P")
    world.do("top_up")
    back = world.send("chargeback", transaction_id="C", original_transaction_id="P",
                      amount_minor=10000, currency_code="CNY", case_number="N")
    assert world.legs(back) == [
        ("2201:M1", "D", 10000, "chargeback", None), ("1001", "C", 10000, "payout", "C"),
    ]
    assert world.balance("2201:M1") == -60


def test_split_by_amounts_and_by_weights(world):
    world.merchant("M3")
    world.open([("2201", "M3")])
    world.do("payment")
    money = {"merchant_id": "M1", "currency_code": "CNY"}
    by_amounts = world.send("split", transaction_id="S1", amount_minor=300, parts=[
        {"merchant_id": "M2", "amount_minor": 100}, {"merchant_id": "M3", "amount_minor": 200},
    ], **money)
    assert world.legs(by_amounts) == [
        ("2201:M1", "D", 300, "split", None), ("2201:M2", "C", 100, "split", None),
        ("2201:M3", "C", 200, "split", None),
    ]
    by_weights = world.send("split", transaction_id="S2", amount_minor=100, parts=[
        {"merchant_id": "M2", "weight": 1}, {"merchant_id": "M3", "weight": 2},
    ], **money)
    assert [leg[2] for leg in world.legs(by_weights)] == [100, 33, 67]


def test_a_payout_returned_by_the_bank(world):
    world.do("payment")
    world.do("settlement", payout_id="S", amount_minor=9000)
    back = world.send("settlement_returned", return_id="B", payout_id="S")
    assert world.legs(back) == [
        ("1001", "D", 9000, "payout", "B"), ("2201:M1", "C", 9000, "returned", None),
    ]


def test_transfer_receipt_merchant_balance_and_wealth(world):
    money = {"currency_code": "CNY"}
    world.do("top_up", amount_minor=20000)
    transfer = world.send("transfer", transaction_id="T", user_id="U1", payee_id="U2",
                          amount_minor=700, authorisation=world.authorise("U1", "U2", 700),
                          **money)
    assert world.legs(transfer) == [
        ("2101:U1", "D", 700, "transfer", None), ("2101:U2", "C", 700, "transfer", None),
    ]
    back = world.approved("transfer_refund", transaction_id="TR", original_transaction_id="T",
                          amount_minor=200, ground="wrong_amount",
                          authorisation=world.authorise("U2", "U1", 200), **money)
    assert world.legs(back) == [
        ("2101:U2", "D", 200, "transfer", None), ("2101:U1", "C", 200, "transfer", None),
    ]
    for name in ("R1", "R2"):
        receipt = world.send("receipt", receipt_id=name, amount_minor=5000, **money)
        assert world.legs(receipt) == [
            ("1001", "D", 5000, "receipt", name), ("2401", "C", 5000, "receipt", None),
        ]
    assert world.legs(world.send("receipt_returned", return_id="RR", receipt_id="R2")) == [
        ("2401", "D", 5000, "receipt", None), ("1001", "C", 5000, "payout", "RR"),
    ]
    top_up = world.approved("merchant_top_up", application_id="A", merchant_id="M1",
                            receipt_id="R1", amount_minor=5000, **money)
    assert world.legs(top_up) == [
        ("2401", "D", 5000, "top_up", None), ("2211:M1", "C", 5000, "top_up", None),
    ]
    spent = world.send("merchant_spend", transaction_id="MS", merchant_id="M1",
                       amount_minor=1000, fee_minor=10, **money)
    assert world.legs(spent) == [
        ("2211:M1", "D", 1010, "spend", None), ("1001", "C", 1000, "payout", "MS"),
        ("2301", "C", 10, "service_fee", None),
    ]
    paid = world.send("payout_on_behalf", transaction_id="PB", merchant_id="M1", user_id="U2",
                      amount_minor=1000, fee_minor=5, **money)
    assert world.legs(paid) == [
        ("2211:M1", "D", 1005, "payout", None), ("2101:U2", "C", 1000, "payout", None),
        ("2301", "C", 5, "service_fee", None),
    ]
    bought = world.send("wealth_purchase", transaction_id="WP", user_id="U1", product_id="F1",
                        amount_minor=3000, authorisation=world.authorise("U1", "F1", 3000),
                        **money)
    assert world.legs(bought) == [
        ("2101:U1", "D", 3000, "wealth", None), ("1001", "C", 3000, "payout", "WP"),
    ]
    redeemed = world.send("wealth_redemption", transaction_id="WR",
                          original_transaction_id="WP", amount_minor=3010, **money)
    assert world.legs(redeemed) == [
        ("1001", "D", 3010, "deposit", "WR"), ("2101:U1", "C", 3010, "wealth", None),
    ]


def test_orders_book_nothing_and_their_results_what_was_ordered(world):
    money = {"currency_code": "CNY"}
    world.do("top_up", amount_minor=20000)
    world.register("party", party_id="K1", party_kind="card", identity_check="ID")
    world.register("bind_account", destination_id="DK", party_id="K1", bound_account="6",
                   bound_name="K", bank_code="B")
    world.open([("2501", "K1")])
    world.send("prepaid_load", transaction_id="L", card_id="K1", amount_minor=3000, **money)
    world.send("receipt", receipt_id="R1", amount_minor=5000, **money)
    world.approved("merchant_top_up", application_id="A", merchant_id="M1", receipt_id="R1",
                   amount_minor=5000, **money)
    for order, result, values, legs in (
        ("wealth_purchase_order", "wealth_purchase_result",
         {"user_id": "U1", "product_id": "F1",
          "authorisation": world.authorise("U1", "F1", 3000)},
         [("2101:U1", "D", 3000, "wealth", None), ("1001", "C", 3000, "payout", "O0")]),
        ("prepaid_redeem_order", "prepaid_redeem_result",
         {"card_id": "K1", "destination_id": "DK",
          "authorisation": world.authorise("K1", "DK", 3000)},
         [("2501:K1", "D", 3000, "payout", None), ("1001", "C", 3000, "payout", "O1")]),
        ("merchant_spend_order", "merchant_spend_result",
         {"merchant_id": "M1", "fee_minor": 10},
         [("2211:M1", "D", 3010, "spend", None), ("1001", "C", 3000, "payout", "O2"),
          ("2301", "C", 10, "service_fee", None)]),
    ):
        name = legs[1][4]
        assert world.legs(world.send(order, transaction_id=name, amount_minor=3000, **values,
                                     **money)) == []
        done = world.send(result, result_id=f"R-{name}", original_transaction_id=name,
                          result="succeeded")
        assert world.legs(done) == legs
    assert world.legs(world.send("wealth_redemption_order", transaction_id="Q", user_id="U1",
                                 original_transaction_id="O0")) == []
    done = world.send("wealth_redemption_result", result_id="R-Q", original_transaction_id="Q",
                      user_id="U1", result="succeeded", amount_minor=3010)
    assert world.legs(done) == [
        ("1001", "D", 3010, "deposit", "Q"), ("2101:U1", "C", 3010, "wealth", None),
    ]


#: Own-fund movements in an order in which each has what it needs: type, fields, approval, legs.
OWN_FUNDS = [
    ("own_funds", {"amount_minor": 90000}, False, ["1101 D 90000", "3001 C 90000"]),
    ("fee_income", {"amount_minor": 20}, False,
     ["2301 D 20", "1001 C 20 X", "1101 D 20", "6001 C 20"]),
    ("fee_prepayment", {"merchant_id": "M1"}, False, ["1101 D 1000", "2601:M1 C 1000"]),
    ("fee_charge", {"merchant_id": "M2", "fee_id": "F1", "movement_id": None,
                    "fee_item": "service"}, False, ["1205:M2 D 1000", "6001 C 1000"]),
    ("fee_charge", {"merchant_id": "M2", "fee_id": "F2", "movement_id": None,
                    "fee_item": "data_in"}, False, ["1204:M2 D 1000", "6001 C 1000"]),
    ("bill_payment", {"merchant_id": "M2", "amount_minor": 400}, False,
     ["1101 D 400", "1205:M2 C 400"]),
    ("deposit_received", {"merchant_id": "M1"}, False, ["1102 D 1000", "2602:M1 C 1000"]),
    ("advance", {"merchant_id": "M1", "case_number": "N"}, False,
     ["1202:M1 D 1000", "1101 C 1000"]),
    ("penalty", {"merchant_id": "M1", "amount_minor": 10}, False,
     ["1203:M1 D 10", "6002 C 10"]),
    ("claim_payment", {"merchant_id": "M1", "claim": "1203", "amount_minor": 4}, False,
     ["1101 D 4", "1203:M1 C 4"]),
    ("deposit_drawn", {"merchant_id": "M1", "claim": "1202", "amount_minor": 100,
                       "notice_number": "N"}, True, ["2602:M1 D 100", "1202:M1 C 100"]),
    ("offset", {"merchant_id": "M1", "claim": "1202", "amount_minor": 200,
                "notice_number": "N"}, False,
     ["2201:M1 D 200", "1001 C 200 X", "1101 D 200", "1202:M1 C 200"]),
    ("shortfall", {"merchant_id": "M1", "amount_minor": 50, "notice_number": "N"}, False,
     ["1001 D 50 X", "2201:M1 C 50", "1201:M1 D 50", "1101 C 50"]),
    ("provision", {"amount_minor": 800}, False, ["6401 D 800", "2701 C 800"]),
    ("compensation", {"user_id": "U1", "amount_minor": 900, "case_number": "N",
                      "finding": "merchant", "evidence": "F-1", "movement_id": "CO"}, True,
     ["2701 D 800", "6401 D 100", "1101 C 900", "1001 D 900", "2101:U1 C 900"]),
    ("recovery", {"merchant_id": "M2", "amount_minor": 90, "case_number": "N",
                  "compensation_id": "CO"}, True,
     ["1201:M2 D 90", "6401 C 90"]),
    ("reserve_yield", {"amount_minor": 7}, False, ["1101 D 7", "6003 C 7"]),
    ("points_issue", {"user_id": "U1", "amount_minor": 60}, False,
     ["6402 D 60", "2702:U1 C 60"]),
    ("points_spend", {"user_id": "U1", "merchant_id": "M1", "amount_minor": 60,
                      "authorisation": "P"}, False,
     ["2702:U1 D 60", "1101 C 60", "1001 D 60 X", "2201:M1 C 60"]),
    ("deposit_returned", {"merchant_id": "M1", "amount_minor": 300}, False,  # once it has ended
     ["2602:M1 D 300", "1102 C 300"]),
]


def test_own_funds(world):
    world.do("payment")
    world.register("authorise", authorisation_id="P", payer_id="U1", payee="M1", amount_minor=60,
                   currency_code="CNY", method="password")
    for number, (type_, values, approval, wanted) in enumerate(OWN_FUNDS):
        key = f"X{number}"
        if type_ == "deposit_returned":
            ended(world, "M1")
        command = {"movement_id": key, "amount_minor": 1000, "currency_code": "CNY", **values}
        result = world.approved(type_, **command) if approval else world.send(type_, **command)
        assert result["status"] == "posted", (type_, result)
        legs = [
            f"{account} {side} {amount}" + (" X" if reference == key else "")
            for account, side, amount, _, reference in world.legs(result)
        ]
        assert legs == wanted, type_


def test_a_prepaying_merchant_is_charged_on_its_fee_account(world):
    world.merchant("M3", fee_choice="prepaid")
    world.open([("2601", "M3")])
    world.send("fee_prepayment", movement_id="F", merchant_id="M3", amount_minor=500,
               currency_code="CNY")
    charged = world.send("fee_charge", fee_id="C", merchant_id="M3", fee_item="service",
                         amount_minor=200, currency_code="CNY")
    assert world.legs(charged) == [
        ("2601:M3", "D", 200, "fee", None), ("6001", "C", 200, "fee", None),
    ]


@pytest.mark.parametrize(("mode", "codes"), [
    ("bank", ("9001", "9201", "9202")), ("self", ("9011", "9211", "9212")),
])
def test_money_that_others_manage_stays_in_memo_books(world, mode, codes):
    cash, pending, disputed = codes
    world.merchant("M3", settlement_mode=mode)
    world.open([(cash, None), (pending, "M3"), (disputed, "M3")])
    free = {"issuer_fee_minor": 0, "network_fee_minor": 0, "acquirer_fee_minor": 0}
    paid = world.do("payment", transaction_id="P", merchant_id="M3", **free)
    assert world.legs(paid) == [
        (cash, "D", 10000, "clearing", CLEARING), (f"{pending}:M3", "C", 10000, "gross", None),
    ]
    dispute = world.do("dispute", original_transaction_id="P", amount_minor=1000)
    assert [leg[0] for leg in world.legs(dispute)] == [f"{pending}:M3", f"{disputed}:M3"]
    payout = world.do("settlement", payout_id="S", merchant_id="M3", amount_minor=9000)
    if mode == "bank":
        assert world.legs(payout) == []
        payout = world.register("settlement_result", result_id="R", payout_id="S",
                                result="succeeded")
    assert world.legs(payout) == [
        (f"{pending}:M3", "D", 9000, "payout", None), (cash, "C", 9000, "payout", "S"),
    ]


def test_a_pre_authorisation_holds_its_completion_pays_its_cancellation_frees(world):
    world.do("top_up", amount_minor=20000)
    both = {"merchant_id": "M1", "user_id": "U1", "currency_code": "CNY"}
    for name in ("A", "B"):
        held = world.send("pre_authorisation", transaction_id=name, amount_minor=9000,
                          authorisation=world.authorise("U1", "M1", 9000), **both)
        assert world.legs(held) == []
    done = world.send("pre_authorisation_completion", transaction_id="C", amount_minor=8000,
                      original_transaction_id="A", acquirer_fee_minor=30, **both)
    assert world.legs(done) == [
        ("2101:U1", "D", 8000, "gross", None), ("2201:M1", "C", 8000, "gross", None),
        ("2201:M1", "D", 30, "acquirer_fee", None), ("2301", "C", 30, "acquirer_fee", None),
    ]
    freed = world.send("pre_authorisation_cancel", transaction_id="X",
                       original_transaction_id="B")
    assert (freed["status"], world.legs(freed)) == ("posted", [])
    account = world.ledger.state.account("2101:U1", "CNY")
    assert (account.balance, account.available) == (12000, 12000)


def test_adjustment_and_reversal(world):
    world.do("payment", transaction_id="P")
    leg = {"currency_code": "CNY", "amount_minor": 40, "component": "correction"}
    adjusted = world.approved("adjustment", adjustment_id="A", incident_number="N", reason="why",
                              legs=[{"account_id": "2201:M1", "direction": "D", **leg},
                                    {"account_id": "1001", "direction": "C", **leg}])
    assert world.legs(adjusted) == [
        ("2201:M1", "D", 40, "correction", None), ("1001", "C", 40, "correction", "A"),
    ]
    back = world.approved("reversal", adjustment_id="B", incident_number="N", reason="why",
                          journal_id=adjusted["journal_id"])
    assert world.legs(back) == [
        ("2201:M1", "C", 40, "correction", None), ("1001", "D", 40, "correction", "A"),
    ]


def test_held_money_is_captured_whole_or_in_part(world):
    world.do("payment", transaction_id="P")
    world.send("denied_payment", hold_id="H", original_transaction_id="P", case_number="N")
    account = world.ledger.state.account("2201:M1", "CNY")
    assert (account.balance, account.available) == (9940, -60)  # later settlements fill it
    captured = world.approved("hold_capture", result_id="C", hold_id="H", to_account_id="1001",
                              amount_minor=4000, case_number="N")
    assert world.legs(captured) == [
        ("2201:M1", "D", 4000, "capture", None), ("1001", "C", 4000, "capture", "C"),
    ]
    assert (account.balance, account.held, account.available) == (5940, 6000, -60)
    world.approved("hold_release", result_id="R", hold_id="H", case_number="N")
    assert (account.balance, account.held) == (5940, 0)
    assert world.ledger.state.holds == {}


@pytest.mark.parametrize(("type_", "payer"), [("exchange", "U1"), ("merchant_exchange", "M1")])
def test_one_currency_against_another(currencies, world, type_, payer):
    """Each balances by itself, through the position account in it."""
    world.open_in("CNY", "USD")
    world.do("top_up", amount_minor=20000)
    world.do("payment", amount_minor=20000)
    done = world.send(
        type_, exchange_id="X", amount_minor=10000, currency_code="CNY", bought_minor=1408,
        bought_currency_code="USD", rate="0.1408", quote_id="Q",
        authorisation=world.authorise(payer, "Q", 10000, bought_minor=1408,
                                      bought_currency_code="USD"),
        **{"user_id" if payer == "U1" else "merchant_id": payer},
    )
    account = f"{'2101' if payer == 'U1' else '2201'}:{payer}"
    assert world.legs(done) == [
        (account, "D", 10000, "exchange", None), ("1901", "C", 10000, "exchange", None),
        ("1901", "D", 1408, "exchange", None), (account, "C", 1408, "exchange", None),
    ]
    assert world.balance(account, "USD") == 1408


def test_every_operation_with_legs_is_posted_here(world):
    """So that no template is without a test of its legs."""
    text = Path(__file__).read_text("utf-8")
    templates = world.ledger.operations.by_type.values()
    moving = [o.type for o in templates if o.handler is None]
    assert len(moving) > 40
    assert [type_ for type_ in moving if f'"{type_}"' not in text] == []
