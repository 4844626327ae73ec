"""work.terminal_profile: each terminal active in the last 30 days, over 1, 7 and 30 days."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame

from spark_jobs.profiles.windows import profile

KEY = "terminal_id"


def build(days: DataFrame, card_days: DataFrame, first: date, last: date) -> DataFrame:
    """Profiles of the dates first to last.

    :param days: state.terminal_day of first − 29 to last.
    :param card_days: state.terminal_card_day of the same dates.
    """
    return profile(days, card_days, KEY, first, last)
