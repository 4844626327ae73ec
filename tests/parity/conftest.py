"""Two engines, one bronze: a home built by Sail and the same home built by Apache Spark."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

import spark_jobs
from paylake import engine, settings
from paylake.settings import Settings
from tests.spark_jobs.helpers import day
from tests.spark_jobs.world import bronze_rows, put

DATES = 3
#: Tables that `make test` builds on Apache Spark, which is slow to start each statement: types and
#: nulls, histories, sums carried forward, windows, a join with what was
#: aggregated. All others are in `make test-long`.
USUAL = (
    "silver.merchant", "silver.transaction", "silver.ledger_entry", "silver.ledger_balance",
    "silver.ledger_head",
    "state.merchant_day", "state.merchant_card_day", "work.merchant_profile",
)

#: A virtual machine for three dates of forty rows: compiling and collecting for a long life costs
#: more than half of the time. What is computed is the same.
JAVA_OPTIONS = (
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC "
    "-Dspark.sql.codegen.wholeStage=false"
)


@dataclass(frozen=True)
class Homes:
    """The settings of each engine's home."""

    sail: Settings
    spark: Settings


@pytest.fixture(scope="session")
def homes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Homes]:
    """Both homes, built in one range. Dates one by one are in tests/e2e/test_spark.py."""
    whole = any(item.get_closest_marker("long") for item in request.session.items)
    folder = tmp_path_factory.mktemp("parity")
    world = bronze_rows(DATES)
    made = {}
    for name in ("sail", "spark"):
        own = settings.load({}, home=folder / name, engine=name, engine_port=engine.free_port())
        put(own, world, seed=len(made))
        made[name] = own
    both = Homes(**made)
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", JAVA_OPTIONS)
        # A Java virtual machine takes its time to start: both servers start at once.
        with ThreadPoolExecutor(2) as pool:
            servers = [engine.server(own, own.engine_port) for own in (both.sail, both.spark)]
            list(pool.map(stack.enter_context, servers))
        for own in (both.sail, both.spark):
            spark_jobs.build(own, day(0), day(2), marts=whole, only=None if whole else USUAL)
        yield both
