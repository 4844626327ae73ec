"""Sums and distinct cards over the last 1, 7 and 30 business dates, from daily states.

A single date is one aggregate of its 30 days of states with conditional sums. A range is one pass
whose cost does not grow with the windows: each state row enters a window on its own date and
leaves it 1, 7 or 30 dates later, and the figure of a date is the running total of what entered and
left. A card stays in a window until its last use is too old, so a use counts until the card's next
use or until it leaves the window, whichever comes first: no card counts twice. Both ways give equal
tables.
"""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from paylake.dates import date_range
from spark_jobs.expressions import AMOUNT, between, share

WINDOWS = (1, 7, 30)
_COUNTS = ("payment_count", "refund_count", "failed_count", "night_count")
_AMOUNTS = ("payment_amount", "refund_amount")
_MEASURES = (*_COUNTS, *_AMOUNTS)


def reach(first: date) -> date:
    """The earliest date whose states a profile of `first` needs."""
    return first - timedelta(days=max(WINDOWS) - 1)


def profile(days: DataFrame, card_days: DataFrame, key: str, first: date, last: date) -> DataFrame:
    """Profiles of every entity with a state in the last 30 dates, by currency.

    Distinct cards are the entity's, in whatever currency they paid, because card states carry
    none. The night share is night payments / payments, null when there was no payment.

    :param days: business_date, key, currency_code and the measures of a daily state.
    :param card_days: business_date, key, card_token: one row a card and date.
    """
    days = days.where(between(reach(first), last)).select(
        "business_date", key, "currency_code", *_MEASURES
    )
    card_days = card_days.where(between(reach(first), last)).select(
        "business_date", key, "card_token"
    )
    if first == last:
        sums = _sums_of_date(days, key, last)
        cards = _cards_of_date(card_days, key, last)
    else:
        sums = _sums_of_range(days, key, first, last)
        cards = _cards_of_range(card_days, key, first, last)
    cards = cards.withColumnsRenamed({"business_date": "_business_date", key: "_key"})
    same = (F.col("business_date") == F.col("_business_date")) & (F.col(key) == F.col("_key"))
    return sums.join(cards, on=same, how="left").select(
        "business_date",
        key,
        "currency_code",
        *(column for window in WINDOWS for column in _shown(window)),
        "last_active_date",
    )


def _shown(window: int) -> list[Column]:
    def named(measure: str) -> str:
        return f"{measure}_{window}d"

    return [
        *(
            F.col(named(measure))
            for measure in (
                "payment_count",
                "payment_amount",
                "refund_count",
                "refund_amount",
                "failed_count",
            )
        ),
        F.coalesce(F.col(named("distinct_card_count")), F.lit(0))
        .cast("bigint")
        .alias(named("distinct_card_count")),
        share(F.col(named("night_count")), F.col(named("payment_count"))).alias(
            named("night_share_rate")
        ),
    ]


def _typed(measure: str, value: Column) -> Column:
    return value.cast(AMOUNT if measure in _AMOUNTS else "bigint")


def _sums_of_date(days: DataFrame, key: str, day: date) -> DataFrame:
    aggregates = []
    for window in WINDOWS:
        is_inside = F.col("business_date") >= F.lit(day - timedelta(days=window - 1))
        for measure in _MEASURES:
            inside = F.when(is_inside, F.col(measure)).otherwise(F.lit(0))
            aggregates.append(_typed(measure, F.sum(inside)).alias(f"{measure}_{window}d"))
    return (
        days.groupBy(key, "currency_code")
        .agg(*aggregates, F.max("business_date").alias("last_active_date"))
        .withColumn("business_date", F.lit(day))
    )


def _cards_of_date(card_days: DataFrame, key: str, day: date) -> DataFrame:
    last_use = card_days.groupBy(key, "card_token").agg(F.max("business_date").alias("last_use"))
    counts = []
    for window in WINDOWS:
        is_inside = F.col("last_use") >= F.lit(day - timedelta(days=window - 1))
        counts.append(
            F.sum(F.when(is_inside, 1).otherwise(0)).alias(f"distinct_card_count_{window}d")
        )
    return last_use.groupBy(key).agg(*counts).withColumn("business_date", F.lit(day))


def _sums_of_range(days: DataFrame, key: str, first: date, last: date) -> DataFrame:
    names = [f"{measure}_{window}d" for window in WINDOWS for measure in _MEASURES]
    group = (key, "currency_code")

    def moves(sign: int, offset: int, windows: tuple[int, ...]) -> DataFrame:
        """State rows entering (+1) or leaving (−1) these windows on their date + offset."""
        happened = F.date_add(F.col("business_date"), offset)
        return days.select(
            *group,
            F.greatest(happened, F.lit(first)).alias("business_date"),
            *(
                _typed(
                    measure,
                    F.col(measure) * sign if window in windows else F.lit(0),
                ).alias(f"{measure}_{window}d")
                for window in WINDOWS
                for measure in _MEASURES
            ),
            F.lit(sign if max(WINDOWS) in windows else 0).alias("_active"),
            (F.col("business_date") if sign > 0 else F.lit(None).cast("date")).alias("_seen"),
        ).where(F.col("business_date") <= F.lit(last))

    changes = moves(1, 0, WINDOWS)
    for window in WINDOWS:
        changes = changes.unionByName(moves(-1, window, (window,)))
    grid = _grid(days, group, first, last).select(
        *group,
        "business_date",
        *(_typed(n[: n.rindex("_")], F.lit(0)).alias(n) for n in names),
        F.lit(0).alias("_active"),
        F.lit(None).cast("date").alias("_seen"),
    )
    daily = (
        changes.unionByName(grid)
        .groupBy(*group, "business_date")
        .agg(
            *(F.sum(name).alias(name) for name in names),
            F.sum("_active").alias("_active"),
            F.max("_seen").alias("_seen"),
        )
    )
    so_far = _so_far(*group)
    return daily.select(
        *group,
        "business_date",
        *(_typed(name[: name.rindex("_")], F.sum(name).over(so_far)).alias(name) for name in names),
        F.sum("_active").over(so_far).alias("_active"),
        F.max("_seen").over(so_far).alias("last_active_date"),
    ).where(F.col("_active") > 0)


def _cards_of_range(card_days: DataFrame, key: str, first: date, last: date) -> DataFrame:
    names = [f"distinct_card_count_{window}d" for window in WINDOWS]
    card = Window.partitionBy(key, "card_token").orderBy("business_date")
    uses = card_days.select(
        key, "business_date", F.lead("business_date").over(card).alias("_next_use")
    )

    def moves(sign: int, happened: Column, windows: tuple[int, ...]) -> DataFrame:
        return uses.select(
            key,
            F.greatest(happened, F.lit(first)).alias("business_date"),
            *(
                F.lit(sign if window in windows else 0).alias(f"distinct_card_count_{window}d")
                for window in WINDOWS
            ),
        ).where(F.col("business_date") <= F.lit(last))

    changes = moves(1, F.col("business_date"), WINDOWS)
    for window in WINDOWS:
        # `least` ignores nulls: without a next use the use leaves when it is too old.
        leaves = F.least(F.col("_next_use"), F.date_add(F.col("business_date"), window))
        changes = changes.unionByName(moves(-1, leaves, (window,)))
    grid = _grid(card_days, (key,), first, last).select(
        key, "business_date", *(F.lit(0).alias(name) for name in names)
    )
    daily = (
        changes.unionByName(grid)
        .groupBy(key, "business_date")
        .agg(*(F.sum(name).alias(name) for name in names))
    )
    return daily.select(
        key, "business_date", *(F.sum(name).over(_so_far(key)).alias(name) for name in names)
    )


def _grid(states: DataFrame, group: tuple[str, ...], first: date, last: date) -> DataFrame:
    """Every date of the range for every entity that has a state."""
    dates = F.array(*(F.lit(day) for day in date_range(first, last)))
    return states.select(*group).distinct().withColumn("business_date", F.explode(dates))


def _so_far(*group: str) -> Window:
    return (
        Window.partitionBy(*group)
        .orderBy("business_date")
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
