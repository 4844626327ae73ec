"""silver.ledger_head: the ledger's signed heads, each beside what came of the journal it covers."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.expressions import between, text

DAY_CLOSE = "day_close"
#: Heads of this format name sequences of the log as the journal feed does; of the first one, before
#: the log was made of its journals, only the counts can be held against what came.
_SAME_CHAIN = "paylake-ledger-head/2"


def build(heads: DataFrame, journal: DataFrame, first: date, last: date) -> DataFrame:
    """Heads delivered for the dates first to last.

    :param heads: raw_ledger__head.
    :param journal: raw_ledger__journal; the digest of a head is that of the log's entry at its
        sequence, which has legs of the date, or none: then there is nothing to compare.
    """
    signed = heads.where(between(first, last)).select(
        "business_date",
        text("head_name"),
        text("head_kind"),
        F.col("head_number").cast("int").alias("head_number"),
        F.col("head_date").cast("date").alias("head_date"),
        F.col("signed_at").cast("timestamp").alias("signed_at"),
        text("key_id"),
        text("head_format"),
        F.col("chain_sequence").cast("bigint").alias("chain_sequence"),
        text("chain_digest"),
        text("previous_anchor"),
        F.col("journal_count").cast("bigint").alias("journal_count"),
        F.col("leg_count").cast("bigint").alias("leg_count"),
        F.col("account_count").cast("bigint").alias("account_count"),
        "document",
        text("document_sm3"),
        text("signature"),
        "_delivery_id",
        "_line_number",
    )
    legs = journal.where(between(first, last)).select(
        "business_date",
        F.col("leg_number").cast("int").alias("leg_number"),
        F.col("chain_sequence").cast("bigint").alias("leg_sequence"),
        F.col("chain_digest").alias("leg_digest"),
    )
    received = _received(signed, legs)
    at_end = _at_end(signed, legs)
    return (
        signed.join(received, on=["business_date", "head_name"], how="left")
        .join(at_end, on=["business_date", "head_name"], how="left")
        .select(
            "business_date",
            "head_name",
            "head_kind",
            "head_number",
            "head_date",
            "signed_at",
            "key_id",
            "head_format",
            "chain_sequence",
            "chain_digest",
            "previous_anchor",
            "journal_count",
            "leg_count",
            "account_count",
            _counted("received_journal_count"),
            _counted("received_leg_count"),
            _counted("received_later_count"),
            "received_digest",
            "document",
            "document_sm3",
            "signature",
            "_delivery_id",
            "_line_number",
        )
    )


def _counted(name: str) -> Column:
    """A count of a close, 0 where no leg came; null of an anchor, which says no counts."""
    found = F.coalesce(F.col(name), F.lit(0).cast("bigint"))
    return F.when(F.col("head_kind") == DAY_CLOSE, found).alias(name)


def _received(signed: DataFrame, legs: DataFrame) -> DataFrame:
    """Journals and legs that came of a closed date, and legs that lie behind its close's head."""
    closes = signed.where(F.col("head_kind") == DAY_CLOSE).select(
        "business_date", "head_name", "head_format", "chain_sequence"
    )
    is_later = (F.col("head_format") == _SAME_CHAIN) & (
        F.col("leg_sequence") > F.col("chain_sequence")
    )
    return (
        legs.join(closes, on="business_date", how="inner")
        .groupBy("business_date", "head_name")
        .agg(
            # a journal's legs are numbered from 1
            F.sum(F.when(F.col("leg_number") == 1, 1).otherwise(0)).cast("bigint")
            .alias("received_journal_count"),
            F.count(F.lit(1)).cast("bigint").alias("received_leg_count"),
            F.sum(F.when(is_later, 1).otherwise(0)).cast("bigint").alias("received_later_count"),
        )
    )


def _at_end(signed: DataFrame, legs: DataFrame) -> DataFrame:
    """The digest that legs at a head's sequence carry."""
    ends = signed.where(F.col("head_format") == _SAME_CHAIN).select(
        "business_date", "head_name", F.col("chain_sequence").alias("leg_sequence")
    )
    least, most = F.min("leg_digest"), F.max("leg_digest")
    return (
        legs.join(ends, on=["business_date", "leg_sequence"], how="inner")
        .groupBy("business_date", "head_name")
        .agg(
            F.when(least == most, least).otherwise(F.concat_ws(" ", least, most))
            .alias("received_digest")
        )
    )
