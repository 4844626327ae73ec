from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import pytest

from spark_jobs.profiles import merchant_profile, terminal_profile
from spark_jobs.profiles.windows import WINDOWS
from tests.spark_jobs.helpers import assert_contract, day, frame, records, rows, same

pytestmark = pytest.mark.engine

ZERO = Decimal("0.0000")


def state(number, merchant="M1", currency="CNY", **measures):
    base = {
        "business_date": day(number),
        "merchant_id": merchant,
        "currency_code": currency,
        "payment_count": 0,
        "payment_amount": ZERO,
        "refund_count": 0,
        "refund_amount": ZERO,
        "failed_count": 0,
        "night_count": 0,
        "night_amount": ZERO,
    }
    return {**base, **measures}


def card(number, token, merchant="M1"):
    return {
        "business_date": day(number),
        "merchant_id": merchant,
        "card_token": token,
        "payment_count": 1,
    }


def profile_of(spark, states, cards, first, last):
    return merchant_profile.build(
        frame(spark, "state.merchant_day", states),
        frame(spark, "state.merchant_card_day", cards),
        day(first),
        day(last),
    )


def test_columns_and_types_are_the_contracts(spark):
    one = profile_of(spark, [state(0)], [card(0, "a")], 0, 0)
    several = profile_of(spark, [state(0)], [card(0, "a")], 0, 2)
    assert_contract(one, "work.merchant_profile")
    assert_contract(several, "work.merchant_profile")


@pytest.mark.parametrize(
    ("age", "counts"),
    [(0, (1, 1, 1)), (1, (0, 1, 1)), (6, (0, 1, 1)), (7, (0, 0, 1)), (29, (0, 0, 1))],
)
def test_a_window_ends_where_it_should(spark, age, counts):
    states = [state(0, payment_count=1, payment_amount=Decimal("0.0050"))]
    row = profile_of(spark, states, [card(0, "a")], age, age).collect()[0]
    assert tuple(row[f"payment_count_{w}d"] for w in WINDOWS) == counts
    assert tuple(row[f"distinct_card_count_{w}d"] for w in WINDOWS) == counts
    assert tuple(row[f"payment_amount_{w}d"] for w in WINDOWS) == tuple(
        Decimal("0.0050") * n for n in counts
    )
    assert row["last_active_date"] == day(0)


def test_thirty_dates_later_an_entity_is_gone(spark):
    assert profile_of(spark, [state(0, payment_count=1)], [], 30, 30).count() == 0
    assert profile_of(spark, [state(0, payment_count=1)], [], 29, 31).count() == 1


def test_a_card_counts_once_a_window(spark):
    cards = [card(0, "a"), card(0, "b"), card(3, "a"), card(9, "a")]
    states = [state(n, payment_count=1) for n in (0, 3, 9)]
    by_date = records(profile_of(spark, states, cards, 0, 9), "business_date")
    assert [by_date[day(n)]["distinct_card_count_7d"] for n in range(10)] == [
        2,
        2,
        2,
        2,
        2,
        2,
        2,
        1,
        1,
        1,
    ]
    assert by_date[day(9)]["distinct_card_count_30d"] == 2
    assert by_date[day(4)]["distinct_card_count_1d"] == 0


def test_night_share_is_null_without_payments(spark):
    states = [
        state(0, merchant="quiet", refund_count=1, refund_amount=Decimal("3.0000")),
        state(0, merchant="busy", payment_count=3, night_count=2),
    ]
    by_merchant = records(profile_of(spark, states, [], 0, 0), "merchant_id")
    assert by_merchant["quiet"]["night_share_rate_1d"] is None
    assert by_merchant["busy"]["night_share_rate_1d"] == 0.666666667
    assert by_merchant["busy"]["distinct_card_count_1d"] == 0


def test_currencies_stay_apart_and_cards_do_not(spark):
    states = [
        state(0, currency="CNY", payment_count=1, payment_amount=Decimal("1.0000")),
        state(0, currency="JPY", payment_count=1, payment_amount=Decimal("200.0000")),
    ]
    found = rows(
        profile_of(spark, states, [card(0, "a"), card(0, "b")], 0, 0),
        "currency_code",
        "payment_amount_1d",
        "distinct_card_count_1d",
    )
    assert found == [("CNY", Decimal("1.0000"), 2), ("JPY", Decimal("200.0000"), 2)]


def test_terminals_have_the_same_profile(spark):
    states = [{**state(0, payment_count=2), "terminal_id": "T1"}]
    states[0].pop("merchant_id")
    cards = [{**card(0, "a"), "terminal_id": "T1"}]
    cards[0].pop("merchant_id")
    result = terminal_profile.build(
        frame(spark, "state.terminal_day", states),
        frame(spark, "state.terminal_card_day", cards),
        day(0),
        day(0),
    )
    assert_contract(result, "work.terminal_profile")
    assert rows(result, "terminal_id", "payment_count_30d") == [("T1", 2)]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_range_equals_its_dates(spark, seed):
    """One pass over a range against a date at a time and against plain Python."""
    chance = random.Random(seed)
    states, cards = [], []
    for number in range(-34, 6):
        for merchant in ("M1", "M2", "M3"):
            if chance.random() < 0.7:
                continue
            states.append(
                state(
                    number,
                    merchant,
                    payment_count=chance.randrange(5),
                    payment_amount=Decimal(chance.randrange(99_999)) / 1000,
                    refund_count=chance.randrange(2),
                    failed_count=chance.randrange(3),
                    night_count=1,
                )
            )
            cards += [card(number, t, merchant) for t in "abcdef" if chance.random() < 0.3]
    chance.shuffle(states)
    whole = profile_of(spark, states, cards, 0, 5)
    single = [profile_of(spark, states, cards, n, n) for n in range(6)]
    days = single[0]
    for other in single[1:]:
        days = days.unionByName(other)
    same(whole.select(*days.columns), days)

    checked = 0
    for row in whole.collect():
        for window in WINDOWS:
            since = row["business_date"] - timedelta(days=window - 1)

            def inside(item, since=since, row=row):
                return (
                    item["merchant_id"] == row["merchant_id"]
                    and since <= item["business_date"] <= row["business_date"]
                )

            used = {c["card_token"] for c in cards if inside(c)}
            paid = sum((s["payment_amount"] for s in states if inside(s)), ZERO)
            assert row[f"distinct_card_count_{window}d"] == len(used)
            assert row[f"payment_amount_{window}d"] == paid
            checked += 1
    assert checked > 30


def test_a_range_longer_than_a_mask_equals_its_dates(spark):
    cards = [card(n, "a") for n in (0, 33, 34, 35, 80)] + [card(34, "b")]
    states = [state(n, payment_count=1) for n in (0, 33, 34, 35, 80)]
    whole = profile_of(spark, states, cards, 0, 80)
    found = records(whole, "business_date")
    # Active on 0 to 29 (the first use), 33 to 64 (three uses) and 80.
    assert len(found) == 30 + 32 + 1
    for number in (0, 29, 33, 34, 40, 64, 80):
        single = profile_of(spark, states, cards, number, number).collect()[0].asDict()
        assert found[day(number)] == single
