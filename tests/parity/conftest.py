"""Two engines, one bronze: a home built by Sail and the same home built by Apache Spark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

import spark_jobs
from paylake import engine, settings
from paylake.settings import Settings
from tests.spark_jobs.helpers import day
from tests.spark_jobs.world import bronze_rows, put

DATES = 3


@dataclass(frozen=True)
class Homes:
    sail: Settings
    spark: Settings


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homes]:
    """Both homes, built: two dates as a range, then one alone."""
    folder = tmp_path_factory.mktemp("parity")
    world = bronze_rows(DATES)
    made = {}
    for name in ("sail", "spark"):
        own = settings.load({}, home=folder / name, engine=name, engine_port=engine.free_port())
        put(own, world, seed=len(made))
        made[name] = own
    both = Homes(**made)
    with (
        engine.server(both.sail, both.sail.engine_port),
        engine.server(both.spark, both.spark.engine_port),
    ):
        for own in (both.sail, both.spark):
            spark_jobs.build(own, day(0), day(1), marts=False)
            spark_jobs.build(own, day(2), day(2), marts=False)
        yield both
