"""state.merchant_day: what each merchant did on a business date, a currency a row."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame

from spark_jobs.states.activity import entity_day

KEY = "merchant_id"


def build(transactions: DataFrame, first: date, last: date) -> DataFrame:
    """State rows of the dates first to last, from silver.transaction of those dates alone."""
    return entity_day(transactions, KEY, first, last)
