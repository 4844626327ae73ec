"""Orders that leave the reserve are in the files for the banks: each once, of the date on which the
bank is told of it; what no bank does on the institution's word is in none."""

from __future__ import annotations

import pytest

from tests.ledger.rules.test_d1_orders import ORDERS, _order, _result, stocked
from tests.ledger.rules.words import CNY, PLAIN, days, on, posted
from tests.ledger.test_instructions import read_files

__all__ = ["stocked"]
#: Those that a bank answers; of a wealth product its provider says first whether it takes it.
BANKS = {"prepaid_redeem_order": ("K1", "6", "DK"), "merchant_spend_order": ("M1", "", "")}


def _closed(world, number=0):
    """The rows of a date's file of the reserve, and its control file."""
    world.close(days(number))
    _, read = read_files(world, days(number))
    for name, (rows, control) in read.items():
        if not name.startswith("reserve_payouts"):
            assert rows == [] and control["amount_totals_minor"] == {"CNY": 0}
        assert control["rows"] == len(rows)
    return read[f"reserve_payouts_{days(number):%Y%m%d}.sealed"]


@pytest.mark.parametrize("type_", BANKS)
def test_d0_42_what_a_bank_answers_is_in_the_file_of_its_order_once(stocked, type_):
    """The fee stays here. Its answer on a later date is no second line, whatever it says."""
    posted(_order(stocked, type_))
    rows, control = _closed(stocked)
    party, account, payee = BANKS[type_]
    assert [(row["payout_id"], row["kind"], row["party_id"], row["amount_minor"],
             row["payee_account"], row["payee_id"]) for row in rows] == [
        ("O", type_, party, "10000", account, payee)]
    assert control["amount_totals_minor"] == {"CNY": 10_000}
    when = on(stocked, 1)
    for number, result in enumerate(("unknown", "succeeded")):
        posted(_result(stocked, ORDERS[type_][0], result, f"R{number}", **when))
    assert _closed(stocked, 1)[0] == []


@pytest.mark.parametrize("result", ["succeeded", "failed", "unknown"])
@pytest.mark.parametrize("type_", BANKS)
def test_d1_10_an_order_that_the_bank_has_answered_within_the_date_is_not_sent(
    stocked, type_, result
):
    posted(_order(stocked, type_))
    posted(_result(stocked, ORDERS[type_][0], result, "R1"))
    posted(_order(stocked, type_, "O2", 5_000))
    assert [row["payout_id"] for row in _closed(stocked)[0]] == ["O2"]


@pytest.mark.parametrize("type_", BANKS)
def test_d1_10_what_was_booked_with_the_banks_answer_is_not_sent(stocked, type_):
    at_once = type_.removesuffix("_order")
    posted(_order(stocked, at_once) if at_once == "merchant_spend" else stocked.send(
        at_once, transaction_id="O", amount_minor=10_000, card_id="K1", destination_id="DK",
        authorisation=stocked.authorise("K1", "DK", 10_000), **CNY))
    assert _closed(stocked)[0] == []


def test_d1_19_a_wealth_product_is_paid_for_when_its_provider_has_confirmed_it(stocked):
    """Not when it is ordered: one that the provider refuses would have been paid for nothing."""
    for number in ("O1", "O2", "O3"):
        posted(_order(stocked, "wealth_purchase_order", number, 5_000))
    assert _closed(stocked)[0] == []
    when = on(stocked, 1)
    for number, result in (("O1", "succeeded"), ("O2", "failed"), ("O3", "unknown")):
        posted(_result(stocked, "wealth_purchase_result", result, f"R{number}", of=number, **when))
    posted(stocked.send("wealth_purchase", transaction_id="O4", user_id="U1", product_id="G",
                        amount_minor=700, **CNY, **when,
                        authorisation=stocked.authorise("U1", "G", 700, **when)))
    rows, control = _closed(stocked, 1)
    assert [(row["payout_id"], row["kind"], row["party_id"], row["amount_minor"],
             row["payee_account"], row["payee_id"], row["booking_date"]) for row in rows] == [
        ("O1", "wealth_purchase_order", "U1", "5000", "", "F", "2026-09-13"),
        ("O4", "wealth_purchase", "U1", "700", "", "G", "2026-09-13")]
    assert control["amount_totals_minor"] == {"CNY": 5_700}
    later = on(stocked, 2)
    posted(_result(stocked, "wealth_purchase_result", "succeeded", "R3", of="O3", **later))
    assert [row["payout_id"] for row in _closed(stocked, 2)[0]] == ["O3"]


def test_d0_73_a_confirmation_that_was_reversed_on_its_date_is_not_paid_for(stocked):
    """Nor twice, when it was confirmed anew."""
    posted(_order(stocked, "wealth_purchase_order"))
    done = posted(_result(stocked, "wealth_purchase_result", "succeeded", "R1"))
    stocked.approved("reversal", adjustment_id="J", incident_number="N", reason="x",
                     journal_id=done["journal_id"])
    bought = posted(stocked.send(
        "wealth_purchase", transaction_id="O4", user_id="U1", product_id="G", amount_minor=700,
        authorisation=stocked.authorise("U1", "G", 700), **CNY))
    stocked.approved("reversal", adjustment_id="J2", incident_number="N", reason="x",
                     journal_id=bought["journal_id"])
    posted(_result(stocked, "wealth_purchase_result", "succeeded", "R2"))
    assert [row["payout_id"] for row in _closed(stocked)[0]] == ["O"]


def test_d1_19_a_redemption_is_paid_by_the_provider(stocked):
    """No bank of the institution moves money for it."""
    posted(_order(stocked, "wealth_purchase_order"))
    posted(_result(stocked, "wealth_purchase_result", "succeeded", "R1"))
    stocked.close()
    when = on(stocked, 1)
    posted(stocked.send("wealth_redemption_order", transaction_id="Q", user_id="U1",
                        original_transaction_id="O", **when))
    posted(_result(stocked, "wealth_redemption_result", "succeeded", "R2", of="Q",
                   amount_minor=10_100, **when))
    assert _closed(stocked, 1)[0] == []


def test_d0_14_what_goes_back_over_a_card_network_is_in_no_file(stocked):
    """The switch sends it, and the network settles it: a line would pay it a second time."""
    for number in ("P1", "P2", "P3"):
        posted(stocked.do("payment", transaction_id=number, amount_minor=5_000, **PLAIN))
    posted(stocked.do("refund", original_transaction_id="P1", amount_minor=5_000, **PLAIN))
    posted(stocked.do("void", original_transaction_id="P2"))
    posted(stocked.do("dispute", transaction_id="D", original_transaction_id="P3",
                      amount_minor=2_000))
    stocked.approved("dispute_capture", transaction_id="DC", original_transaction_id="D",
                     case_number="N")
    posted(stocked.send("chargeback", transaction_id="C", original_transaction_id="P3",
                        amount_minor=3_000, case_number="N", **CNY))
    assert _closed(stocked)[0] == []


def test_d0_17_a_frozen_cards_order_is_kept_back(stocked):
    posted(_order(stocked, "prepaid_redeem_order"))
    posted(_order(stocked, "merchant_spend_order", "O2"))
    posted(stocked.send("hold", hold_id="H", hold_kind="authority", account_id="2501:K1",
                        case_number="C", **CNY))
    rows, control = _closed(stocked)
    assert [row["payout_id"] for row in rows] == ["O2"] and control["kept_back"] == ["O"]
