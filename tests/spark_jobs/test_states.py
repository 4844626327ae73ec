from __future__ import annotations

from decimal import Decimal

import pytest

from spark_jobs.states import merchant_card_day, merchant_day, terminal_card_day, terminal_day
from tests.spark_jobs.helpers import assert_contract, day, frame, records, rows, same

pytestmark = pytest.mark.engine


def fact(number, amount="10.0000", **changed):
    base = {
        "business_date": day(number),
        "transaction_id": "X",
        "transaction_type": "payment",
        "merchant_id": "M1",
        "terminal_id": "T1",
        "card_token": "a",
        "amount": Decimal(amount),
        "currency_code": "CNY",
        "status": "success",
        "is_night": False,
    }
    return {**base, **changed}


MIXED = [
    fact(0, "0.0050"),
    fact(0, "0.0050", is_night=True),
    fact(0, "7.0000", status="failed", card_token="failed-card"),
    fact(0, "3.0000", transaction_type="refund"),
    fact(0, "2.0000", transaction_type="refund", status="failed"),
    fact(0, "9.0000", transaction_type="dispute"),
    fact(0, "500.0000", currency_code="JPY", card_token="b"),
    fact(0, "4.0000", merchant_id=None, terminal_id="T2", card_token=None),
    fact(1, "1.0000", card_token="b", is_night=None),
]


def test_what_counts_where(spark):
    result = merchant_day.build(frame(spark, "silver.transaction", MIXED), day(0), day(0))
    assert_contract(result, "state.merchant_day")
    found = records(result, "currency_code")
    assert set(found) == {"CNY", "JPY"}
    yuan = found["CNY"]
    assert (yuan["payment_count"], yuan["payment_amount"]) == (2, Decimal("0.0100"))
    assert (yuan["refund_count"], yuan["refund_amount"]) == (1, Decimal("3.0000"))
    assert yuan["failed_count"] == 1
    assert (yuan["night_count"], yuan["night_amount"]) == (1, Decimal("0.0050"))
    assert (yuan["smallest_amount"], yuan["largest_amount"]) == (
        Decimal("0.0050"),
        Decimal("0.0050"),
    )


def test_an_entity_with_failures_alone_has_a_state_of_zeros(spark):
    facts = [fact(0, status="failed")]
    row = merchant_day.build(frame(spark, "silver.transaction", facts), day(0), day(0)).collect()[0]
    assert (row["payment_count"], row["failed_count"]) == (0, 1)
    assert row["payment_amount"] == Decimal("0.0000")
    assert row["smallest_amount"] is None


def test_rows_without_the_entity_belong_to_nobody(spark):
    facts = frame(spark, "silver.transaction", MIXED)
    by_terminal = terminal_day.build(facts, day(0), day(1))
    assert_contract(by_terminal, "state.terminal_day")
    assert rows(by_terminal.where("terminal_id = 'T2'"), "payment_amount") == [(Decimal("4.0000"),)]
    no_merchant = [fact(0, merchant_id=None)]
    nobody = frame(spark, "silver.transaction", no_merchant)
    assert merchant_day.build(nobody, day(0), day(0)).count() == 0
    assert merchant_card_day.build(nobody, day(0), day(0)).count() == 0
    assert terminal_card_day.build(nobody, day(0), day(0)).count() == 1


def test_totals_are_conserved(spark):
    facts = frame(spark, "silver.transaction", MIXED)
    total = terminal_day.build(facts, day(0), day(1)).selectExpr("sum(payment_amount)")
    paid = facts.where("transaction_type = 'payment' and status = 'success'")
    assert total.collect()[0][0] == paid.selectExpr("sum(amount)").collect()[0][0]


def test_cards_that_paid(spark):
    result = merchant_card_day.build(frame(spark, "silver.transaction", MIXED), day(0), day(1))
    assert_contract(result, "state.merchant_card_day")
    assert rows(result, "business_date", "card_token", "payment_count") == [
        (day(0), "a", 2),
        (day(0), "b", 1),
        (day(1), "b", 1),
    ]


def test_a_range_equals_its_dates_in_any_order(spark):
    shuffled = frame(spark, "silver.transaction", MIXED[::-1])
    facts = frame(spark, "silver.transaction", MIXED)
    for module in (merchant_day, terminal_day, merchant_card_day, terminal_card_day):
        days = module.build(facts, day(0), day(0)).unionByName(module.build(facts, day(1), day(1)))
        same(module.build(shuffled, day(0), day(1)), days)
