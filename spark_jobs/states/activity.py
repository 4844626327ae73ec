"""What an entity did on a business date: the aggregates that its daily states share.

Every figure merges: counts and amounts add, smallest and largest take the least and greatest, card
sets unite. So any window over dates comes from the states and never from transactions. A row counts
on the date on which it was delivered, adjustments included.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.expressions import AMOUNT, between


def _is_payment() -> Column:
    return (F.col("transaction_type") == "payment") & (F.col("status") == "success")


def entity_day(transactions: DataFrame, key: str, first: date, last: date) -> DataFrame:
    """Daily state of the entities that `key` names.

    Payments and refunds are the successful ones; `failed_count` counts failed payments, so that
    payment_count + failed_count are the attempts. Disputes are bookings, not activity, and make no
    row. Rows without the entity (or its key null) belong to nobody.

    :param transactions: silver.transaction.
    :returns: business_date, key, currency_code, counts (bigint) and amounts (decimal(18,4)).
    """
    is_payment = _is_payment()
    is_refund = (F.col("transaction_type") == "refund") & (F.col("status") == "success")
    is_failed = (F.col("transaction_type") == "payment") & (F.col("status") == "failed")
    is_night_payment = is_payment & F.col("is_night")
    amount = F.col("amount")
    return (
        transactions.where(
            between(first, last)
            & F.col(key).isNotNull()
            & F.col("transaction_type").isin("payment", "refund")
        )
        .groupBy("business_date", key, "currency_code")
        .agg(
            _count(is_payment).alias("payment_count"),
            _sum(is_payment, amount).alias("payment_amount"),
            _count(is_refund).alias("refund_count"),
            _sum(is_refund, amount).alias("refund_amount"),
            _count(is_failed).alias("failed_count"),
            _count(is_night_payment).alias("night_count"),
            _sum(is_night_payment, amount).alias("night_amount"),
            F.min(F.when(is_payment, amount)).alias("smallest_amount"),
            F.max(F.when(is_payment, amount)).alias("largest_amount"),
        )
    )


def entity_card_day(transactions: DataFrame, key: str, first: date, last: date) -> DataFrame:
    """Cards that paid successfully at the entities that `key` names, whatever the currency.

    :param transactions: silver.transaction.
    :returns: business_date, key, card_token, payment_count (bigint, at least 1).
    """
    return (
        transactions.where(
            between(first, last)
            & F.col(key).isNotNull()
            & F.col("card_token").isNotNull()
            & _is_payment()
        )
        .groupBy("business_date", key, "card_token")
        .agg(F.count(F.lit(1)).alias("payment_count"))
    )


def _count(condition: Column) -> Column:
    return F.sum(F.when(condition, 1).otherwise(0)).cast("bigint")


def _sum(condition: Column, amount: Column) -> Column:
    nothing = F.lit(0).cast(AMOUNT)
    return F.coalesce(F.sum(F.when(condition, amount)), nothing).cast(AMOUNT)
