"""Sums and distinct cards over the last 1, 7 and 30 business dates, from daily states.

One way for a date and for a range. Sums: each state row counts for the dates of the range that are
at most 29 dates after it. Distinct cards: the dates on which an entity saw a card become the bits
of one integer, and a window contains the card when its bits meet the window's; so a range reads
and groups its card states once (once each 34 dates), not once a date and window.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from paylake.dates import date_range
from spark_jobs.expressions import AMOUNT, between, share

WINDOWS = (1, 7, 30)
_LONGEST = max(WINDOWS)
_COUNTS = ("payment_count", "refund_count", "failed_count", "night_count")
_AMOUNTS = ("payment_amount", "refund_amount")
_SHOWN = ("payment_count", "payment_amount", "refund_count", "refund_amount", "failed_count")
# Bits 0 to 62 of a signed 64-bit integer: 29 dates before the first, and the dates themselves.
_DATES_A_MASK = 63 - (_LONGEST - 1)


def reach(first: date) -> date:
    """The earliest date whose states a profile of `first` needs."""
    return first - timedelta(days=_LONGEST - 1)


def profile(days: DataFrame, card_days: DataFrame, key: str, first: date, last: date) -> DataFrame:
    """Profiles of every entity with a state in the last 30 dates, by currency.

    Distinct cards are the entity's, in whatever currency they paid, because card states carry
    none. The night share is night payments / payments, null when there was no payment.

    :param days: business_date, key, currency_code and the measures of a daily state.
    :param card_days: business_date, key, card_token.
    """
    sums = _sums(days, key, first, last)
    cards = _cards(card_days, key, first, last).withColumnsRenamed(
        {"business_date": "_business_date", key: "_key"}
    )
    same = (F.col("business_date") == F.col("_business_date")) & (F.col(key) == F.col("_key"))
    return sums.join(cards, on=same, how="left").select(
        "business_date",
        key,
        "currency_code",
        *(column for window in WINDOWS for column in _shown(window)),
        "last_active_date",
    )


def _shown(window: int) -> list[Column]:
    cards = F.coalesce(F.col(f"distinct_card_count_{window}d"), F.lit(0)).cast("bigint")
    night = share(F.col(f"night_count_{window}d"), F.col(f"payment_count_{window}d"))
    return [
        *(F.col(f"{measure}_{window}d") for measure in _SHOWN),
        cards.alias(f"distinct_card_count_{window}d"),
        night.alias(f"night_share_rate_{window}d"),
    ]


def _sums(days: DataFrame, key: str, first: date, last: date) -> DataFrame:
    counts_for = F.sequence(
        F.greatest(F.col("business_date"), F.lit(first)),
        F.least(F.date_add(F.col("business_date"), _LONGEST - 1), F.lit(last)),
    )
    spread = days.where(between(reach(first), last)).select(
        key,
        "currency_code",
        *_COUNTS,
        *_AMOUNTS,
        F.col("business_date").alias("_happened"),
        F.explode(counts_for).alias("business_date"),
    )
    age = F.datediff(F.col("business_date"), F.col("_happened"))
    sums = []
    for window in WINDOWS:
        for measure in (*_COUNTS, *_AMOUNTS):
            inside = F.when(age < window, F.col(measure)).otherwise(F.lit(0))
            kind = AMOUNT if measure in _AMOUNTS else "bigint"
            sums.append(F.sum(inside).cast(kind).alias(f"{measure}_{window}d"))
    return spread.groupBy("business_date", key, "currency_code").agg(
        *sums, F.max("_happened").alias("last_active_date")
    )


def _cards(card_days: DataFrame, key: str, first: date, last: date) -> DataFrame:
    dates = date_range(first, last)
    parts = [dates[n : n + _DATES_A_MASK] for n in range(0, len(dates), _DATES_A_MASK)]
    counted = (_cards_by_mask(card_days, key, part) for part in parts)
    return reduce(lambda left, right: left.unionByName(right), counted)


def _cards_by_mask(card_days: DataFrame, key: str, dates: list[date]) -> DataFrame:
    """Distinct cards of at most `_DATES_A_MASK` consecutive dates.

    :returns: business_date, key, distinct_card_count_<window>d; entities without a card in the
        30 dates may be there with zero or not at all.
    """
    origin = reach(dates[0])
    bit = F.expr(
        f"shiftleft(cast(1 as bigint), cast(datediff(business_date, date '{origin}') as int))"
    )
    masks = (
        card_days.where(between(origin, dates[-1]))
        .groupBy(key, "card_token")
        .agg(F.bit_or(bit).alias("_mask"))
    )
    counts = []
    for day in dates:
        for window in WINDOWS:
            start = (day - origin).days - window + 1
            bits = ((1 << window) - 1) << start
            is_inside = F.col("_mask").bitwiseAND(F.lit(bits).cast("bigint")) != 0
            counts.append(F.sum(F.when(is_inside, 1).otherwise(0)).alias(f"_{window}_{day}"))
    by_date = F.array(
        *(
            F.struct(
                F.lit(day).alias("business_date"),
                *(
                    F.col(f"`_{window}_{day}`").alias(f"distinct_card_count_{window}d")
                    for window in WINDOWS
                ),
            )
            for day in dates
        )
    )
    names = ["business_date", *(f"distinct_card_count_{window}d" for window in WINDOWS)]
    return (
        masks.groupBy(key)
        .agg(*counts)
        .select(key, F.explode(by_date).alias("_date"))
        .select(key, *(F.col("_date")[name].alias(name) for name in names))
    )
