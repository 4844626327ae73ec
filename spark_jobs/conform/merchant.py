"""silver.merchant: what changed in the daily merchant snapshots."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.conform import history as slowly_changing
from spark_jobs.expressions import amount_of_text, between, text

KEY = "merchant_id"
ATTRIBUTES = (
    "merchant_name",
    "merchant_type",
    "mcc",
    "region_code",
    "address_token",
    "address_masked",
    "legal_representative_token",
    "legal_representative_masked",
    "document_number_token",
    "document_number_masked",
    "phone_token",
    "phone_masked",
    "settlement_account_token",
    "settlement_account_masked",
    "settlement_bank",
    "settlement_mode",
    "settlement_cycle",
    "minimum_payout_amount",
    "currency_code",
    "parent_platform_id",
    "fee_class",
    "status",
    "opened_date",
)
_DERIVED = ("minimum_payout_amount", "currency_code", "opened_date")


def build(
    bronze: DataFrame, history: DataFrame, first: date, last: date, *, currency_code: str
) -> DataFrame:
    """Changes of the dates first to last.

    :param bronze: raw_registry__merchant, a full snapshot a date.
    :param history: silver.merchant; only dates before `first` are read.
    :param currency_code: currency of `minimum_payout`, which the feed gives without one.
    """
    snapshots = bronze.where(between(first, last)).select(
        "business_date",
        text(KEY),
        *(text(name) for name in ATTRIBUTES if name not in _DERIVED),
        amount_of_text(F.col("minimum_payout")).alias("minimum_payout_amount"),
        F.lit(currency_code).alias("currency_code"),
        F.col("opened_date").cast("date").alias("opened_date"),
        "_delivery_id",
        "_line_number",
    )
    return slowly_changing.changes(snapshots, history, first, last, key=KEY, attributes=ATTRIBUTES)
