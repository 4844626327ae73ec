"""The edge of the room: reads the lake, calls the table modules, writes the lake.

Order: registries first (the range's own changes decide region and MCC), then transactions and
books, states, profiles, and the marts, which belong to dbt. Every table is created empty when it is
not there, so that a feed a home does not have is an empty table and never a missing one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException

from paylake import contracts, engine, home
from paylake.lake import Lake
from paylake.lease import lease
from paylake.settings import Settings
from spark_jobs.conform import (
    custodian_entry,
    ledger_balance,
    ledger_entry,
    ledger_head,
    merchant,
    terminal,
    transaction,
)
from spark_jobs.expressions import Clock
from spark_jobs.faults import as_value
from spark_jobs.profiles import merchant_profile, terminal_profile
from spark_jobs.states import merchant_card_day, merchant_day, terminal_card_day, terminal_day

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# What jobs and dbt's models may name; the vault is not among them.
READS = ("bronze", "quarantine", "silver", "state", "work", "gold", "ops")


@dataclass(frozen=True)
class Job:
    """One table and how it is made from the tables of a session."""

    table: str
    make: Callable[[Inputs], DataFrame]


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    :param seconds: by table, in the order in which they were built; `marts` for dbt's.
    :param stale_dates: dates later than the range that were built before and whose inputs this
        build changed: the run loop builds them again, in order.
    """

    first: date
    last: date
    seconds: dict[str, float] = field(default_factory=dict)
    stale_dates: tuple[date, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """One row a table, for a table or JSON."""
        return [
            {"first": self.first, "last": self.last, "table": table, "seconds": round(taken, 2)}
            for table, taken in self.seconds.items()
        ]


class Inputs:
    """The tables that jobs may read, and what they need to know beside them."""

    def __init__(self, spark: SparkSession, settings: Settings, first: date, last: date) -> None:
        self.spark = spark
        self.settings = settings
        self.first = first
        self.last = last
        self.clock = Clock.of(settings_of_home(settings))
        self._lake = Lake(settings)

    def table(self, name: str) -> DataFrame:
        """A table of the lake, `layer.table`."""
        return self.spark.table(name)

    def bronze(self, feed: str) -> DataFrame:
        """A feed's accepted rows; none when the home never received it."""
        contract = contracts.load(feed)
        if self._lake.exists("bronze", contract.table):
            return self.table(f"bronze.{contract.table}")
        columns = ", ".join(f"cast(null as {kind}) as {n}" for n, kind in contract.stored_columns)
        return self.spark.sql(f"select {columns} where false")

    @staticmethod
    def lateness_days(feed: str) -> int:
        """Days that an event may be older than its business date without being an adjustment."""
        return int(contracts.load(feed).properties["latenessDays"])


JOBS: tuple[Job, ...] = (
    Job(
        "silver.merchant",
        lambda i: merchant.build(
            i.bronze("merchant"),
            i.table("silver.merchant"),
            i.first,
            i.last,
            currency_code=i.settings.currency,
        ),
    ),
    Job(
        "silver.terminal",
        lambda i: terminal.build(i.bronze("terminal"), i.table("silver.terminal"), i.first, i.last),
    ),
    Job(
        "silver.transaction",
        lambda i: transaction.build(
            i.bronze("transaction"),
            i.table("silver.merchant"),
            i.first,
            i.last,
            clock=i.clock,
            lateness_days=i.lateness_days("transaction"),
        ),
    ),
    Job(
        "silver.ledger_entry",
        lambda i: ledger_entry.build(
            i.bronze("ledger_journal"),
            i.first,
            i.last,
            lateness_days=i.lateness_days("ledger_journal"),
        ),
    ),
    Job(
        "silver.ledger_balance",
        lambda i: ledger_balance.build(i.bronze("ledger_balance"), i.first, i.last),
    ),
    Job(
        "silver.ledger_head",
        lambda i: ledger_head.build(
            i.bronze("ledger_head"), i.bronze("ledger_journal"), i.first, i.last
        ),
    ),
    Job(
        "silver.custodian_entry",
        lambda i: custodian_entry.build(
            i.bronze("custodian_statement"), i.first, i.last, clock=i.clock
        ),
    ),
    Job(
        "state.merchant_day",
        lambda i: merchant_day.build(i.table("silver.transaction"), i.first, i.last),
    ),
    Job(
        "state.terminal_day",
        lambda i: terminal_day.build(i.table("silver.transaction"), i.first, i.last),
    ),
    Job(
        "state.merchant_card_day",
        lambda i: merchant_card_day.build(i.table("silver.transaction"), i.first, i.last),
    ),
    Job(
        "state.terminal_card_day",
        lambda i: terminal_card_day.build(i.table("silver.transaction"), i.first, i.last),
    ),
    Job(
        "work.merchant_profile",
        lambda i: merchant_profile.build(
            i.table("state.merchant_day"), i.table("state.merchant_card_day"), i.first, i.last
        ),
    ),
    Job(
        "work.terminal_profile",
        lambda i: terminal_profile.build(
            i.table("state.terminal_day"), i.table("state.terminal_card_day"), i.first, i.last
        ),
    ),
)
SILVER = tuple(job.table for job in JOBS if job.table.startswith("silver."))


def build(
    settings: Settings, first: date, last: date, marts: bool = True,
    only: Collection[str] | None = None,
) -> BuildResult:
    """Build silver, states, profiles and marts of the dates first to last, replacing exactly them.

    A range gives the same tables as its dates one by one. Earlier dates are read (histories and
    30 days of states) and never written; later ones stay as they are and are named in
    `stale_dates` when this build changed what they were made from.

    :param marts: also run dbt's models; False leaves `work` with the profiles alone.
    :param only: of the jobs' tables these alone; what they read has to be among them or there.
    :raises PermanentFailure: when a job and its contract disagree, or a value cannot be typed.
    """
    with lease(settings, "build", f"{first} to {last}"):
        lake = Lake(settings)
        jobs = [job for job in JOBS if only is None or job.table in only]
        for job in jobs:
            lake.ensure_contract(contracts.load(job.table))
        silver = [job.table for job in jobs if job.table in SILVER]
        later = _built_after(lake, silver, last)
        before = _silver_digests(lake, silver, first, last) if later else {}
        seconds: dict[str, float] = {}
        with engine.session(settings, layers=READS) as spark:
            inputs = Inputs(spark, settings, first, last)
            for job in jobs:
                started = time.monotonic()
                _build_table(inputs, job)
                seconds[job.table] = time.monotonic() - started
            if marts:
                started = time.monotonic()
                _build_marts(settings, spark, first, last)
                seconds["marts"] = time.monotonic() - started
        changed = bool(later) and _silver_digests(lake, silver, first, last) != before
        return BuildResult(first, last, seconds, tuple(later) if changed else ())


def _build_table(inputs: Inputs, job: Job) -> None:
    contract = contracts.load(job.table)
    try:
        frame = job.make(inputs)
        engine.write(inputs.spark, inputs.settings, frame, contract, inputs.first, inputs.last)
    except PySparkException as error:
        raise as_value(error, job.table, inputs.first, inputs.last) from error


def settings_of_home(settings: Settings) -> Settings:
    """The settings with the home's own cut-off, which a mapping may fix for its data."""
    cutoff = home.read(settings).cutoff if home.exists(settings) else None
    return settings if cutoff is None else replace(settings, cutoff=cutoff)


def _build_marts(settings: Settings, spark: SparkSession, first: date, last: date) -> None:
    from paylake import dbt_runner

    absent = home.read(settings).absent_feeds if home.exists(settings) else ()
    dbt_runner.run(
        settings, spark.paylake_remote, first, last, variables={"absent_feeds": list(absent)}
    )


def _built_after(lake: Lake, silver: list[str], last: date) -> list[date]:
    """Dates after `last` that silver holds already."""
    dates = " union ".join(f"select business_date from {name}" for name in silver)
    found = lake.query(
        f"select distinct business_date from ({dates}) where business_date > ?", [last]
    )
    return sorted(found["business_date"].to_pylist())


def _silver_digests(
    lake: Lake, silver: list[str], first: date, last: date
) -> dict[str, dict[date, str]]:
    """Digests of what later dates are made from.

    Every later date reads some of it: registries as of the date, 30 days of states, balances that
    are carried forward. So one changed partition makes all later dates stale.
    """
    return {name: lake.digests(*name.split("."), first, last) for name in silver}


__all__ = ["JOBS", "BuildResult", "Inputs", "Job", "build"]
