"""silver.transaction: every attempt that the switch saw, typed, dated, placed by its merchant."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs import expressions as E
from spark_jobs.conform import merchant
from spark_jobs.conform.history import versions
from spark_jobs.expressions import Clock, text

_TEXT = (
    "transaction_id",
    "transaction_type",
    "original_transaction_id",
    "merchant_id",
    "terminal_id",
    "card_token",
    "card_masked",
    "payer_account_id",
    "payment_way",
    "funding",
    "channel",
    "currency_code",
    "status",
    "response_code",
)


def build(
    bronze: DataFrame,
    merchants: DataFrame,
    first: date,
    last: date,
    *,
    clock: Clock,
    lateness_days: int,
) -> DataFrame:
    """Transactions delivered for the dates first to last; one row in, one row out.

    :param bronze: raw_switch__transaction.
    :param merchants: silver.merchant up to `last`, the range's own changes included; may be empty.
        Region and MCC are the merchant's as last known on the business date, also when it has
        left the registry; null when it was never known.
    :param lateness_days: days that an event may precede its business date before the row counts
        as an adjustment of the event's date (contract of the feed).
    """
    typed = bronze.where(E.between(first, last)).select(
        "business_date",
        *(text(name) for name in _TEXT if not name.startswith("card_")),
        text("card_number_token").alias("card_token"),
        text("card_number_masked").alias("card_masked"),
        E.amount_of_text(F.col("amount")).alias("amount"),
        E.instant(F.col("event_at"), clock).alias("event_at"),
        "_delivery_id",
        "_line_number",
    )
    dated = typed.withColumn("event_date", E.event_date(F.col("event_at"), clock))
    place = versions(
        merchants.where(F.col("business_date") <= F.lit(last)),
        merchant.KEY,
        ("region_code", "mcc"),
    ).withColumnRenamed(merchant.KEY, "_merchant_id")
    is_same_merchant = F.col("merchant_id") == F.col("_merchant_id")
    is_valid_then = (F.col("business_date") >= F.col("valid_from")) & (
        F.col("valid_to").isNull() | (F.col("business_date") < F.col("valid_to"))
    )
    return dated.join(place, on=is_same_merchant & is_valid_then, how="left").select(
        "business_date",
        "transaction_id",
        "transaction_type",
        "original_transaction_id",
        "merchant_id",
        "terminal_id",
        "card_token",
        "card_masked",
        "payer_account_id",
        "payment_way",
        "funding",
        "channel",
        "amount",
        "currency_code",
        "status",
        "response_code",
        "event_at",
        "event_date",
        E.adjusts_date(F.col("event_date"), F.col("business_date"), lateness_days).alias(
            "adjusts_date"
        ),
        E.is_night(F.col("event_at"), clock).alias("is_night"),
        "region_code",
        "mcc",
        "_delivery_id",
        "_line_number",
    )
