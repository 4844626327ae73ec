"""silver.ledger_entry: every leg the ledger posted, in the currency's unit, sign in `direction`."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.expressions import adjusts_date, amount_of_minor, between, text


def build(bronze: DataFrame, first: date, last: date, *, lateness_days: int) -> DataFrame:
    """Legs delivered for the dates first to last.

    :param bronze: raw_ledger__journal.
    :param lateness_days: days that a booking date may precede the delivery's business date before
        the leg counts as an adjustment of its booking date (contract of the feed).
    """
    return bronze.where(between(first, last)).select(
        "business_date",
        text("journal_id"),
        F.col("leg_number").cast("int").alias("leg_number"),
        text("journal_type"),
        text("business_key"),
        text("account_id"),
        text("account_code"),
        text("party_id"),
        text("direction"),
        amount_of_minor(F.col("amount_minor"), F.col("currency_code")).alias("amount"),
        text("currency_code"),
        text("component"),
        F.col("booked_at").cast("timestamp").alias("booked_at"),
        adjusts_date(
            F.col("booking_date").cast("date"), F.col("business_date"), lateness_days
        ).alias("adjusts_date"),
        text("custodian_reference"),
        "_delivery_id",
        "_line_number",
    )
