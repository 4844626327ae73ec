from __future__ import annotations

from decimal import Decimal

import pytest

from paylake.currencies import MINOR_DIGITS
from spark_jobs.conform import custodian_entry, ledger_balance, ledger_entry
from spark_jobs.expressions import Clock
from tests.spark_jobs.helpers import assert_contract, bronze, day, records, rows

pytestmark = pytest.mark.engine


def leg(number, leg_number=1, **changed):
    base = {
        "business_date": day(number),
        "journal_id": "J1",
        "leg_number": str(leg_number),
        "journal_type": "payment",
        "business_key": "X1",
        "account_id": "2201:M1",
        "account_code": "2201",
        "party_id": "M1",
        "direction": "C",
        "amount_minor": "1234",
        "currency_code": "CNY",
        "component": "gross",
        "booking_date": day(number).isoformat(),
        "booked_at": f"{day(number)}T02:03:04Z",
    }
    return {**base, **changed}


def entries(spark, legs, first=0, last=0):
    return ledger_entry.build(
        bronze(spark, "ledger_journal", legs), day(first), day(last), lateness_days=0
    )


def test_ledger_entry_columns_and_types(spark):
    result = entries(
        spark, [leg(0), leg(0, 2, party_id=None, booked_at=f"{day(0)}T10:03:04+08:00")]
    )
    assert_contract(result, "silver.ledger_entry")
    found = records(result, "leg_number")
    assert found[1]["amount"] == Decimal("12.3400")
    assert found[2]["party_id"] is None
    assert found[1]["booked_at"] == found[2]["booked_at"]


@pytest.mark.parametrize(
    ("currency", "minor", "amount"),
    [
        ("CNY", "1", "0.0100"),
        ("JPY", "1", "1.0000"),
        ("KWD", "1", "0.0010"),
        ("CLF", "1", "0.0001"),
        ("CNY", "9007199254740993", "90071992547409.9300"),  # 2**53 + 1: a float would lose it
    ],
)
def test_minor_units_are_exact_in_each_currency(spark, currency, minor, amount):
    result = entries(spark, [leg(0, currency_code=currency, amount_minor=minor)])
    assert rows(result, "amount") == [(Decimal(amount),)]


def test_every_currency_has_one_scale():
    assert set(MINOR_DIGITS.values()) == {0, 2, 3, 4}
    assert MINOR_DIGITS["CNY"] == 2
    assert all(len(code) == 3 and code.isupper() for code in MINOR_DIGITS)


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"currency_code": "ZZZ"}, "ZZZ"), ({"amount_minor": "12.5"}, "12.5")],
)
def test_money_that_cannot_be_read_stops_the_build(spark, changed, named):
    with pytest.raises(Exception, match=named):
        entries(spark, [leg(0, **changed)]).collect()


def test_late_booking_is_an_adjustment(spark):
    legs = [leg(3, 1), leg(3, 2, booking_date=day(2).isoformat())]
    assert rows(entries(spark, legs, 3, 3), "leg_number", "adjusts_date") == [
        (1, None),
        (2, day(2)),
    ]


def test_ledger_balance_keeps_signs(spark):
    given = [
        {
            "business_date": day(0),
            "account_id": "2201:M1",
            "account_code": "2201",
            "account_kind": "liability",
            "party_id": "M1",
            "currency_code": "CNY",
            "opening_minor": "-5",
            "debit_minor": "0",
            "credit_minor": "105",
            "closing_minor": "100",
        }
    ]
    result = ledger_balance.build(bronze(spark, "ledger_balance", given), day(0), day(0))
    assert_contract(result, "silver.ledger_balance")
    assert rows(result, "opening_amount", "debit_amount", "credit_amount", "closing_amount") == [
        (Decimal("-0.0500"), Decimal("0.0000"), Decimal("1.0500"), Decimal("1.0000"))
    ]


def test_custodian_entry_is_trimmed_and_in_utc(spark):
    given = [
        {
            "business_date": day(0),
            "entry_id": "E1   ",
            "entry_type": "MOVEMENT",
            "reference": "     ",
            "direction": "C",
            "amount": "           1234.50",
            "currency_code": "CNY",
            "booked_at": f"{day(0)} 00:30:00",
            "summary": "清算款  ",
        }
    ]
    result = custodian_entry.build(
        bronze(spark, "custodian_statement", given), day(0), day(0), clock=Clock()
    )
    assert_contract(result, "silver.custodian_entry")
    row = records(result, "entry_id")["E1"]
    assert (row["amount"], row["reference"], row["summary"]) == (
        Decimal("1234.5000"),
        None,
        "清算款",
    )
    assert rows(result.selectExpr("cast(booked_at as string)")) == [(f"{day(-1)} 16:30:00",)]
