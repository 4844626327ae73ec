"""silver.terminal: what changed in the daily terminal snapshots."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.conform import history as slowly_changing
from spark_jobs.expressions import between, text

KEY = "terminal_id"
ATTRIBUTES = (
    "serial_number",
    "merchant_id",
    "terminal_type",
    "place_token",
    "place_masked",
    "region_code",
    "key_version",
    "status",
    "installed_date",
)
_DERIVED = ("key_version", "installed_date")


def build(bronze: DataFrame, history: DataFrame, first: date, last: date) -> DataFrame:
    """Changes of the dates first to last.

    :param bronze: raw_registry__terminal, a full snapshot a date.
    :param history: silver.terminal; only dates before `first` are read.
    """
    snapshots = bronze.where(between(first, last)).select(
        "business_date",
        text(KEY),
        *(text(name) for name in ATTRIBUTES if name not in _DERIVED),
        F.col("key_version").cast("int").alias("key_version"),
        F.col("installed_date").cast("date").alias("installed_date"),
        "_delivery_id",
        "_line_number",
    )
    return slowly_changing.changes(snapshots, history, first, last, key=KEY, attributes=ATTRIBUTES)
