"""state.terminal_card_day: the set of cards that paid at each terminal on a business date."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame

from spark_jobs.states.activity import entity_card_day

KEY = "terminal_id"


def build(transactions: DataFrame, first: date, last: date) -> DataFrame:
    """State rows of the dates first to last, from silver.transaction of those dates alone."""
    return entity_card_day(transactions, KEY, first, last)
