from __future__ import annotations

import random
from decimal import Decimal

import pytest

from spark_jobs.conform import merchant, terminal
from tests.spark_jobs.helpers import assert_contract, bronze, day, frame, records, rows, same

pytestmark = pytest.mark.engine


def merchant_row(number, merchant_id="M1", **changed):
    base = {
        "business_date": day(number),
        "merchant_id": merchant_id,
        "merchant_name": "西湖茶行",
        "merchant_type": "micro",
        "mcc": "5499",
        "region_code": "330000",
        "address_token": "t-address",
        "address_masked": "杭州市****",
        "legal_representative_token": "t-name",
        "legal_representative_masked": "王*",
        "document_number_token": "t-doc",
        "document_number_masked": "33****",
        "settlement_account_token": "t-account",
        "settlement_account_masked": "6222****",
        "settlement_bank": "某银行",
        "settlement_mode": "institution_managed",
        "settlement_cycle": "T+1",
        "minimum_payout": "10.00",
        "fee_class": "STD",
        "status": "active",
        "opened_date": "2024-02-29",
    }
    return {**base, **changed}


def build(spark, snapshots, first, last, history=()):
    return merchant.build(
        bronze(spark, "merchant", snapshots),
        frame(spark, "silver.merchant", history),
        day(first),
        day(last),
        currency_code="CNY",
    )


def as_history(result):
    return [row.asDict() for row in result.collect()]


def test_columns_types_and_values(spark):
    result = build(spark, [merchant_row(0, parent_platform_id=" ")], 0, 0)
    assert_contract(result, "silver.merchant")
    row = records(result, "merchant_id")["M1"]
    assert row["minimum_payout_amount"] == Decimal("10.0000")
    assert row["currency_code"] == "CNY"
    assert row["parent_platform_id"] is None
    assert row["phone_token"] is None
    assert row["is_present"] is True
    assert (row["_delivery_id"], row["_line_number"]) == (f"merchant/{day(0)}/1", 1)


def test_only_changes_are_stored(spark):
    snapshots = [merchant_row(n) for n in range(3)] + [merchant_row(3, mcc="5812")]
    found = rows(build(spark, snapshots, 0, 3), "business_date", "mcc")
    assert found == [(day(0), "5499"), (day(3), "5812")]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"phone_token": None}, {"phone_token": "t"}),
        ({"phone_token": "t"}, {"phone_token": None}),
        ({"minimum_payout": "10.00"}, {"minimum_payout": "10.01"}),
        # The same text, cut differently between neighbours.
        (
            {"address_token": "ab", "address_masked": "c"},
            {"address_token": "a", "address_masked": "bc"},
        ),
    ],
)
def test_a_change_of_one_attribute_is_seen(spark, before, after):
    snapshots = [merchant_row(0, **before), merchant_row(1, **after)]
    assert build(spark, snapshots, 0, 1).count() == 2


def test_amounts_that_are_equal_are_no_change(spark):
    snapshots = [merchant_row(0, minimum_payout="10.0"), merchant_row(1, minimum_payout="10.00")]
    assert build(spark, snapshots, 0, 1).count() == 1


def test_leaving_and_coming_back(spark):
    others = [merchant_row(n, "M2") for n in range(5)]
    snapshots = [*others, merchant_row(0), merchant_row(1), merchant_row(4)]
    found = rows(
        build(spark, snapshots, 0, 4).where("merchant_id = 'M1'"),
        "business_date",
        "is_present",
        "mcc",
        "_delivery_id",
    )
    assert found == [
        (day(0), True, "5499", f"merchant/{day(0)}/1"),
        (day(2), False, "5499", None),
        (day(4), True, "5499", f"merchant/{day(4)}/1"),
    ]


def test_a_date_without_a_snapshot_says_nothing(spark):
    snapshots = [merchant_row(0), merchant_row(0, "M2"), merchant_row(2), merchant_row(2, "M2")]
    assert build(spark, snapshots, 0, 2).count() == 2
    history = as_history(build(spark, snapshots, 0, 0))
    assert build(spark, snapshots, 1, 1, history).count() == 0


def test_history_of_the_range_and_later_is_not_read(spark):
    snapshots = [merchant_row(0), merchant_row(1, mcc="5812"), merchant_row(2)]
    history = as_history(build(spark, snapshots, 0, 2))
    assert len(history) == 3
    again = build(spark, snapshots, 1, 1, history)
    assert rows(again, "business_date", "mcc") == [(day(1), "5812")]


@pytest.mark.parametrize("seed", range(3))
def test_a_range_equals_its_dates(spark, seed):
    chance = random.Random(seed)
    snapshots = []
    for number in (0, 1, 2, 4, 5):
        for name in ("M1", "M2", "M3", "M4"):
            if chance.random() < 0.7:
                snapshots.append(
                    merchant_row(
                        number,
                        name,
                        mcc=chance.choice(["5499", "5812"]),
                        phone_token=chance.choice([None, "t"]),
                        _line_number=len(snapshots) + 1,
                    )
                )
    chance.shuffle(snapshots)
    whole = build(spark, snapshots, 0, 5)
    history = []
    for number in range(6):
        history += as_history(build(spark, snapshots, number, number, history))
    assert any(not row["is_present"] for row in history)
    same(whole, frame(spark, "silver.merchant", history).select(*whole.columns))

    later = build(spark, snapshots, 2, 5, [h for h in history if h["business_date"] < day(2)])
    same(later, whole.where(f"business_date >= date '{day(2)}'"))


def test_terminals(spark):
    base = {
        "terminal_id": "T1",
        "serial_number": "SN1",
        "merchant_id": None,
        "terminal_type": "pos",
        "place_token": "t",
        "place_masked": "杭州****",
        "region_code": "330000",
        "key_version": "3",
        "status": "active",
        "installed_date": "2025-01-31",
    }
    snapshots = [
        {**base, "business_date": day(0)},
        {**base, "business_date": day(1)},
        {**base, "business_date": day(2), "key_version": "4"},
    ]
    result = terminal.build(
        bronze(spark, "terminal", snapshots), frame(spark, "silver.terminal", []), day(0), day(2)
    )
    assert_contract(result, "silver.terminal")
    assert rows(result, "business_date", "key_version") == [(day(0), 3), (day(2), 4)]
