"""silver.custodian_entry: the custodian bank's statement of the reserve account (备付金存管)."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.expressions import Clock, amount_of_text, between, instant, text


def build(bronze: DataFrame, first: date, last: date, *, clock: Clock) -> DataFrame:
    """Statement lines of the dates first to last; `direction` C is money in, D money out.

    :param bronze: raw_custodian__statement; amounts right-aligned, times on the bank's wall clock.
    """
    return bronze.where(between(first, last)).select(
        "business_date",
        text("entry_id"),
        text("entry_type"),
        text("reference"),
        text("direction"),
        amount_of_text(F.trim(F.col("amount"))).alias("amount"),
        text("currency_code"),
        instant(F.trim(F.col("booked_at")), clock).alias("booked_at"),
        text("summary"),
        "_delivery_id",
        "_line_number",
    )
