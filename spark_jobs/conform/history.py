"""Slowly changing tables: what changed in daily snapshots, and who was what on a date.

A history holds one row an entity and date on which its attributes changed (`business_date` is
valid-from). A date without a snapshot says nothing; an entity missing from a snapshot that did
come has left (`is_present` false, attributes as last known, no source line because its absence is
the source).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from spark_jobs.expressions import between


def changes(
    snapshots: DataFrame,
    history: DataFrame,
    first: date,
    last: date,
    *,
    key: str,
    attributes: Sequence[str],
) -> DataFrame:
    """Rows of a history for the dates first to last; one pass equals its dates one by one.

    :param snapshots: business_date, key, attributes (typed), _delivery_id, _line_number;
        every entity on every date that has a snapshot.
    :param history: the table so far; only dates before `first` are read.
    :returns: business_date, key, attributes, is_present, _delivery_id, _line_number.
    """
    shown = (key, *attributes)
    in_range = snapshots.where(between(first, last))
    dates = in_range.select("business_date").distinct()
    # One partition on purpose: there are as many rows as dates.
    in_order = Window.partitionBy(F.lit(0)).orderBy("business_date")
    calendar = dates.select(
        "business_date",
        F.row_number().over(in_order).alias("_ordinal"),
        F.lead("business_date").over(in_order).alias("_next_date"),
    )
    seen = in_range.join(calendar, on="business_date", how="inner").select(
        "business_date",
        *shown,
        F.lit(True).alias("is_present"),
        "_delivery_id",
        "_line_number",
        "_ordinal",
        "_next_date",
    )
    first_snapshot = dates.agg(F.min("business_date").alias("_next_date"))
    known = (
        latest(history.where(F.col("business_date") < F.lit(first)), key)
        .crossJoin(first_snapshot)
        .select(
            "business_date",
            *shown,
            "is_present",
            F.lit(None).cast("string").alias("_delivery_id"),
            F.lit(None).cast("bigint").alias("_line_number"),
            F.lit(0).alias("_ordinal"),
            "_next_date",
        )
    )
    entity = Window.partitionBy(key).orderBy("_ordinal", "_delivery_id", "_line_number")
    timeline = (
        known.unionByName(seen)
        .withColumn("_print", _canonical(attributes))
        .withColumn("_last_ordinal", F.lag("_ordinal").over(entity))
        .withColumn("_last_print", F.lag("_print").over(entity))
        .withColumn("_was_present", F.lag("is_present").over(entity))
        .withColumn("_following_ordinal", F.lead("_ordinal").over(entity))
    )
    is_first_sight = F.col("_last_ordinal").isNull()
    came_back = (~F.col("_was_present")) | (F.col("_last_ordinal") < F.col("_ordinal") - 1)
    differs = F.col("_print") != F.col("_last_print")
    is_missing_next = F.col("_following_ordinal").isNull() | (
        F.col("_following_ordinal") > F.col("_ordinal") + 1
    )
    columns = ("business_date", *shown, "is_present", "_delivery_id", "_line_number")
    changed = timeline.where(
        (F.col("_ordinal") > 0) & (is_first_sight | came_back | differs)
    ).select(*columns)
    left = timeline.where(
        F.col("is_present") & F.col("_next_date").isNotNull() & is_missing_next
    ).select(
        F.col("_next_date").alias("business_date"),
        *shown,
        F.lit(False).alias("is_present"),
        F.lit(None).cast("string").alias("_delivery_id"),
        F.lit(None).cast("bigint").alias("_line_number"),
    )
    return changed.unionByName(left)


def latest(history: DataFrame, key: str) -> DataFrame:
    """The newest row of each entity."""
    newest_first = Window.partitionBy(key).orderBy(*_newest_first())
    return (
        history.withColumn("_rank", F.row_number().over(newest_first))
        .where(F.col("_rank") == 1)
        .drop("_rank")
    )


def versions(history: DataFrame, key: str, attributes: Sequence[str]) -> DataFrame:
    """Each state of an entity with the dates in which it holds.

    :returns: key, attributes, is_present, valid_from, valid_to (exclusive; null: still holds).
        One row a key and date even when the history has two, so that a join to it conserves money.
    """
    one_a_date = Window.partitionBy(key, "business_date").orderBy(*_newest_first())
    in_order = Window.partitionBy(key).orderBy("business_date")
    return (
        history.withColumn("_rank", F.row_number().over(one_a_date))
        .where(F.col("_rank") == 1)
        .select(
            key,
            *attributes,
            "is_present",
            F.col("business_date").alias("valid_from"),
            F.lead("business_date").over(in_order).alias("valid_to"),
        )
    )


def _newest_first() -> list[Column]:
    return [
        F.col("business_date").desc(),
        F.col("_delivery_id").desc_nulls_last(),
        F.col("_line_number").desc_nulls_last(),
    ]


def _canonical(attributes: Sequence[str]) -> Column:
    """Length-prefixed text of the attributes: equal only when each is equal, nulls included."""
    parts: list[Column] = []
    for name in attributes:
        value = F.col(name).cast("string")
        marked = F.concat(F.length(value).cast("string"), F.lit(":"), value)
        parts.append(F.coalesce(marked, F.lit("-")))
    return F.concat(*parts)
