from __future__ import annotations

from datetime import datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from paylake import dates, settings
from spark_jobs.conform import transaction
from spark_jobs.expressions import Clock
from tests.spark_jobs.helpers import assert_contract, bronze, day, frame, records, rows

pytestmark = pytest.mark.engine


def transaction_row(number, transaction_id, **changed):
    base = {
        "business_date": day(number),
        "transaction_id": transaction_id,
        "transaction_type": "payment",
        "merchant_id": "M1",
        "terminal_id": "T1",
        "card_number_token": "t-card",
        "card_number_masked": "622202******0011",
        "payment_way": "bank_card",
        "funding": "debit",
        "channel": "unionpay",
        "amount": "12.34",
        "currency_code": "CNY",
        "status": "success",
        "event_at": f"{day(number)} 10:00:00",
    }
    return {**base, **changed}


def merchant_row(number, merchant_id="M1", **changed):
    base = {
        "business_date": day(number),
        "merchant_id": merchant_id,
        "mcc": "5499",
        "region_code": "330000",
        "is_present": True,
        "_delivery_id": f"merchant/{day(number)}/1",
        "_line_number": 1,
    }
    return {**base, **changed}


def build(spark, transactions, merchants=(), first=0, last=0, clock=None, lateness_days=2):
    return transaction.build(
        bronze(spark, "transaction", transactions),
        frame(spark, "silver.merchant", merchants),
        day(first),
        day(last),
        clock=clock or Clock(),
        lateness_days=lateness_days,
    )


def test_columns_types_and_nulls(spark):
    sparse = transaction_row(
        0, "X2", merchant_id=None, terminal_id="", card_number_token=None, amount="0.005"
    )
    result = build(spark, [transaction_row(0, "X1"), sparse], [merchant_row(0)])
    assert_contract(result, "silver.transaction")
    found = records(result, "transaction_id")
    assert found["X1"]["amount"] == Decimal("12.3400")
    assert found["X1"]["mcc"] == "5499"
    assert found["X1"]["card_token"] == "t-card"
    assert found["X2"]["amount"] == Decimal("0.0050")
    assert found["X2"]["merchant_id"] is None
    assert found["X2"]["terminal_id"] is None
    assert found["X2"]["region_code"] is None


@pytest.mark.parametrize("cutoff", ["23:00", "00:00", "18:30"])
def test_event_date_is_the_kernels_business_date(spark, cutoff):
    own = settings.load({}, cutoff=cutoff)
    clocks = [
        "00:00:00",
        "05:59:59",
        "06:00:00",
        "18:29:59",
        "18:30:00",
        "21:59:59",
        "22:00:00",
        "22:59:59",
        "23:00:00",
        "23:59:59",
    ]
    given = [transaction_row(0, wall, event_at=f"{day(0)} {wall}") for wall in clocks]
    found = records(build(spark, given, clock=Clock.of(own)), "transaction_id")
    zone = ZoneInfo("Asia/Shanghai")
    for wall in clocks:
        moment = datetime.combine(day(0), time.fromisoformat(wall), zone)
        assert found[wall]["event_date"] == dates.business_date(moment, own)
        # The session is in UTC, so the client shows stored instants as UTC wall clock.
        assert found[wall]["is_night"] == (moment.hour >= 22 or moment.hour < 6)
    assert found["23:59:59"]["event_date"] == (day(0) if cutoff == "00:00" else day(1))
    assert len(found) == len(clocks)


def test_event_at_is_stored_in_utc(spark):
    given = [transaction_row(0, "X1", event_at=f"{day(0)} 07:30:00.123456")]
    shown = build(spark, given).selectExpr("cast(event_at as string)").collect()[0][0]
    assert shown == f"{day(-1)} 23:30:00.123456"


@pytest.mark.parametrize(
    ("event_at", "adjusts"),
    [
        (f"{day(10)} 22:59:59", None),
        (f"{day(8)} 00:00:00", None),  # two days: still in time
        (f"{day(7)} 23:00:00", None),  # after the cut-off: belongs to day 8
        (f"{day(7)} 22:59:59", day(7)),
        (f"{day(0)} 12:00:00", day(0)),
        (f"{day(11)} 12:00:00", None),  # a clock that runs ahead adjusts nothing
    ],
)
def test_adjustments_begin_beyond_the_lateness(spark, event_at, adjusts):
    result = build(spark, [transaction_row(10, "X1", event_at=event_at)], first=10, last=10)
    assert rows(result, "business_date", "adjusts_date") == [(day(10), adjusts)]


def test_place_is_the_merchants_as_of_the_business_date(spark):
    merchants = [
        merchant_row(0, region_code="330000"),
        merchant_row(2, region_code="310000"),
        merchant_row(4, region_code="310000", is_present=False, _delivery_id=None),
        merchant_row(9, region_code="110000"),
    ]
    given = [transaction_row(n, f"X{n}") for n in range(-1, 7)]
    found = records(build(spark, given, merchants, -1, 6), "business_date")
    places = [found[day(n)]["region_code"] for n in range(-1, 7)]
    assert places == [None, "330000", "330000", *["310000"] * 5]


def test_the_join_conserves_rows_and_totals(spark):
    """A history with two rows of one date must not count money twice."""
    merchants = [
        merchant_row(0),
        merchant_row(0, mcc="5812", _line_number=2),
        merchant_row(1),
        merchant_row(0, "M2"),
    ]
    given = [
        transaction_row(n, f"X{n}-{m}", merchant_id=m, amount=f"{n}.01")
        for n in range(3)
        for m in ("M1", "M2", "M3", None)
    ]
    result = build(spark, given, merchants, 0, 2)
    total = sum(Decimal(row["amount"]) for row in given)
    assert result.selectExpr("count(*)", "sum(amount)").collect()[0][:] == (len(given), total)


def test_only_the_dates_asked_for(spark):
    given = [transaction_row(n, f"X{n}") for n in range(4)]
    assert rows(build(spark, given, first=1, last=2), "transaction_id") == [("X1",), ("X2",)]


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"amount": "1.23456"}, "1.23456"), ({"amount": "x"}, "x"), ({"event_at": "soon"}, "soon")],
)
def test_what_cannot_be_typed_stops_the_build(spark, changed, named):
    with pytest.raises(Exception, match=named):
        build(spark, [transaction_row(0, "X1", **changed)]).collect()
