"""silver.ledger_balance: the ledger's day close, an account and currency a row."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.expressions import amount_of_minor, between, text


def build(bronze: DataFrame, first: date, last: date) -> DataFrame:
    """Balances delivered for the dates first to last, signed to the account's normal side.

    :param bronze: raw_ledger__balance.
    """
    amounts = [
        amount_of_minor(F.col(f"{kind}_minor"), F.col("currency_code")).alias(f"{kind}_amount")
        for kind in ("opening", "debit", "credit", "closing")
    ]
    return bronze.where(between(first, last)).select(
        "business_date",
        text("account_id"),
        text("account_code"),
        text("account_kind"),
        text("party_id"),
        text("currency_code"),
        *amounts,
        "_delivery_id",
        "_line_number",
    )
